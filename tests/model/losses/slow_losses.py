"""The equations of the supplement written out loop by loop in plain Python; slow, and the standard to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import exp, log, log1p

Vector = Sequence[float]
Box = Sequence[float]


@dataclass(frozen=True)
class Weights:
    objectness: float = 1.0
    giou: float = 2.0
    l1: float = 5.0


def corners(box: Box) -> tuple[float, float, float, float]:
    cx, cy, w, h = box
    return (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)


def giou(a_cxcywh: Box, b_cxcywh: Box) -> float:
    a, b = corners(a_cxcywh), corners(b_cxcywh)
    inter = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inter / union - (hull - union) / hull


def l1(a: Box, b: Box) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def cross_entropy(logit: float, is_object: bool) -> float:
    return log1p(exp(-logit)) if is_object else log1p(exp(logit))


def focal(logit: float, is_object: bool, alpha: float, gamma: float) -> float:
    p = sigmoid(logit)
    if is_object:
        return -alpha * (1 - p) ** gamma * log(p)
    return -(1 - alpha) * p**gamma * log(1 - p)


def best_assignment(
    logits: Sequence[float], boxes: Sequence[Box], wanted: Sequence[Box], weights: Weights
) -> dict[int, int]:
    """Prediction → wanted box, by trying all assignments."""

    def cost(q: int, r: int) -> float:
        return (
            -weights.objectness * sigmoid(logits[q])
            + weights.l1 * l1(boxes[q], wanted[r])
            + weights.giou * (1 - giou(boxes[q], wanted[r]))
        )

    orders = permutations(range(len(boxes)), len(wanted))
    best = min(orders, key=lambda order: sum(cost(q, r) for r, q in enumerate(order)))
    return {q: r for r, q in enumerate(best)}


def detection(
    logits_BQ: Sequence[Sequence[float]],
    boxes_BQ4: Sequence[Sequence[Box]],
    wanted: Sequence[Sequence[Box]],
    assigned: Sequence[dict[int, int]],
) -> tuple[float, float, float]:
    """L_cls, 1 - GIoU and L1 of one layer, over the number of boxes of the batch."""
    number = max(1, sum(len(w) for w in wanted))
    first = second = third = 0.0
    for photo, assignment in enumerate(assigned):
        for q, logit in enumerate(logits_BQ[photo]):
            first += cross_entropy(logit, q in assignment)
        for q, r in assignment.items():
            second += 1 - giou(boxes_BQ4[photo][q], wanted[photo][r])
            third += l1(boxes_BQ4[photo][q], wanted[photo][r])
    return first / number, second / number, third / number


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def info_nce(
    rows: Sequence[Vector], columns: Sequence[Vector], positives: dict[int, set[int]], temperature: float
) -> float:
    """Eq. 4-7: for row i the mean over its positives j of -log( exp(s_ij / t) / sum_k exp(s_ik / t) ), averaged."""
    total, counted = 0.0, 0
    for i, row in enumerate(rows):
        if not positives.get(i):
            continue
        spread = sum(exp(dot(row, column) / temperature) for column in columns)
        terms = [-log(exp(dot(row, columns[j]) / temperature) / spread) for j in sorted(positives[i])]
        total += sum(terms) / len(terms)
        counted += 1
    return total / max(1, counted)
