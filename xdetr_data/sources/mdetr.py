"""MDETR's annotation JSON: mixed, Flickr (separateGT) and referring-expression flavours.

``images[]`` are paragraphs, not photos: one photo occurs many times. ``annotations[]`` follow, each with the id of its
paragraph, a box in pixels ``[x, y, w, h]`` and character spans of the paragraph's caption.
Source: ashkamath/mdetr, ``scripts/pre-training``; docs of the released ``final_*.json``.
"""

from collections.abc import Iterator, Sequence

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.json_stream import CHUNK_BYTES, ArrayChunk, Unreadable, elements, iter_array_chunks

Pair = tuple[int, int]


class ParagraphHead(msgspec.Struct, frozen=True, gc=False):
    """What planning needs of a paragraph: its id and its photo."""

    id: int
    file_name: str
    height: int
    width: int
    data_source: str | None = None
    dataset_name: str | None = None


class MdetrParagraph(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``images[]``. ``height`` and ``width`` may be strings in the file (Flickr)."""

    id: int
    file_name: str
    caption: str
    height: int
    width: int
    tokens_negative: list[Pair] = []
    data_source: str | None = None
    dataset_name: str | None = None

    @property
    def is_packed(self) -> bool:
        """Whether the caption was packed from independent expressions, and so is to be split (only *mixed* is)."""
        return self.data_source is not None or self.dataset_name == "mixed"


class MdetrAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``annotations[]``; ``area`` is not read, since it may not equal w*h."""

    id: int | str
    image_id: int
    bbox: tuple[float, float, float, float]
    tokens_positive: list[list[int]]
    iscrowd: bool | int = False


_HEAD = msgspec.json.Decoder(ParagraphHead, strict=False)
_HEADS = msgspec.json.Decoder(list[ParagraphHead], strict=False)
_PARAGRAPH = msgspec.json.Decoder(MdetrParagraph, strict=False)
_ANNOTATION = msgspec.json.Decoder(MdetrAnnotation)
_ANNOTATIONS = msgspec.json.Decoder(list[MdetrAnnotation])


class _IdOnly(msgspec.Struct, frozen=True, gc=False):
    id: int


_ID = msgspec.json.Decoder(_IdOnly)


def parse_paragraph(data: bytes) -> MdetrParagraph | Unreadable:
    """One element of ``images[]`` from its JSON bytes."""
    try:
        return _PARAGRAPH.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(problem=str(error), id=_id_of(data))


def parse_annotations(parts: Sequence[bytes]) -> list[MdetrAnnotation | Unreadable]:
    """Elements of ``annotations[]``, one result each; all at once where all are well formed."""
    try:
        annotations: list[MdetrAnnotation | Unreadable] = [*_ANNOTATIONS.decode(b"[" + b",".join(parts) + b"]")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [parse_annotation(part) for part in parts]
    return annotations


def parse_annotation(data: bytes) -> MdetrAnnotation | Unreadable:
    """One element of ``annotations[]`` from its JSON bytes."""
    try:
        return _ANNOTATION.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(problem=str(error), id=_id_of(data))


def parse_heads(data: bytes) -> list[ParagraphHead | Unreadable]:
    """The heads of a chunk of ``images[]``, one for each element."""
    try:
        heads: list[ParagraphHead | Unreadable] = [*_HEADS.decode(b"[" + data + b"]")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [_parse_head(element) for element in elements(data)]
    return heads


def _parse_head(data: bytes) -> ParagraphHead | Unreadable:
    try:
        return _HEAD.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(problem=str(error), id=_id_of(data))


def _id_of(data: bytes) -> int | None:
    try:
        return _ID.decode(data).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of ``images`` and ``annotations`` of an MDETR file; raises InputError where the file is no such file."""
    found: set[str] = set()
    for chunk in iter_array_chunks(path, ("images", "annotations"), chunk_bytes=chunk_bytes):
        if chunk.name == "images" and "images" not in found:
            _check_flavour(path, chunk.data)
        found.add(chunk.name)
        yield chunk


def _check_flavour(path: str, data: bytes) -> None:
    """Refuses a COCO file given as an MDETR file, before an hour's work rejects every one of its records."""
    first = elements(data)[0]
    try:
        keys = msgspec.json.decode(first, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # a damaged first record is that record's reject, not the file's
    if "caption" not in keys and "file_name" in keys:
        raise InputError(f"{path}: images have no 'caption': this is no MDETR file; give COCO's with --coco-instances")
