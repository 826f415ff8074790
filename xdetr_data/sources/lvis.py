"""LVIS's JSON, v1 and v0.5: photos with their verified absences, annotations with class and box.

Annotation is federated: of a photo, only the classes that are annotated and those of ``neg_category_ids``, which are
absent, are known. Of an annotation its polygons are never kept.
The classes themselves are read by ``lvis_classes.py``.
Source: lvisdataset.org, "Data format". Images of v1 have no ``file_name``; the end of ``coco_url`` names the photo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_id
from xdetr_data.sources.coco_images import end_of_url
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import first_keys, parse_record, parse_records
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.instances import (
    ABSENCE,
    ABSENCES,
    ANNOTATIONS,
    IMAGE,
    IMAGES,
    Id,
    Instances,
    Side,
    annotations_kind,
)
from xdetr_data.sources.protocol import Problem, name_photo

COLLECTION = "coco"


class LvisImage(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``images[]``; ``absences`` are its ``neg_category_ids`` as they stand there."""

    id: Id
    height: Side
    width: Side
    absences: list[msgspec.Raw] = msgspec.field(name=ABSENCES)
    not_exhaustive: list[int] = msgspec.field(name="not_exhaustive_category_ids")
    file_name: str | None = None
    coco_url: str | None = None

    @property
    def photo(self) -> str:
        """The file's name, in v1 with the folder that the address ends in: ``train2017/000000391895.jpg``."""
        return self.file_name or end_of_url(self.coco_url or "")


class LvisAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``annotations[]`` without its polygons: class and box ``[x, y, w, h]`` in pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """What is kept of an annotation, as it stands in the file."""

    id: msgspec.Raw
    image_id: msgspec.Raw
    category_id: msgspec.Raw
    bbox: msgspec.Raw


_IMAGE, _ALL_IMAGES = msgspec.json.Decoder(LvisImage), msgspec.json.Decoder(list[LvisImage])
_ANNOTATION, _ALL_ANNOTATIONS = msgspec.json.Decoder(LvisAnnotation), msgspec.json.Decoder(list[LvisAnnotation])
_KEPT, _ALL_KEPT = msgspec.json.Decoder(_Kept), msgspec.json.Decoder(list[_Kept])
_ENCODER = msgspec.json.Encoder()


def parse_image(data: bytes) -> LvisImage | Unreadable:
    """One element of ``images[]`` from its JSON bytes."""
    return parse_record(_IMAGE, data)


def parse_annotations(parts: Sequence[bytes]) -> list[LvisAnnotation | Unreadable]:
    """Elements of ``annotations[]``, one result each."""
    return parse_records(_ALL_ANNOTATIONS, _ANNOTATION, parts)


@lru_cache(maxsize=1)  # a chunk's absences are counted, then joined to their images, then copied
def images_of(data: bytes) -> Sequence[LvisImage | Unreadable]:
    """The images of a chunk, one result each."""
    return parse_records(_ALL_IMAGES, _IMAGE, elements(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class LvisInstances(Instances[LvisImage]):
    """A file of LVIS."""

    role = "lvis"
    kinds = (IMAGE, annotations_kind(8_000), ABSENCE)  # without polygons, 13 annotations of 82 bytes on average

    def arrays(self) -> Iterator[ArrayChunk]:
        """Chunks of images and annotations."""
        return read_chunks(self.path)

    def images(self, data: bytes) -> Sequence[LvisImage | Unreadable]:
        """The images of a chunk, one result each."""
        return images_of(data)

    def photo_of(self, image: LvisImage) -> str | Problem:
        """The photo's name, or why it means none."""
        if not image.photo:
            return Problem("unreadable-image", f"image {image.id} has no file_name and no coco_url")
        if image.coco_url and photo_id(COLLECTION, image.photo) != photo_id(COLLECTION, end_of_url(image.coco_url)):
            return Problem("ambiguous-image-id", f"image {image.id}: file_name and coco_url name different photos")
        return name_photo(COLLECTION, image.photo)

    def kept(self, parts: Sequence[bytes]) -> Sequence[bytes]:
        """Class and box of each annotation; a damaged one is kept whole."""
        kept = parse_records(_ALL_KEPT, _KEPT, parts)
        return [
            part if isinstance(one, Unreadable) else _ENCODER.encode(one) for part, one in zip(parts, kept, strict=True)
        ]


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of images and annotations; raises InputError where the file is no such file."""
    for chunk in iter_array_chunks(path, (IMAGES, ANNOTATIONS), chunk_bytes=chunk_bytes):
        if chunk.name == IMAGES and chunk.first_row == 0 and (keys := first_keys(chunk.data)) and ABSENCES not in keys:
            raise InputError(f"{path}: images have no '{ABSENCES}': this is no file of LVIS; correct --annotations")
        yield chunk
