"""The elements of MDETR's annotation JSON: paragraphs, their heads, annotations."""

import re
from collections.abc import Sequence
from functools import partial

import msgspec

from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.framing.json_records import DECODE_ERRORS, parse_record, parse_records
from xdetr_data.sources.framing.json_stream import elements
from xdetr_data.sources.protocol import Problem

Pair = tuple[int, int]
SENTENCES = "sentences"  # what exports of this tool call their paragraphs of one sentence each

# Whose photos the files speak of that do not say it as data_source, as mixed does, by their dataset_name.
_COLLECTION_OF = {"flickr": "flickr", "phrasecut": "vg", "gqa": "vg"} | dict.fromkeys(
    ("refcoco", "refcoco+", "refcocog", "lvis"), "coco"
)
_COCO_NAME = re.compile(r"(.*/)?(COCO_[^/]*|(train|val|test|unlabeled)20[0-9]{2}/[0-9]{12}\.jpg)")


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
        if self.dataset_name == SENTENCES:
            return False
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
