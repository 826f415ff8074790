"""COCO's (and LVIS's) instances JSON. Boxes are ``[x, y, w, h]`` in pixels; ``iscrowd`` boxes hold many objects."""

from collections.abc import Iterator

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.json_stream import CHUNK_BYTES, ArrayChunk, Unreadable, elements, iter_array_chunks


class CocoBox(msgspec.Struct, frozen=True, gc=False):
    """One entry of ``annotations[]`` without its segmentation; ``area`` is the segment's, not the box's."""

    id: int | str
    image_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: bool | int = False


_BOX = msgspec.json.Decoder(CocoBox)


def parse_box(data: bytes) -> CocoBox | Unreadable:
    """One element of ``annotations[]`` from its JSON bytes."""
    try:
        return _BOX.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(problem=str(error))


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of ``annotations`` of a COCO instances file; raises InputError where the file is no such file."""
    for chunk in iter_array_chunks(path, ("annotations",), chunk_bytes=chunk_bytes):
        if chunk.first_row == 0:
            _check_flavour(path, chunk.data)
        yield chunk


def _check_flavour(path: str, data: bytes) -> None:
    """Refuses captions, panoptic and MDETR files; in the latter, ``image_id`` is a paragraph's and no photo's."""
    try:
        keys = msgspec.json.decode(elements(data)[0], type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # a damaged first record is that record's reject, not the file's
    if "tokens_positive" in keys:
        raise InputError(f"{path}: annotations have 'tokens_positive': this is an MDETR file; give it with --mdetr")
    if "bbox" not in keys and "image_id" in keys:
        raise InputError(f"{path}: annotations have no 'bbox': this is no instances file; correct --coco-instances")
