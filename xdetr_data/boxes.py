"""The only arithmetic on coordinates. Boxes are ``[..., 4]`` float64; the format and unit are in every name."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Box = tuple[float, float, float, float]
Boxes = NDArray[np.float64]


def xywh_to_xyxy(box_xywh: Sequence[float]) -> Box:
    """``[x, y, width, height]`` → ``[x0, y0, x1, y1]``, same unit."""
    x, y, w, h = box_xywh
    return (x, y, x + w, y + h)


def xyxy_to_xywh(box_xyxy: Sequence[float]) -> Box:
    """``[x0, y0, x1, y1]`` → ``[x, y, width, height]``, same unit."""
    x0, y0, x1, y1 = box_xyxy
    return (x0, y0, x1 - x0, y1 - y0)


def exact_xyxy_to_xywh(box_xyxy: Sequence[float]) -> Box:
    """The same, width and height such that ``xywh_to_xyxy`` gives the far edges back to the last bit where any does."""
    x0, y0, x1, y1 = box_xyxy
    return (x0, y0, _side(x0, x1), _side(y0, y1))


def _side(low: float, high: float) -> float:
    """A length which added to ``low`` is ``high``; where rounding knows none, the difference."""
    side = high - low
    if low + side == high:
        return side
    near = (math.nextafter(side, -math.inf), math.nextafter(side, math.inf))
    return next((one for one in near if low + one == high), side)


def scale_xyxy(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> Box:
    """Box in units of the photo (0..1) → pixels."""
    x0, y0, x1, y1 = box_xyxy
    height, width = size_hw
    return (x0 * width, y0 * height, x1 * width, y1 * height)


def normalise_xyxy(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> Box:
    """Box in pixels → units of the photo (0..1)."""
    x0, y0, x1, y1 = box_xyxy
    height, width = size_hw
    return (x0 / width, y0 / height, x1 / width, y1 / height)


def clip_xyxy(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> Box:
    """The part of a box in pixels that lies on the photo; may have no area."""
    x0, y0, x1, y1 = box_xyxy
    height, width = size_hw
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return (x0, y0, x1, y1)
    return (
        min(max(x0, 0.0), float(width)),
        min(max(y0, 0.0), float(height)),
        min(max(x1, 0.0), float(width)),
        min(max(y1, 0.0), float(height)),
    )


def area_xyxy(boxes_xyxy: ArrayLike) -> Boxes:
    """Areas ``[...]`` of boxes ``[..., 4]``; a box with negative sides has area 0."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0.0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def centres_xy_norm(boxes_xyxy: ArrayLike, sizes_hw: ArrayLike) -> Boxes:
    """Centres ``[N, 2]`` in units of the photo (0..1) of boxes ``[N, 4]`` in pixels of photos ``[N, 2]``."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    sizes = np.asarray(sizes_hw, dtype=np.float64).reshape(-1, 2)
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2 / sizes[:, ::-1])


def iou_matrix_xyxy(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> Boxes:
    """Intersection over union ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``; 0 where the union is empty."""
    a = np.asarray(a_xyxy, dtype=np.float64).reshape(-1, 4)
    b = np.asarray(b_xyxy, dtype=np.float64).reshape(-1, 4)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    np.clip(sides, 0.0, None, out=sides)
    intersection = sides[..., 0] * sides[..., 1]
    union = area_xyxy(a)[:, None] + area_xyxy(b)[None, :] - intersection
    iou: Boxes = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou


def overlapping_pairs_xyxy(boxes_xyxy: Sequence[Box], min_iou: float) -> list[tuple[int, int]]:
    """Pairs ``i < j`` of boxes with an IoU above ``min_iou``; for a caption's few boxes, where numpy is slower."""
    pairs: list[tuple[int, int]] = []
    for j, (bx0, by0, bx1, by1) in enumerate(boxes_xyxy):
        for i in range(j):
            ax0, ay0, ax1, ay1 = boxes_xyxy[i]
            width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
            if width > 0 and height > 0:
                both = width * height
                if both > min_iou * ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both):
                    pairs.append((i, j))
    return pairs
