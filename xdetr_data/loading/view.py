"""What part of a photo a batch sees, and how large: crop, size and flip as one value that pixels and boxes obey alike.

A crop is drawn and applied before the resize, so that pixels are resampled once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import Box, Boxes, area_xyxy
from xdetr_data.loading.config import DataConfig

SMALLEST_SIDE = 0.6  # of the photo's: DETR crops sides of 384 to 600 pixels from a shortest side of 400 to 600
CROP_TRIALS = 20
MIN_KEPT = 0.5  # of a named region's area; less of it is no longer the object that a phrase names


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """``crop_xyxy`` in pixels of the photo as it is stored becomes ``out_hw`` pixels, mirrored if ``is_flipped``."""

    crop_xyxy: Box
    out_hw: tuple[int, int]
    is_flipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Boxes ``[R, 4]`` in units of the view (0..1), and the share ``[R]`` of each box's area that it shows."""

    boxes_xyxy_norm: Boxes
    kept: Boxes


def draw_view(
    rng: np.random.Generator,
    size_hw: tuple[int, int],
    safe_boxes_xyxy: Sequence[Box],
    config: DataConfig,
    *,
    may_flip: bool,
) -> View:
    """A random view of a photo that shows at least ``MIN_KEPT`` of every safe box (in pixels)."""
    height, width = size_hw
    shortest = config.shortest_px[int(rng.integers(len(config.shortest_px)))]
    crop: Box = (0.0, 0.0, float(width), float(height))
    if rng.random() < config.crop:
        crop = draw_crop(rng, size_hw, safe_boxes_xyxy)
    is_flipped = bool(rng.random() < config.flip) and may_flip
    size = (int(crop[3] - crop[1]), int(crop[2] - crop[0]))
    return View(crop_xyxy=crop, out_hw=resized_hw(size, shortest, config.longest_px), is_flipped=is_flipped)


def draw_crop(rng: np.random.Generator, size_hw: tuple[int, int], safe_boxes_xyxy: Sequence[Box]) -> Box:
    """The first of some random crops, in whole pixels, that is safe; the whole photo if none of them is."""
    photo_wh = np.array([size_hw[1], size_hw[0]])
    shares = rng.uniform(SMALLEST_SIDE, 1.0, (CROP_TRIALS, 2))
    sides_wh = np.maximum(1, np.round(shares * photo_wh)).astype(np.int64)
    begins_xy = np.floor(rng.random((CROP_TRIALS, 2)) * (photo_wh - sides_wh + 1)).astype(np.int64)
    crops = np.concatenate([begins_xy, begins_xy + sides_wh], axis=1).astype(np.float64)
    if len(safe_boxes_xyxy):
        is_safe = (shown_share(np.asarray(safe_boxes_xyxy)[None], crops[:, None]) >= MIN_KEPT).all(1)
        if not is_safe.any():
            return (0.0, 0.0, float(size_hw[1]), float(size_hw[0]))
        crops = crops[is_safe]
    x0, y0, x1, y1 = crops[0].tolist()
    return (x0, y0, x1, y1)


def shown_share(boxes_xyxy: NDArray[np.float64], crops_xyxy: NDArray[np.float64]) -> Boxes:
    """Share of each box's area inside each crop, broadcast over the leading dimensions."""
    lower = np.maximum(boxes_xyxy[..., :2], crops_xyxy[..., :2])
    upper = np.minimum(boxes_xyxy[..., 2:], crops_xyxy[..., 2:])
    return area_xyxy(np.concatenate([lower, upper], axis=-1)) / np.maximum(area_xyxy(boxes_xyxy), 1e-12)


def resized_hw(size_hw: tuple[int, int], shortest_px: int, longest_px: int) -> tuple[int, int]:
    """DETR's size for a photo: the shortest side as wanted, unless the longest would pass its limit.

    The same arithmetic as the library's ``get_size_with_aspect_ratio``, with at least one pixel a side.
    """
    height, width = size_hw
    short, long = min(size_hw), max(size_hw)
    wanted = float(shortest_px)
    if long / short * shortest_px > longest_px:
        wanted = longest_px * short / long
    rounded = round(wanted)
    if rounded == short:
        return height, width
    other = int((wanted if wanted != shortest_px else shortest_px) * long / short)
    found = (rounded, other) if height <= width else (other, rounded)
    return min(max(1, found[0]), longest_px), min(max(1, found[1]), longest_px)


def see(boxes_xyxy: Sequence[Box], view: View) -> Seen:
    """Boxes in pixels of the photo as the view shows them."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    x0, y0, x1, y1 = view.crop_xyxy
    kept = shown_share(boxes, np.array(view.crop_xyxy))
    norm = np.clip((boxes - [x0, y0, x0, y0]) / [x1 - x0, y1 - y0, x1 - x0, y1 - y0], 0.0, 1.0)
    if view.is_flipped:
        norm = np.stack([1 - norm[:, 2], norm[:, 1], 1 - norm[:, 0], norm[:, 3]], axis=1)
    return Seen(boxes_xyxy_norm=norm, kept=kept)
