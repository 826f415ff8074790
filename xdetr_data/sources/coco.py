"""COCO's (and LVIS's) instances JSON. Boxes are ``[x, y, w, h]`` in pixels; ``iscrowd`` boxes hold many objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.errors import InputError
from xdetr_data.sources.coco_images import COLLECTION, photos_of_images
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import first_keys, parse_record, read_text_ids
from xdetr_data.sources.framing.json_stream import iter_array_chunks
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, name_photo


class CocoBox(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``annotations[]`` without its segmentation; ``area`` is the segment's, not the box's."""

    id: int | str
    image_id: int | str
    bbox: tuple[float, float, float, float]
    iscrowd: bool | int = False


_BOX = msgspec.json.Decoder(CocoBox)


def parse_box(data: bytes) -> CocoBox | Unreadable:
    """One element of ``annotations[]`` from its JSON bytes."""
    return parse_record(_BOX, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoInstances(Source):
    """A file of COCO's boxes; which photo an ``image_id`` means, the file's own ``images`` say by file names."""

    role = "coco-instances"
    kinds = (Kind(unit="box", array="annotations"),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of ``annotations``."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each box."""
        photos = photos_of_images(self.path)
        rows = chunk.first_row + np.arange(chunk.count)
        found = [_photo_of(one, photos) for one in read_text_ids(chunk)]
        return Heads(
            row=rows,
            photo=pa.array([one if isinstance(one, str) else None for one in found], pa.string()),
            problems={row: one for row, one in zip(rows.tolist(), found, strict=True) if isinstance(one, Problem)},
        )


def _photo_of(image_id: str | Unreadable, photos: Mapping[str, str | Problem] | None) -> str | Problem:
    if isinstance(image_id, Unreadable):
        return Problem("unreadable-box", image_id.problem)
    if photos is not None:
        return photos.get(image_id) or Problem("box-of-unknown-image", f"images have no id {image_id[:40]}")
    return name_photo(COLLECTION, image_id)


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of ``annotations`` of a COCO instances file; raises InputError where the file is no such file."""
    for chunk in iter_array_chunks(path, ("annotations",), chunk_bytes=chunk_bytes):
        if chunk.first_row == 0:
            _check_flavour(path, chunk.data)
        yield chunk


def _check_flavour(path: str, data: bytes) -> None:
    """Refuses captions, panoptic and MDETR files; in the latter, ``image_id`` is a paragraph's and no photo's."""
    keys = first_keys(data)
    if "tokens_positive" in keys:
        raise InputError(f"{path}: annotations have 'tokens_positive': this is an MDETR file; give it with --mdetr")
    if "bbox" not in keys and "image_id" in keys:
        raise InputError(f"{path}: annotations have no 'bbox': this is no instances file; give instances_*.json")
