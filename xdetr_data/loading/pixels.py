"""Pixels of a view: decoded no larger than needed and resampled once; and how their colours are to be changed."""

from contextlib import suppress

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from xdetr_data.loading.view import View
from xdetr_data.photos.decoding import to_rgb

Pixels = NDArray[np.uint8]
Recolour = tuple[float, ...]  # the 12 numbers of a matrix from (r, g, b, 1) to (r, g, b), row by row

_LUMA = np.array([0.299, 0.587, 0.114])
_MID_GREY = 127.5


def draw_recolour(rng: np.random.Generator, jitter: float) -> Recolour | None:
    """A random change of brightness, contrast (about mid-grey) and saturation by up to ``jitter``, as one matrix."""
    brightness, contrast, saturation = rng.uniform(1 - jitter, 1 + jitter, 3)
    if jitter == 0:
        return None
    matrix = saturation * np.eye(3) + (1 - saturation) * np.tile(_LUMA, (3, 1))
    rows = np.concatenate([brightness * contrast * matrix, np.full((3, 1), (1 - contrast) * _MID_GREY)], axis=1)
    return tuple(rows.ravel().tolist())


def render(photo: Image.Image, view: View) -> Pixels:
    """The view's pixels ``[H, W, 4]``: red, green, blue and a channel without meaning, as Pillow keeps them in memory.

    ``photo`` is one that ``open_photo`` opened. A JPEG that is shown at half its size or less is decoded at that size.
    Raises what ``to_rgb`` does.
    """
    height, width = view.out_hw
    full_hw = (photo.height, photo.width)
    x0, y0, x1, y1 = view.crop_xyxy
    wanted_hw = (full_hw[0] * height / (y1 - y0), full_hw[1] * width / (x1 - x0))
    photo.draft(None, (max(1, int(wanted_hw[1])), max(1, int(wanted_hw[0]))))
    scale = _draft_scale(full_hw, (photo.height, photo.width))
    rgb = to_rgb(photo)
    box = (x0 / scale, y0 / scale, min(x1 / scale, rgb.width), min(y1 / scale, rgb.height))
    if view.is_flipped:  # here, where there are fewest pixels
        rgb = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        box = (rgb.width - box[2], box[1], rgb.width - box[0], box[3])
    if (width, height) != rgb.size or box != (0, 0, width, height):
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return _in_memory(rgb).reshape(height, width, 4)


def _in_memory(rgb: Image.Image) -> Pixels:
    """The bytes of an RGB image, without a copy where Pillow (from 11.2 on) can lend them."""
    if hasattr(rgb, "__arrow_c_array__"):
        with suppress(ValueError):  # a photo of more than 4 million pixels lies in several pieces
            lent: Pixels = pa.array(rgb).flatten().to_numpy(zero_copy_only=True)
            return lent
    return np.frombuffer(rgb.tobytes("raw", "RGBX"), dtype=np.uint8)


def _draft_scale(full_hw: tuple[int, int], drafted_hw: tuple[int, int]) -> int:
    """By what a draft divides coordinates: 1, 2, 4 or 8 (sizes are rounded up, so that they do not tell exactly)."""
    return next(s for s in (1, 2, 4, 8) if all(-(-a // s) == b for a, b in zip(full_hw, drafted_hw, strict=True)))
