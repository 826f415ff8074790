"""LVIS's JSON, v1 and v0.5: photos with their verified absences, annotations with class and box.

Annotation is federated: of a photo, only the classes that are annotated and those of ``neg_category_ids``, which are
absent, are known. The absences stand inside their images, so each chunk of images is read as two: the images, and
their absences, which are counted through the whole file. Of an annotation its polygons are never kept.
The classes themselves are read by ``lvis_classes.py``.
Source: lvisdataset.org, "Data format". Images of v1 have no ``file_name``; the end of ``coco_url`` names the photo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_id
from xdetr_data.sources.coco_images import end_of_url
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import (
    first_keys,
    parse_record,
    parse_records,
    read_image_ids,
)
from xdetr_data.sources.framing.json_stream import elements, iter_array_chunks
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, name_photo

COLLECTION = "coco"
IMAGES, ANNOTATIONS, ABSENCES = "images", "annotations", "neg_category_ids"

Id = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Side = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]


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
_CLASS = msgspec.json.Decoder(int)
_ENCODER = msgspec.json.Encoder()


def parse_image(data: bytes) -> LvisImage | Unreadable:
    """One element of ``images[]`` from its JSON bytes."""
    return parse_record(_IMAGE, data)


def parse_annotations(parts: Sequence[bytes]) -> list[LvisAnnotation | Unreadable]:
    """Elements of ``annotations[]``, one result each."""
    return parse_records(_ALL_ANNOTATIONS, _ANNOTATION, parts)


def parse_class(data: bytes) -> int | Unreadable:
    """One element of ``neg_category_ids`` from its JSON bytes: a class's id."""
    return parse_record(_CLASS, data)


@lru_cache(maxsize=1)  # a chunk's absences are counted, then joined to their images, then copied
def images_of(data: bytes) -> Sequence[LvisImage | Unreadable]:
    """The images of a chunk, one result each."""
    return parse_records(_ALL_IMAGES, _IMAGE, elements(data))


def _absences_of(data: bytes) -> list[tuple[int, bytes]]:
    """Each absence of a chunk of images with its image's id; of an unreadable image there are none."""
    return [
        (one.id, bytes(absence))
        for one in images_of(data)
        if not isinstance(one, Unreadable)
        for absence in one.absences
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LvisInstances(Source):
    """A file of LVIS: its images name the photos, annotations and absences hang on them."""

    role = "lvis"
    kinds = (
        Kind(unit="image", array=IMAGES, introduces=True),
        Kind(
            unit="annotation",
            array=ANNOTATIONS,
            hangs_on="image",
            stray="annotation-of-unknown-image",
            lists_strays=True,
            bytes_per_photo=8_000,  # without polygons, 13 annotations of 82 bytes on average
        ),
        Kind(unit="absence", array=ABSENCES, hangs_on="image"),
    )

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of annotations and of images, those each again as a chunk of their absences."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each image, or the image of each annotation or absence."""
        if chunk.name == IMAGES:
            return _image_heads(chunk)
        if chunk.name == ABSENCES:
            owners = pa.array([owner for owner, _ in _absences_of(chunk.data)], pa.int64())
            return Heads(row=chunk.first_row + np.arange(chunk.count), parent=owners)
        ids, problems = read_image_ids(chunk)
        return Heads(
            row=chunk.first_row + np.arange(chunk.count),
            parent=ids,
            problems={row: Problem("unreadable-annotation", problem) for row, problem in problems.items()},
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """Each image's and each absence's own bytes, and what is kept of an annotation; a damaged one is kept whole."""
        if chunk.name == ABSENCES:
            return [pa.array([absence for _, absence in _absences_of(chunk.data)], pa.large_binary())]
        parts = elements(chunk.data)
        if chunk.name == ANNOTATIONS:
            kept = parse_records(_ALL_KEPT, _KEPT, parts)
            parts = [
                part if isinstance(one, Unreadable) else _ENCODER.encode(one)
                for part, one in zip(parts, kept, strict=True)
            ]
        return [pa.array(parts, pa.large_binary())]


def _image_heads(chunk: ArrayChunk) -> Heads:
    images = images_of(chunk.data)
    names = [_photo_of(one) for one in images]
    return Heads(
        row=chunk.first_row + np.arange(len(images)),
        photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
        problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
        ids=[one.id for one in images],
        stated=[None if isinstance(one, Unreadable) else Stated(one.photo, one.height, one.width) for one in images],
    )


def _photo_of(image: LvisImage | Unreadable) -> str | Problem:
    if isinstance(image, Unreadable):
        return Problem("unreadable-image", image.problem)
    if not image.photo:
        return Problem("unreadable-image", f"image {image.id} has no file_name and no coco_url")
    if image.coco_url and photo_id(COLLECTION, image.photo) != photo_id(COLLECTION, end_of_url(image.coco_url)):
        return Problem("ambiguous-image-id", f"image {image.id}: file_name and coco_url name different photos")
    return name_photo(COLLECTION, image.photo)


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of images, behind each the same bytes as the chunk of their absences, where they have any, and of
    annotations.

    Raises InputError where the file is no such file.
    """
    row = 0
    for chunk in iter_array_chunks(path, (IMAGES, ANNOTATIONS), chunk_bytes=chunk_bytes):
        if chunk.name == IMAGES and chunk.first_row == 0 and (keys := first_keys(chunk.data)) and ABSENCES not in keys:
            raise InputError(f"{path}: images have no '{ABSENCES}': this is no file of LVIS; correct --annotations")
        yield chunk
        if chunk.name == IMAGES and (count := len(_absences_of(chunk.data))):
            yield replace(chunk, name=ABSENCES, first_row=row, count=count)
            row += count
