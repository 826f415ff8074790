"""Arithmetic on boxes as tensors. The format and unit are in every name; ``norm`` = in units of the photo, 0..1."""

import torch
from torch import Tensor


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """Centre and size ``[..., 4]`` → corners, same unit."""
    centre, size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def xyxy_to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """Corners ``[..., 4]`` → centre and size, same unit."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def area_xyxy(boxes_xyxy: Tensor) -> Tensor:
    """Areas ``[...]``; a box with a negative side has area 0."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0).prod(-1)


def giou_xyxy(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al. 2019) of broadcastable boxes ``[..., 4]``, in -1..1.

    A union or hull without area counts as 0 / 0 = 0, so two equal points score 0 - 0 and no NaN appears.
    """
    tiny = torch.finfo(a_xyxy.dtype).tiny
    low = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    union = area_xyxy(a_xyxy) + area_xyxy(b_xyxy) - inter
    hull_low = torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    hull_high = torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    hull = (hull_high - hull_low).clamp(min=0).prod(-1)
    return inter / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def giou_matrix_xyxy(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Generalised IoU ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``."""
    return giou_xyxy(a_xyxy[:, None], b_xyxy[None])
