"""Masks of regions: pixels of one object as COCO's compressed run lengths, at the size of its photo.

Runs go down the columns (format: cocoapi ``maskApi.c``); hotcoco reads and writes them as pycocotools does. It is
imported where a mask is looked at, for training looks at none.
"""

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import Box
from xdetr_data.errors import RecordError

Mask = NDArray[np.bool_]


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
