"""Phrase grounding: how often the right box is among the best k of a phrase."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.overlap import Overlap, hull, iou_matrix

KS = (1, 5, 10)
LEAST_IOU = 0.5
ALL = "all"

Boxes = NDArray[np.float64]
Protocol = Literal["any", "merged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedPhrase:
    """A phrase's boxes as found, best first ``[K, 4]``, and in truth ``[R, 4]``, both in pixels of the same photo.

    ``tags`` say what kinds of phrase it is (``attributes``, ``people`` ...): each kind is reported apart.
    """

    found_xyxy: Boxes
    true_xyxy: Boxes
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseRecall:
    """``recall[k]`` in 0..1 over ``phrases``; ``bound`` is the same among all boxes that were kept of a phrase: what no
    order of them can exceed."""

    phrases: int
    recall: dict[int, float]
    bound: float

    def scalars(self) -> dict[str, float]:
        """For a log: ``recall@1`` ..."""
        return {"phrases": self.phrases, **{f"recall@{k}": value for k, value in self.recall.items()}}


def phrase_recall(
    phrases: Iterable[GroundedPhrase],
    ks: Sequence[int] = KS,
    least_iou: float = LEAST_IOU,
    *,
    protocol: Protocol = "any",
    overlap: Overlap = iou_matrix,
) -> dict[str, PhraseRecall]:
    """Recall per tag, and under ``all`` of every phrase.

    A phrase counts as found at k if any of its k best boxes has an overlap >= ``least_iou`` with its truth: ``any``
    with **any** of its true boxes, ``merged`` with the hull of them. Both are MDETR's protocols on Flickr30k Entities
    (appendix B of the paper, ``flickr_eval.py``). Referring expressions are the same with one true box; MDETR's
    evaluator takes generalised IoU there (``overlap=giou_matrix``). Phrases without a true box are left out.
    Raises TargetError when ks is empty.
    """
    if not ks or min(ks) < 1:
        raise TargetError(f"ks={tuple(ks)} must name at least one number of boxes, each at least 1")
    ranks: dict[str, list[float]] = {ALL: []}
    for phrase in phrases:
        if not len(phrase.true_xyxy):
            continue
        true = hull(phrase.true_xyxy) if protocol == "merged" else phrase.true_xyxy
        rank = first_hit(phrase.found_xyxy, true, least_iou, overlap)
        for tag in {ALL, *phrase.tags}:
            ranks.setdefault(tag, []).append(rank)
    return {tag: _recall(np.array(found), ks) for tag, found in sorted(ranks.items())}


def _recall(ranks: NDArray[np.float64], ks: Sequence[int]) -> PhraseRecall:
    def share(most: float) -> float:
        return float(np.mean(ranks < most)) if len(ranks) else 0.0

    return PhraseRecall(phrases=len(ranks), recall={k: share(k) for k in ks}, bound=share(float("inf")))


def first_hit(
    found_xyxy: Boxes, true_xyxy: Boxes, least_iou: float = LEAST_IOU, overlap: Overlap = iou_matrix
) -> float:
    """Place (from 0) of the best-ranked box that has enough overlap with any true box; infinity where none has."""
    hits = np.flatnonzero((overlap(found_xyxy, true_xyxy) >= least_iou).any(1))
    return float(hits[0]) if len(hits) else float("inf")
