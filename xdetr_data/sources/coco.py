"""COCO's (and LVIS's) instances JSON. Boxes are ``[x, y, w, h]`` in pixels; ``iscrowd`` boxes hold many objects."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xdetr_data.errors import InputError
from xdetr_data.photos import photo_name
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import first_keys, parse_record, read_image_ids
from xdetr_data.sources.framing.json_stream import iter_array_chunks
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source


class CocoBox(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``annotations[]`` without its segmentation; ``area`` is the segment's, not the box's."""

    id: int | str
    image_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: bool | int = False


_BOX = msgspec.json.Decoder(CocoBox)


def parse_box(data: bytes) -> CocoBox | Unreadable:
    """One element of ``annotations[]`` from its JSON bytes."""
    return parse_record(_BOX, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoInstances(Source):
    """A file of COCO's boxes; ``image_id`` is the number of a COCO photo."""

    role = "coco-instances"
    kinds = (Kind(unit="box", array="annotations"),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of ``annotations``."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each box."""
        ids, problems = read_image_ids(chunk)
        return Heads(
            row=chunk.first_row + np.arange(len(ids)),
            photo=pc.binary_join_element_wise(photo_name("coco", ""), ids.cast(pa.string()), ""),
            problems={row: Problem("unreadable-box", problem) for row, problem in problems.items()},
        )


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
        raise InputError(f"{path}: annotations have no 'bbox': this is no instances file; correct --coco-instances")
