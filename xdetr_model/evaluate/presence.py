"""Whether a model finds what is there and invents nothing: SA-Co's cgF1 over phrases that are there or verified absent.

Source: SAM 3 (Carion et al. 2025), sec. "Metrics": classification-gated F1 = positive micro-F1 × image-level MCC. It
sees boxes above one threshold of the score alone, as a user does. SA-Co measures masks; these are boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.average_precision import IOUS
from xdetr_model.evaluate.overlap import iou_matrix

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPhrase:
    """A phrase that a photo was asked for: boxes found ``[K, 4]`` with ``scores [K]``, and all true boxes ``[R, 4]``,
    none where it is verified absent."""

    found_xyxy: Boxes
    scores: NDArray[np.float64]
    true_xyxy: Boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceScores:
    """At one threshold. ``f1`` (pmF1) is over the phrases that are there, mean over IoU 0.5 ... 0.95; ``mcc`` is
    Matthews' correlation of "anything found" with "anything there", 0 where either never changes; ``cgf1`` their
    product. ``invented`` and ``missed`` are shares of the absent and of the present phrases."""

    threshold: float
    f1: float
    mcc: float
    invented: float
    missed: float
    present: int
    absent: int

    @property
    def cgf1(self) -> float:
        """The two in one figure."""
        return self.f1 * self.mcc

    def scalars(self) -> dict[str, float]:
        """For a log."""
        shown = ("f1", "mcc", "invented", "missed", "threshold", "present", "absent")
        return {"cgf1": self.cgf1, **{name: getattr(self, name) for name in shown}}


def presence_scores(phrases: Sequence[AskedPhrase], threshold: float) -> PresenceScores:
    """Scores with the boxes that reach ``threshold``. Raises TargetError where no phrase is there or none is absent."""
    is_there = np.array([len(one.true_xyxy) > 0 for one in phrases], dtype=np.bool_)
    if is_there.all() or not is_there.any():
        which = "absent" if len(phrases) and is_there.all() else "there"
        raise TargetError(f"none of {len(phrases)} phrases is {which}: presence needs phrases of both kinds")
    counts = np.zeros((len(IOUS), 3))  # right, wrong, missed
    is_found = np.zeros(len(phrases), np.bool_)
    for number, one in enumerate(phrases):
        boxes = one.found_xyxy[one.scores >= threshold]
        is_found[number] = len(boxes) > 0
        if is_there[number]:
            counts += count_pairs(boxes, one.true_xyxy)
    right, wrong, missed = counts.T
    return PresenceScores(
        threshold=threshold,
        f1=float(np.mean(2 * right / (2 * right + wrong + missed))),
        mcc=matthews(is_found, is_there),
        invented=float(is_found[~is_there].mean()),
        missed=float(1 - is_found[is_there].mean()),
        present=int(is_there.sum()),
        absent=int((~is_there).sum()),
    )


def threshold_curve(phrases: Sequence[AskedPhrase], steps: int = 50) -> list[PresenceScores]:
    """Scores at ``steps`` thresholds, quantiles of the best score of each phrase, ascending: a curve to choose from.

    Raises TargetError as ``presence_scores`` does.
    """
    tops = np.array([one.scores.max() for one in phrases if len(one.scores)])
    chosen = np.unique(np.quantile(tops, np.linspace(0, 1, steps))) if len(tops) else np.zeros(1)
    return [presence_scores(phrases, float(one)) for one in chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceBound:
    """A phrase that scores less than ``bound`` everywhere is taken to be absent: of those phrases at most ``rate`` were
    there, and so ``found`` of all that are absent are found. ``bound`` is None where not even one can be found so."""

    rate: float
    bound: float | None
    found: float


def absence_bounds(phrases: Sequence[AskedPhrase], rates: Sequence[float]) -> list[AbsenceBound]:
    """For each error rate the highest bound that keeps to it on these phrases; one without boxes says nothing."""
    told = [one for one in phrases if len(one.scores)]
    best = np.array([one.scores.max() for one in told], dtype=np.float64)
    order = np.argsort(best, kind="stable")
    is_there = np.array([len(one.true_xyxy) > 0 for one in told], dtype=np.bool_)[order]
    best = best[order]
    wrong, below = np.cumsum(is_there), np.arange(1, len(best) + 1)
    next_best = np.append(best[1:], np.inf) if len(best) else best
    absent = sum(not len(one.true_xyxy) for one in phrases)
    found = []
    for rate in rates:
        able = np.flatnonzero((wrong <= rate * below) & (best < next_best))  # what is equal falls together
        last = int(able[-1]) if len(able) else -1
        bound = (
            None if last < 0 else float(next_best[last]) if np.isfinite(next_best[last]) else float(best[last]) + 1e-6
        )
        share = float((below[last] - wrong[last]) / absent) if last >= 0 and absent else 0.0
        found.append(AbsenceBound(rate=rate, bound=bound, found=share))
    return found


def count_pairs(found_xyxy: Boxes, true_xyxy: Boxes) -> NDArray[np.float64]:
    """Right, wrong and missed boxes ``[T, 3]`` at each of ``IOUS``, of the one-to-one match with the most IoU."""
    iou = iou_matrix(found_xyxy, true_xyxy)
    rows, columns = linear_sum_assignment(-iou)
    right = (iou[rows, columns][None, :] >= np.array(IOUS)[:, None]).sum(1)
    return np.stack([right, len(found_xyxy) - right, len(true_xyxy) - right], axis=1).astype(np.float64)


def matthews(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Correlation of two yes-or-no answers in -1..1; 0 where one of them never changes."""
    if said.all() or not said.any() or true.all() or not true.any():
        return 0.0
    return float(np.corrcoef(said, true)[0, 1])
