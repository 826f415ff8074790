"""What several grounders say of a phrase, as one list of candidates.

Boxes of different grounders that overlap are one object (as in weighted boxes fusion, Solovyev et al. 2021, with equal
weights): its box is the mean of theirs. Its score is the mean over *all* grounders of what each says of it; one that
kept no such box says of it what the worst candidate of the phrase scored. Scores must be comparable: of grounders whose
scores mean different things, calibrate them first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import iou_matrix_xyxy

MIN_IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """An object that some grounders see: ``box_xyxy [4]``, its score, and the candidates that are it, best first."""

    box_xyxy: NDArray[np.float64]
    score: float
    members: tuple[int, ...]


def agree(
    boxes_xyxy: NDArray[np.float64], scores: Sequence[float], teacher: Sequence[int], *, least: int
) -> list[Agreed]:
    """The objects that at least so many grounders see, best first.

    Args:
        boxes_xyxy: ``[K, 4]`` in pixels, of all grounders.
        scores: ``[K]``, comparable.
        teacher: ``[K]``, whose each is.
        least: how many grounders must see an object.
    """
    everybody, worst = sorted(set(teacher)), min(scores, default=0.0)
    iou = iou_matrix_xyxy(boxes_xyxy, boxes_xyxy)
    groups: list[list[int]] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        near = [group for group in groups if iou[i, group[0]] >= MIN_IOU]
        if not near:
            groups.append([i])
            continue
        home = max(near, key=lambda group: iou[i, group[0]])
        if all(teacher[j] != teacher[i] for j in home):  # its own worse box of the same object says nothing new
            home.append(i)
    found = [
        Agreed(
            box_xyxy=boxes_xyxy[group].mean(axis=0),
            score=float(np.mean([next((scores[i] for i in group if teacher[i] == one), worst) for one in everybody])),
            members=tuple(group),
        )
        for group in groups
        if len(group) >= least
    ]
    return sorted(found, key=lambda one: (-one.score, one.members))
