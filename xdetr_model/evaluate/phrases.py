"""Phrase grounding: how often the right box is among the best k of a phrase."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdetr_model.errors import TargetError

KS = (1, 5, 10)
LEAST_IOU = 0.5
ALL = "all"

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedPhrase:
    """A phrase's boxes as found, best first ``[K, 4]``, and in truth ``[R, 4]``, both in pixels of the same photo.

    ``tag`` says what kind of phrase it is (``attributes``, ``relation`` ...): each kind is reported apart.
    """

    found_xyxy: Boxes
    true_xyxy: Boxes
    tag: str = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseRecall:
    """``recall[k]`` in 0..1 over ``phrases``."""

    phrases: int
    recall: dict[int, float]

    def scalars(self) -> dict[str, float]:
        """For a log: ``recall@1`` ..."""
        return {"phrases": self.phrases, **{f"recall@{k}": value for k, value in self.recall.items()}}


def phrase_recall(
    phrases: Iterable[GroundedPhrase], ks: Sequence[int] = KS, least_iou: float = LEAST_IOU
) -> dict[str, PhraseRecall]:
    """Recall per tag, and under ``all`` of every phrase.

    A phrase counts as found at k if **any** of its k best boxes has IoU >= ``least_iou`` with **any** of its true boxes
    (the "any box" protocol of MDETR on Flickr30k Entities, which is also that of the field's tables; a phrase of
    several boxes needs one of them only). Phrases without a true box are left out. Raises TargetError when ks is empty.
    """
    if not ks or min(ks) < 1:
        raise TargetError(f"ks={tuple(ks)} must name at least one number of boxes, each at least 1")
    ranks: dict[str, list[float]] = {ALL: []}
    for phrase in phrases:
        if not len(phrase.true_xyxy):
            continue
        rank = first_hit(phrase.found_xyxy, phrase.true_xyxy, least_iou)
        for tag in {ALL, phrase.tag}:
            ranks.setdefault(tag, []).append(rank)
    return {
        tag: PhraseRecall(
            phrases=len(found), recall={k: float(np.mean(np.array(found) < k)) if found else 0.0 for k in ks}
        )
        for tag, found in sorted(ranks.items())
    }


def first_hit(found_xyxy: Boxes, true_xyxy: Boxes, least_iou: float = LEAST_IOU) -> float:
    """Place (from 0) of the best-ranked box that has enough IoU with any true box; infinity where none has."""
    hits = np.flatnonzero((iou_matrix(found_xyxy, true_xyxy) >= least_iou).any(1))
    return float(hits[0]) if len(hits) else float("inf")


def iou_matrix(a_xyxy: Boxes, b_xyxy: Boxes) -> NDArray[np.float64]:
    """IoU ``[N, M]`` of corners ``[N, 4]`` and ``[M, 4]``; boxes without area overlap nothing."""
    a, b = a_xyxy.reshape(-1, 1, 4), b_xyxy.reshape(1, -1, 4)
    sides = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0)
    shared = sides.prod(-1)
    union = (a[..., 2:] - a[..., :2]).clip(0).prod(-1) + (b[..., 2:] - b[..., :2]).clip(0).prod(-1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
