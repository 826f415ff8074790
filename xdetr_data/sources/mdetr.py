"""MDETR's annotation JSON: mixed, Flickr (separateGT) and referring-expression flavours.

``images[]`` are paragraphs, not photos: one photo occurs many times. ``annotations[]`` follow, each with the id of its
paragraph, a box in pixels ``[x, y, w, h]`` and character spans of the paragraph's caption.
Source: ashkamath/mdetr, ``scripts/pre-training``; docs of the released ``final_*.json``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import (
    DECODE_ERRORS,
    first_keys,
    parse_record,
    parse_records,
    read_image_ids,
)
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, name_photo

Pair = tuple[int, int]

# Whose photos the files speak of that do not say it as data_source, as mixed does, by their dataset_name.
_COLLECTION_OF = {"flickr": "flickr", "phrasecut": "vg", "gqa": "vg"} | dict.fromkeys(
    ("refcoco", "refcoco+", "refcocog", "lvis"), "coco"
)
_COCO_NAME = re.compile(r"(.*/)?(COCO_[^/]*|(train|val|test|unlabeled)20[0-9]{2}/[0-9]{12}\.jpg)")
_COLLECTION = re.compile(r"[a-z0-9]{1,24}")


class ParagraphHead(msgspec.Struct, frozen=True, gc=False):
    """What planning needs of a paragraph: its id and its photo."""

    id: int
    file_name: str
    height: int
    width: int
    data_source: str | None = None
    dataset_name: str | None = None
    coco_url: str | None = None

    @property
    def collection(self) -> str:
        """Which photos a paragraph speaks of: mixed says it, the fine-tuning files imply it; or nothing."""
        if self.data_source is not None:
            return self.data_source
        if self.dataset_name in _COLLECTION_OF:
            return _COLLECTION_OF[self.dataset_name]
        is_coco = self.coco_url is not None or _COCO_NAME.fullmatch(self.file_name)
        return "coco" if is_coco else ""


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
    image_id: int | str
    bbox: tuple[float, float, float, float]
    tokens_positive: list[list[int]]
    iscrowd: bool | int = False

    @property
    def paragraph_id(self) -> int:
        """The paragraph that it hangs on; one whose ``image_id`` is no number hangs on none, and is in no shard."""
        return int(self.image_id)


_HEAD = msgspec.json.Decoder(ParagraphHead, strict=False)
_HEADS = msgspec.json.Decoder(list[ParagraphHead], strict=False)
_PARAGRAPH = msgspec.json.Decoder(MdetrParagraph, strict=False)
_ANNOTATION = msgspec.json.Decoder(MdetrAnnotation)
_ANNOTATIONS = msgspec.json.Decoder(list[MdetrAnnotation])


def parse_paragraph(data: bytes) -> MdetrParagraph | Unreadable:
    """One element of ``images[]`` from its JSON bytes."""
    return parse_record(_PARAGRAPH, data)


def read_paragraph(data: bytes, size_hw: tuple[int, int]) -> MdetrParagraph | Problem:
    """The same, or why it says nothing of a photo of this size."""
    paragraph = parse_paragraph(data)
    if isinstance(paragraph, Unreadable):
        return Problem("unreadable-paragraph", paragraph.problem)
    if not paragraph.caption.strip():
        return Problem("empty-caption", "the caption holds no words")
    if (paragraph.height, paragraph.width) != size_hw:
        stated, actual = f"{paragraph.width}x{paragraph.height}", f"{size_hw[1]}x{size_hw[0]}"
        return Problem("size-mismatch", f"says {stated} pixels, the photo has {actual}")
    return paragraph


def parse_annotation(data: bytes) -> MdetrAnnotation | Unreadable:
    """One element of ``annotations[]`` from its JSON bytes."""
    return parse_record(_ANNOTATION, data)


def parse_annotations(parts: Sequence[bytes]) -> list[MdetrAnnotation | Unreadable]:
    """Elements of ``annotations[]``, one result each."""
    return parse_records(_ANNOTATIONS, _ANNOTATION, parts)


def parse_heads(data: bytes) -> list[ParagraphHead | Unreadable]:
    """The heads of a chunk of ``images[]``, one for each element."""
    try:
        return [*_HEADS.decode(b"[" + data + b"]")]
    except DECODE_ERRORS:
        return [*map(partial(parse_record, _HEAD), elements(data))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mdetr(Source):
    """An MDETR file: its paragraphs name the photos, its annotations hang on them."""

    role = "mdetr"
    kinds = (
        Kind(unit="paragraph", array="images", introduces=True),
        Kind(
            unit="annotation",
            array="annotations",
            hangs_on="paragraph",
            stray="annotation-of-unknown-paragraph",
            lists_strays=True,
        ),
    )

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of ``images`` and ``annotations``."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each paragraph, or the paragraph of each annotation."""
        if chunk.name == "images":
            return _paragraph_heads(chunk)
        ids, problems = read_image_ids(chunk)
        return Heads(
            row=chunk.first_row + np.arange(len(ids)),
            parent=ids,
            problems={row: Problem("unreadable-annotation", problem) for row, problem in problems.items()},
        )


def _paragraph_heads(chunk: ArrayChunk) -> Heads:
    heads = parse_heads(chunk.data)
    names = [_photo_of(head) for head in heads]
    return Heads(
        row=chunk.first_row + np.arange(len(heads)),
        photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
        problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
        ids=[head.id for head in heads],
        stated=[None if isinstance(one, Unreadable) else Stated(one.file_name, one.height, one.width) for one in heads],
    )


def _photo_of(head: ParagraphHead | Unreadable) -> str | Problem:
    if isinstance(head, Unreadable):
        return Problem("unreadable-paragraph", head.problem)
    if not -(1 << 63) <= head.id < 1 << 63:
        return Problem("unreadable-paragraph", f"id {head.id} does not fit 64 bits")
    name = name_photo(head.collection, head.file_name)
    if isinstance(name, Problem) and name.reason == "unsafe-file-name":
        return name
    if not _COLLECTION.fullmatch(head.collection):
        said = f"data_source {head.data_source!r}, dataset_name {head.dataset_name!r}"
        return Problem("unknown-source", f'{said} tell no collection: write "data_source": "coco" (or vg, flickr, …)')
    return name


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
    keys = first_keys(data)
    if "caption" not in keys and "file_name" in keys:
        raise InputError(f"{path}: images have no 'caption': this is no MDETR file; give COCO's with --coco-instances")
