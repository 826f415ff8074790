"""Class-agnostic average precision and recall, as COCO counts them (one class for everything)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.average_precision import SIZES, Curves, average, class_agnostic_curves
from xdetr_model.evaluate.columns import Found, Truth, photo_numbers

LIMITS = (1, 10, 100, 300)  # boxes of a photo that recall looks at
MOST_DETECTIONS = 100  # per photo, for average precision, as COCO does

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBoxes:
    """What a network says of a photo: ``boxes_xyxy [K, 4]`` in pixels and ``scores [K]`` (any scale, in any order)."""

    boxes_xyxy: Boxes
    scores: NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueBoxes:
    """What is on a photo: ``boxes_xyxy [R, 4]`` in pixels. A crowd's box (``is_crowd [R]``, none if left out) is
    neither to be found nor an error when found."""

    boxes_xyxy: Boxes
    is_crowd: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxScores:
    """In 0..1. ``ap`` is the mean over IoU 0.5, 0.55 ... 0.95 of 100 boxes per photo; ``ar`` the recall among the best
    k boxes of a photo, mean over the same; ``ap_by_size`` and ``ar_by_size`` (of 100) are NaN where no box has the size
    (small: to 32² pixels, medium: to 96²). ``photos`` and ``regions`` (without crowds) are what they were measured on.
    """

    ap: float
    ap50: float
    ap75: float
    ap_by_size: dict[str, float]
    ar: dict[int, float]
    ar_by_size: dict[str, float]
    photos: int
    regions: int
    curves: Curves

    @property
    def ar100(self) -> float:
        """Recall among 100 boxes per photo."""
        return self.ar[MOST_DETECTIONS]

    def scalars(self) -> dict[str, float]:
        """For a log."""
        return dict(self._scalars())

    def _scalars(self) -> Iterator[tuple[str, float]]:
        yield from (("ap", self.ap), ("ap50", self.ap50), ("ap75", self.ap75))
        yield from ((f"ap_{size}", value) for size, value in self.ap_by_size.items() if not np.isnan(value))
        yield from ((f"ar{limit}", value) for limit, value in self.ar.items())
        yield from ((f"ar_{size}", value) for size, value in self.ar_by_size.items() if not np.isnan(value))
        yield from (("photos", self.photos), ("regions", self.regions))


def box_scores(found: Sequence[FoundBoxes], truth: Sequence[TrueBoxes], limits: Sequence[int] = LIMITS) -> BoxScores:
    """One entry of each per photo. Raises TargetError when no photo has a box that counts, or a number differs."""
    if len(found) != len(truth):
        raise TargetError(f"boxes found on {len(found)} photos, but the truth of {len(truth)}")
    known = _truth(truth)
    regions = int((~known.is_crowd).sum())
    if not regions:
        raise TargetError(f"none of {len(truth)} photos has a box: there is no average precision without one")
    limits = sorted({*limits, MOST_DETECTIONS})
    curves = class_agnostic_curves(_found(found), known, photos=len(truth), limits=limits)
    at_100 = limits.index(MOST_DETECTIONS)
    precision, recall = curves.precision[:, :, 0], curves.recall[:, 0]
    return BoxScores(
        ap=average(precision[:, :, 0, at_100]),
        ap50=average(precision[0, :, 0, at_100]),
        ap75=average(precision[5, :, 0, at_100]),
        ap_by_size={size: average(precision[:, :, i, at_100]) for i, size in enumerate(SIZES) if i},
        ar={limit: average(recall[:, 0, i]) for i, limit in enumerate(limits)},
        ar_by_size={size: average(recall[:, i, at_100]) for i, size in enumerate(SIZES) if i},
        photos=len(truth),
        regions=regions,
        curves=curves,
    )


def _found(photos: Sequence[FoundBoxes]) -> Found:
    boxes = [np.asarray(one.boxes_xyxy, np.float64).reshape(-1, 4) for one in photos]
    for number, (one, own) in enumerate(zip(photos, boxes, strict=True)):
        if len(one.scores) != len(own):
            raise TargetError(f"photo {number}: {len(own)} boxes found, but scores of {len(one.scores)}")
    photo = photo_numbers([len(one) for one in boxes])
    return Found(
        photo=photo,
        label=np.zeros_like(photo),
        boxes_xyxy=np.concatenate(boxes),
        scores=np.concatenate([np.asarray(one.scores, np.float64) for one in photos]),
    )


def _truth(photos: Sequence[TrueBoxes]) -> Truth:
    boxes = [np.asarray(one.boxes_xyxy, np.float64).reshape(-1, 4) for one in photos]
    crowds = [
        np.zeros(len(own), np.bool_) if one.is_crowd is None else np.asarray(one.is_crowd, np.bool_)
        for one, own in zip(photos, boxes, strict=True)
    ]
    for number, (own, crowd) in enumerate(zip(boxes, crowds, strict=True)):
        if len(own) != len(crowd):
            raise TargetError(f"photo {number}: {len(own)} true boxes but is_crowd for {len(crowd)}")
    photo = photo_numbers([len(one) for one in boxes])
    return Truth(
        photo=photo,
        label=np.zeros_like(photo),
        boxes_xyxy=np.concatenate([*boxes, np.zeros((0, 4))]),
        is_crowd=np.concatenate([*crowds, np.zeros(0, np.bool_)]),
    )
