"""How much boxes overlap: IoU and generalised IoU of all pairs, in numpy."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Overlap = Callable[[Boxes, Boxes], NDArray[np.float64]]


def iou_matrix(a_xyxy: Boxes, b_xyxy: Boxes) -> NDArray[np.float64]:
    """IoU ``[N, M]`` of corners ``[N, 4]`` and ``[M, 4]``; boxes without area overlap nothing."""
    shared, union = _shared_and_union(a_xyxy, b_xyxy)
    return _share(shared, union)


def giou_matrix(a_xyxy: Boxes, b_xyxy: Boxes) -> NDArray[np.float64]:
    """Generalised IoU ``[N, M]`` in -1..1 (Rezatofighi et al. 2019): IoU less the share of the common hull that neither
    box fills."""
    shared, union = _shared_and_union(a_xyxy, b_xyxy)
    a, b = a_xyxy.reshape(-1, 1, 4), b_xyxy.reshape(1, -1, 4)
    hull = (np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])).clip(0).prod(-1)
    return _share(shared, union) - _share(hull - union, hull)


def hull(boxes_xyxy: Boxes) -> Boxes:
    """The smallest box ``[1, 4]`` around all boxes ``[N, 4]``; none ``[0, 4]`` around none."""
    if not len(boxes_xyxy):
        return np.zeros((0, 4))
    return np.concatenate([boxes_xyxy[:, :2].min(0), boxes_xyxy[:, 2:].max(0)])[None]


def _shared_and_union(a_xyxy: Boxes, b_xyxy: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = a_xyxy.reshape(-1, 1, 4), b_xyxy.reshape(1, -1, 4)
    sides = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0)
    shared = np.asarray(sides.prod(-1))
    union = (a[..., 2:] - a[..., :2]).clip(0).prod(-1) + (b[..., 2:] - b[..., :2]).clip(0).prod(-1) - shared
    return shared, union


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))
