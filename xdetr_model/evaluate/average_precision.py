"""Average precision by hotcoco, whose figures are those of pycocotools and lvis bit for bit (tests hold 1e-12).

On 5,000 photos with 300 boxes each of 1,203 classes it takes seconds where lvis takes minutes, from columns instead of
a dictionary a box: docs/benchmarks/evaluation.md. Every cut (of a photo, of a class) is made before it is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdetr_model.evaluate.columns import Bools, Floats, Found, Truth

IOUS = tuple(0.5 + 0.05 * step for step in range(10))
SIZES = ("all", "small", "medium", "large")  # of boxes: to 32², to 96², above, in square pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """``precision [T, 101, C, A, M]`` at recall 0, 0.01 … 1 and ``recall [T, C, A, M]``: over T thresholds of IoU
    (``IOUS``), C classes, A sizes (``SIZES``) and M limits of boxes a photo. NaN where a class has no box of the size.
    """

    precision: Floats
    recall: Floats


def average(values: Floats) -> float:
    """Mean over what is defined; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def class_agnostic_curves(found: Found, truth: Truth, *, photos: int, limits: Sequence[int]) -> Curves:
    """COCO's curves with one class for everything; ``limits`` (ascending) are of the boxes of a photo."""
    categories = [{"id": 1, "name": "object"}]
    return _curves(
        [{"id": number} for number in range(1, photos + 1)],
        categories,
        Found(photo=found.photo, label=np.zeros_like(found.label), boxes_xyxy=found.boxes_xyxy, scores=found.scores),
        Truth(
            photo=truth.photo,
            label=np.zeros_like(truth.label),
            boxes_xyxy=truth.boxes_xyxy,
            is_crowd=truth.is_crowd,
        ),
        limits=limits,
        is_federated=False,
    )


def federated_curves(
    found: Found,
    truth: Truth,
    *,
    frequencies: Sequence[str],
    absent: Sequence[Sequence[int]],
    not_exhaustive: Sequence[Sequence[int]],
) -> Curves:
    """LVIS's curves: boxes count where their class is annotated on the photo or verified absent from it; where it is
    not exhaustively annotated, those that match nothing are no errors. A crowd's box is a box as any other, for LVIS
    has no crowds and its evaluator knows of none; boxes without area are left out, as there (``LVIS.get_ann_ids``).

    ``absent`` and ``not_exhaustive`` are class numbers by photo, ``frequencies`` (r, c, f) by class.
    """
    images = [
        {"id": number, "neg_category_ids": _from_1(absent), "not_exhaustive_category_ids": _from_1(unsure)}
        for number, (absent, unsure) in enumerate(zip(absent, not_exhaustive, strict=True), start=1)
    ]
    categories = [
        {"id": number, "name": str(number), "frequency": frequency}
        for number, frequency in enumerate(frequencies, start=1)
    ]
    return _curves(
        images,
        categories,
        found.take(_has_area(found.boxes_xyxy)),
        truth.take(_has_area(truth.boxes_xyxy)),
        limits=[max(1, len(found))],
        is_federated=True,
    )


def _has_area(boxes_xyxy: Floats) -> Bools:
    return np.asarray((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(1) > 0)


def _from_1(numbers: Sequence[int]) -> list[int]:
    return [int(number) + 1 for number in numbers]


def _curves(
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    found: Found,
    truth: Truth,
    *,
    limits: Sequence[int],
    is_federated: bool,
) -> Curves:
    """Numbers become ids from 1: both references take a match with id 0 for none."""
    from hotcoco import COCO, COCOeval

    known = COCO.from_arrays(
        images,
        categories,
        truth.photo + 1,
        truth.label + 1,
        _xywh(truth.boxes_xyxy),
        iscrowd=(truth.is_crowd & (not is_federated)).astype(np.int64),
    )
    columns = (found.photo + 1, _xywh(found.boxes_xyxy), found.scores, found.label + 1)
    evaluation = COCOeval(known, known.load_res(np.column_stack(columns)), "bbox", lvis_style=is_federated)
    evaluation.params.max_dets = list(limits)
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None
    precision, recall = (np.asarray(evaluation.eval[name], np.float64) for name in ("precision", "recall"))
    return Curves(precision=np.where(precision < 0, np.nan, precision), recall=np.where(recall < 0, np.nan, recall))


def _xywh(boxes_xyxy: Floats) -> Floats:
    return np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)
