"""First stage of two-stage Deformable DETR: every position of the encoder proposes a box (paper, appendix A.4).

Legend: B photos, S positions of all levels, K kept proposals.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from xdetr_model.network.precision import full

BASE_SIDE_NORM = 0.05  # side of a proposal at the finest level, doubled per level


class Proposals(NamedTuple):
    """``objectness_logits [B, S]``, ``box_logits_cxcywh [B, S, 4]`` (before the sigmoid; +inf where not usable),
    ``is_usable [B, S]``: on the photo and not at its very edge."""

    objectness_logits: Tensor
    box_logits_cxcywh: Tensor
    is_usable: Tensor


def inverse_sigmoid(values: Tensor, eps: float = 1e-5) -> Tensor:
    """Logit of values clamped to ``eps .. 1 - eps`` as the library does it."""
    inside = values.clamp(min=0, max=1)
    return torch.log(inside.clamp(min=eps) / (1 - inside).clamp(min=eps))


def refine(delta: Tensor, reference: Tensor) -> Tensor:
    """Box ``cx cy w h`` in 0..1 from a head's output and a reference point ``[.., 2]`` or box ``[.., 4]``."""
    offset = inverse_sigmoid(full(reference))
    if reference.shape[-1] == 2:
        offset = torch.cat([offset, torch.zeros_like(offset)], -1)
    return (full(delta) + offset).sigmoid()


def grid_proposals(mask_BS: Tensor, shapes_hw: Sequence[tuple[int, int]], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Logits ``[B, S, 4]`` of a box around every position, and which of them are usable ``[B, S]``."""
    boxes, start = [], 0
    for level, (height, width) in enumerate(shapes_hw):
        mask = mask_BS[:, start : start + height * width].view(-1, height, width)
        start += height * width
        valid_hw = torch.stack([mask[:, :, 0].sum(1), mask[:, 0, :].sum(1)], -1).to(dtype)
        rows = torch.arange(height, device=mask.device, dtype=dtype) + 0.5
        columns = torch.arange(width, device=mask.device, dtype=dtype) + 0.5
        y = (rows / valid_hw[:, :1])[:, :, None].expand(-1, height, width)
        x = (columns / valid_hw[:, 1:])[:, None, :].expand(-1, height, width)
        side = torch.full_like(x, BASE_SIDE_NORM * 2.0**level)
        boxes.append(torch.stack([x, y, side, side], -1).flatten(1, 2))
    box = torch.cat(boxes, 1)
    usable = mask_BS & ((box > 0.01) & (box < 0.99)).all(-1)
    return torch.log(box / (1 - box)).masked_fill(~usable[..., None], math.inf), usable


def pick_proposals(proposals: Proposals, rankable_BS: Tensor, count: int) -> Tensor:
    """Box logits ``[B, K, 4]``, without gradient, of the best positions; K is smaller on a tiny photo."""
    scores = proposals.objectness_logits.detach().masked_fill(~rankable_BS, -math.inf)
    best = scores.topk(min(count, scores.shape[1]), dim=1).indices
    boxes = proposals.box_logits_cxcywh.detach()
    return boxes.gather(1, best[..., None].expand(-1, -1, 4))


def proposal_embedding(box_logits_BK4: Tensor, features: int) -> Tensor:
    """Sine embedding ``[B, K, 4 * features]`` of boxes."""
    index = torch.arange(features, dtype=box_logits_BK4.dtype, device=box_logits_BK4.device)
    period = 10000 ** (2 * torch.div(index, 2, rounding_mode="floor") / features)
    angle = (box_logits_BK4.sigmoid() * 2 * math.pi)[..., None] / period
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=4).flatten(2)
