"""Masks of regions: pixels of one object as COCO's compressed run lengths, at the size of its photo.

Runs go down the columns (format: cocoapi ``maskApi.c``); hotcoco reads and writes them as pycocotools does. It is
imported where a mask is looked at, for training looks at none.
"""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import Box
from xdetr_data.errors import RecordError

Mask = NDArray[np.bool_]


class _Runs(msgspec.Struct, frozen=True, gc=False):
    size: tuple[int, int]
    counts: str | list[Annotated[int, msgspec.Meta(ge=0)]]


_SEGMENTATION = msgspec.json.Decoder(_Runs | list[list[float]] | None)


def encode_mask(mask_HW: Mask) -> str:
    """A mask as the text that a record holds; ``decode_mask`` inverts it."""
    from hotcoco import mask

    counts = mask.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"]
    return counts.decode() if isinstance(counts, bytes) else str(counts)


def decode_mask(counts: str, size_hw: tuple[int, int]) -> Mask:
    """The mask ``[H, W]``; raises RecordError for run lengths that are none, or of another photo's size."""
    from hotcoco import mask

    try:
        pixels = mask.decode({"size": list(size_hw), "counts": counts})
    except ValueError as error:
        raise RecordError(f"mask is no run lengths of {size_hw[1]}x{size_hw[0]} pixels ({error})") from error
    return np.asarray(pixels, dtype=np.bool_)


def check_mask(counts: str, size_hw: tuple[int, int]) -> None:
    """Raises RecordError for run lengths that are none, that do not end with the photo, or that hold no pixel."""
    pixels = decode_mask(counts, size_hw)
    if not pixels.any():
        raise RecordError("mask has no pixel")
    if encode_mask(pixels) != counts:
        raise RecordError(f"mask is cut short, or not written as COCO writes {size_hw[1]}x{size_hw[0]} pixels")


def read_segmentation(data: bytes, size_hw: tuple[int, int]) -> str | None:
    """The mask of COCO's ``segmentation`` (JSON): polygons, or run lengths plain or compressed; None where it has none.

    Raises RecordError for what is no segmentation of a photo of this size, or holds no pixel.
    """
    from hotcoco import mask

    try:
        said = _SEGMENTATION.decode(data)
    except msgspec.DecodeError as error:
        raise RecordError(f"segmentation is none ({error})") from error
    if not said:
        return None
    if isinstance(said, _Runs):
        if tuple(said.size) != size_hw:
            raise RecordError(f"segmentation is of {said.size} pixels, the photo of {list(size_hw)}")
        counts = said.counts if isinstance(said.counts, str) else _from_runs(said.counts, size_hw)
    else:
        farthest = 2 * max(size_hw)  # an outline is walked point by point
        for polygon in said:
            if len(polygon) < 6 or len(polygon) % 2 or not all(-farthest <= at <= farthest for at in polygon):
                raise RecordError(f"segmentation has a polygon of {len(polygon)} numbers, or one far off the photo")
        merged = mask.merge(mask.frPyObjects(said, *size_hw))["counts"]
        counts = merged.decode() if isinstance(merged, bytes) else str(merged)
    check_mask(counts, size_hw)
    return counts


def _from_runs(runs: list[int], size_hw: tuple[int, int]) -> str:
    if sum(runs) != size_hw[0] * size_hw[1]:
        raise RecordError(f"segmentation's runs hold {sum(runs)} pixels, the photo {size_hw[0] * size_hw[1]}")
    values = np.arange(len(runs)) % 2 == 1
    return encode_mask(np.repeat(values, runs).reshape(size_hw, order="F"))


def mask_in_box(counts: str, size_hw: tuple[int, int], box_xyxy: Box) -> Mask:
    """The part of a mask within the whole pixels that a box touches, as viewers take it."""
    x0, y0, x1, y1 = box_xyxy
    rows, columns = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
    return decode_mask(counts, size_hw)[rows, columns]


def mask_outlines(counts: str, size_hw: tuple[int, int]) -> list[NDArray[np.float64]]:
    """The closed outlines of a mask, those of its holes among them: ``[N, 2]`` x and y in pixels of the photo."""
    from contourpy import contour_generator

    padded = np.pad(decode_mask(counts, size_hw).astype(np.float64), 1)
    # a pixel's value stands at its centre; of the border, one pixel was added
    return [np.asarray(line, dtype=np.float64) - 0.5 for line in contour_generator(z=padded).lines(0.5)]
