"""Boxes of many photos as columns: what was found on them and what is there, by number of photo and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdetr_model.errors import TargetError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """N boxes: ``photo [N]`` and ``label [N]`` (numbers from 0), ``boxes_xyxy [N, 4]`` in pixels, ``scores [N]`` on any
    scale. Equal scores keep their order. Raises TargetError for columns of different lengths and for what is no number.
    """

    photo: Ints
    label: Ints
    boxes_xyxy: Floats
    scores: Floats

    def __post_init__(self) -> None:
        """See the class."""
        _check(self.photo, self.label, self.boxes_xyxy, "found")
        if len(self.scores) != len(self.photo):
            raise TargetError(f"{len(self.photo)} boxes found, but scores of {len(self.scores)}")
        if not np.isfinite(self.scores).all():
            where = int(self.photo[~np.isfinite(self.scores)][0])
            raise TargetError(f"photo {where}: the score of a found box is not finite")

    def __len__(self) -> int:
        """How many boxes."""
        return len(self.photo)

    def take(self, rows: Ints | Bools) -> Found:
        """Some of the boxes, in the order given."""
        return Found(
            photo=self.photo[rows],
            label=self.label[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            scores=self.scores[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """R boxes that are there, columns as those of ``Found``. A crowd's box is neither to be found nor an error."""

    photo: Ints
    label: Ints
    boxes_xyxy: Floats
    is_crowd: Bools

    def __post_init__(self) -> None:
        """Raises TargetError as ``Found`` does."""
        _check(self.photo, self.label, self.boxes_xyxy, "true")
        if len(self.is_crowd) != len(self.photo):
            raise TargetError(f"{len(self.photo)} true boxes, but is_crowd for {len(self.is_crowd)}")

    def take(self, rows: Ints | Bools) -> Truth:
        """Some of the boxes, in the order given."""
        return Truth(
            photo=self.photo[rows],
            label=self.label[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            is_crowd=self.is_crowd[rows],
        )


def photo_numbers(counts: Sequence[int]) -> Ints:
    """The column ``photo`` of photos with so many boxes each, one photo after the other."""
    return np.repeat(np.arange(len(counts), dtype=np.int64), np.asarray(counts, dtype=np.int64))


def best_of_each(group: Ints, scores: Floats, most: int) -> Ints:
    """Rows of the ``most`` best of every group, groups in the order of their numbers and each best first; equal scores
    keep their order."""
    order = np.lexsort((-scores, group))
    grouped = group[order]
    first = np.searchsorted(grouped, grouped)
    return np.asarray(order[np.arange(len(order)) - first < most], dtype=np.int64)


def _check(photo: Ints, label: Ints, boxes_xyxy: Floats, kind: str) -> None:
    if not (boxes_xyxy.shape == (len(photo), 4) and len(label) == len(photo)):
        raise TargetError(f"{len(photo)} {kind} boxes, but classes of {len(label)} and corners {boxes_xyxy.shape}")
    if not np.isfinite(boxes_xyxy).all():
        where = int(photo[~np.isfinite(boxes_xyxy).all(1)][0])
        raise TargetError(f"photo {where}: a {kind} box is not finite")
