"""Class-agnostic average precision and recall, as COCO counts them (pycocotools, one class for everything)."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xdetr_model.errors import TargetError

MOST_DETECTIONS = 100  # per photo, as COCO does

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
    """In 0..1. ``ap`` is the mean over IoU 0.5, 0.55 ... 0.95 and ``ar100`` the recall among 100 boxes per photo, mean
    over the same; ``photos`` and ``regions`` (without crowds) are what they were measured on."""

    ap: float
    ap50: float
    ap75: float
    ar100: float
    photos: int
    regions: int

    def scalars(self) -> dict[str, float]:
        """For a log."""
        return asdict(self)


def box_scores(found: Sequence[FoundBoxes], truth: Sequence[TrueBoxes]) -> BoxScores:
    """One entry of each per photo. Raises TargetError when no photo has a box that counts, or a number differs."""
    if len(found) != len(truth):
        raise TargetError(f"boxes found on {len(found)} photos, but the truth of {len(truth)}")
    annotations = [a for photo, boxes in enumerate(truth, start=1) for a in _annotations(photo, boxes)]
    regions = sum(not a["iscrowd"] for a in annotations)
    if not regions:
        raise TargetError(f"none of {len(truth)} photos has a box: there is no average precision without one")
    detections = [d for photo, boxes in enumerate(found, start=1) for d in _detections(photo, boxes)]
    stats = _coco_stats(len(truth), annotations, detections)
    return BoxScores(ap=stats[0], ap50=stats[1], ap75=stats[2], ar100=stats[8], photos=len(truth), regions=regions)


def _annotations(photo: int, truth: TrueBoxes) -> list[dict[str, Any]]:
    boxes = _checked(truth.boxes_xyxy, photo, "true")
    crowds = np.zeros(len(boxes), bool) if truth.is_crowd is None else truth.is_crowd
    if len(crowds) != len(boxes):
        raise TargetError(f"photo {photo - 1}: {len(boxes)} true boxes but is_crowd for {len(crowds)}")
    sides = boxes[:, 2:] - boxes[:, :2]
    return [
        {"image_id": photo, "category_id": 1, "bbox": [*box[:2], *side], "area": float(side.prod()), "iscrowd": int(c)}
        for box, side, c in zip(boxes.tolist(), sides, crowds, strict=True)
    ]


def _detections(photo: int, found: FoundBoxes) -> list[dict[str, Any]]:
    boxes = _checked(found.boxes_xyxy, photo, "found")
    sides = boxes[:, 2:] - boxes[:, :2]
    return [
        {"image_id": photo, "category_id": 1, "bbox": [*box[:2], *side.tolist()], "score": float(score)}
        for box, side, score in zip(boxes.tolist(), sides, found.scores, strict=True)
    ]


def _checked(boxes_xyxy: Boxes, photo: int, kind: str) -> Boxes:
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise TargetError(f"photo {photo - 1}: a {kind} box is not finite")
    return boxes


def _coco_stats(photos: int, annotations: list[dict[str, Any]], detections: list[dict[str, Any]]) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(1, photos + 1)],
            "categories": [{"id": 1, "name": "object"}],
            # ids from 1: pycocotools takes a match with annotation 0 for none
            "annotations": [{"id": i, **a} for i, a in enumerate(annotations, start=1)],
        }
        truth.createIndex()
        if not detections:
            return [0.0] * 12
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [1, 10, MOST_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]
