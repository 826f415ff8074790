"""Which prediction answers for which box: the cheapest one-to-one assignment (DETR, eq. 1), without classes.

Legend: L layers, B photos, Q predictions of a photo, R boxes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from xdetr_model.boxes import cxcywh_to_xyxy, giou_xyxy
from xdetr_model.errors import NonFiniteError
from xdetr_model.network.configuration import DetectionWeights, ObjectnessLoss


class Matches(NamedTuple):
    """``photo [M]``, ``prediction [M]`` (within its photo) and ``region [M]`` (within the batch), sorted by region."""

    photo: Tensor
    prediction: Tensor
    region: Tensor


def matching_cost(
    objectness_logits_LQ: Tensor,
    predicted_cxcywh_norm_LQ4: Tensor,
    boxes_cxcywh_norm_R4: Tensor,
    costs: DetectionWeights,
    objectness: ObjectnessLoss,
) -> Tensor:
    """Cost ``[L, Q, R]``: objectness, L1 and 1 - GIoU, weighted. Objectness is the negated probability (DETR), or
    with the focal loss what becoming positive changes in it (Deformable DETR)."""
    probability = objectness_logits_LQ.sigmoid()
    if objectness.kind == "focal":
        positive = objectness.alpha * (1 - probability) ** objectness.gamma * -(probability + 1e-8).log()
        negative = (1 - objectness.alpha) * probability**objectness.gamma * -(1 - probability + 1e-8).log()
        score = positive - negative
    else:
        score = -probability
    predicted, boxes = predicted_cxcywh_norm_LQ4[:, :, None], boxes_cxcywh_norm_R4[None, None]
    distance = (predicted - boxes).abs().sum(-1)
    overlap = giou_xyxy(cxcywh_to_xyxy(predicted), cxcywh_to_xyxy(boxes))
    return costs.objectness * score[..., None] + costs.l1 * distance + costs.giou * (1 - overlap)


@torch.no_grad()
def match_layers(
    objectness_logits_LBQ: Tensor,
    predicted_cxcywh_norm_LBQ4: Tensor,
    boxes_cxcywh_norm_R4: Tensor,
    regions_per_photo: Sequence[int],
    costs: DetectionWeights,
    objectness: ObjectnessLoss,
) -> list[Matches]:
    """Match every photo's boxes in every layer. Of more boxes than predictions the cheapest Q are matched.

    Raises NonFiniteError, naming the photo's place in the batch, when a prediction is NaN or infinite.
    """
    layers, _, count = objectness_logits_LBQ.shape
    blocks = [
        matching_cost(
            objectness_logits_LBQ[:, photo], predicted_cxcywh_norm_LBQ4[:, photo], boxes, costs, objectness
        ).flatten(1)
        for photo, boxes in enumerate(torch.split(boxes_cxcywh_norm_R4, list(regions_per_photo)))
    ]
    # one transfer for all photos and layers: each would make the device wait
    joined = torch.cat(blocks, 1).float().cpu().numpy() if blocks else np.zeros((layers, 0), np.float32)
    return [_assign(joined[layer], count, regions_per_photo, objectness_logits_LBQ.device) for layer in range(layers)]


def _assign(
    costs_flat: NDArray[np.float32], count: int, regions_per_photo: Sequence[int], device: torch.device
) -> Matches:
    found: list[tuple[int, int, int]] = []
    start = first = 0
    for photo, regions in enumerate(regions_per_photo):
        cost = costs_flat[start : start + count * regions].reshape(count, regions)
        if not np.isfinite(cost).all():
            raise NonFiniteError(
                f"photo {photo} of the batch: the network predicts NaN or infinite boxes; lower the learning rate "
                "or clip gradients"
            )
        predictions, columns = linear_sum_assignment(cost)
        found += [(photo, int(q), first + int(r)) for q, r in zip(predictions, columns, strict=True)]
        start, first = start + count * regions, first + regions
    table = torch.tensor(sorted(found, key=lambda m: m[2]), dtype=torch.long, device=device).reshape(-1, 3)
    return Matches(table[:, 0], table[:, 1], table[:, 2])
