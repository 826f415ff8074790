"""Random photos with their boxes, and what pycocotools and lvis themselves say of them."""

import contextlib
import io
import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from xdetr_model.evaluate.columns import Found, Truth
from xdetr_model.evaluate.lvis import Federation

SIDE = 200.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Photos, classes, what is there, what was found, and which classes are absent or not exhaustive on each photo."""

    truth: Truth
    found: Found
    frequencies: tuple[str, ...]
    absent: list[list[int]]
    not_exhaustive: list[list[int]]

    @property
    def federation(self) -> Federation:
        return Federation(
            truth=self.truth, frequencies=self.frequencies, absent=self.absent, not_exhaustive=self.not_exhaustive
        )


def random_case(seed: int, *, most: int = 40) -> Case:
    """Few photos, of which some are empty; equal scores; boxes off the photo, without area, twice the same; crowds; a
    class without photos; now and then nothing found or nothing there."""
    rng = np.random.default_rng(seed)
    photos, classes = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    there = 0 if seed % 20 == 7 else int(rng.integers(1, most))
    found = 0 if seed % 20 == 13 else int(rng.integers(1, 4 * most))
    truth_photo = np.sort(rng.integers(0, photos, there))
    truth_label = rng.integers(
        0, max(1, classes - 1), there
    )  # the last class is on no photo, unless it is the only one
    truth_boxes = _boxes(rng, there)
    found_photo, found_label, boxes = (
        rng.integers(0, photos, found),
        rng.integers(0, classes, found),
        _boxes(rng, found),
    )
    near = np.flatnonzero(rng.random(found) < 0.7) if there else np.zeros(0, np.int64)
    target = rng.integers(0, max(1, there), len(near))
    if there:
        found_photo[near], found_label[near] = truth_photo[target], truth_label[target]
        boxes[near] = truth_boxes[target] + rng.choice([0, 0, 2, 6, 15], (len(near), 1)) * rng.normal(
            0, 1, (len(near), 4)
        )
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    present = [set(truth_label[truth_photo == photo].tolist()) for photo in range(photos)]
    return Case(
        truth=Truth(photo=truth_photo, label=truth_label, boxes_xyxy=truth_boxes, is_crowd=rng.random(there) < 0.15),
        found=Found(
            photo=found_photo,
            label=found_label,
            boxes_xyxy=boxes,
            scores=np.round(rng.normal(0, 1, found), int(rng.integers(0, 3))),
        ),
        frequencies=tuple(rng.choice(["r", "c", "f"], classes).tolist()),
        absent=[[c for c in range(classes) if c not in own and rng.random() < 0.5] for own in present],
        not_exhaustive=[[c for c in range(classes) if rng.random() < (0.4 if c in own else 0.1)] for own in present],
    )


def real_case(annotations: dict[str, Any], seed: int) -> Case:
    """Some photos of a COCO or LVIS file with all that they say of their classes; found is made up around that."""
    rng = np.random.default_rng(seed)
    images = [annotations["images"][i] for i in rng.permutation(len(annotations["images"]))[: int(rng.integers(1, 6))]]
    photo_of = {image["id"]: number for number, image in enumerate(images)}
    there = [one for one in annotations["annotations"] if one["image_id"] in photo_of]
    absent = [image.get("neg_category_ids", []) for image in images]
    unsure = [image.get("not_exhaustive_category_ids", []) for image in images]
    classes = sorted({one["category_id"] for one in there}.union(*absent, *unsure))
    label_of = {number: label for label, number in enumerate(classes)}
    frequency = {one["id"]: one.get("frequency", "f") for one in annotations["categories"]}
    boxes = np.array([one["bbox"] for one in there], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    truth = Truth(
        photo=np.array([photo_of[one["image_id"]] for one in there], np.int64),
        label=np.array([label_of[one["category_id"]] for one in there], np.int64),
        boxes_xyxy=boxes,
        is_crowd=np.array([bool(one.get("iscrowd", 0)) for one in there], np.bool_),
    )
    count = int(rng.integers(1, 200))
    source = rng.integers(0, max(1, len(there)), count)
    moved = (
        boxes[source] + rng.choice([0, 2, 8, 30], (count, 1)) * rng.normal(0, 1, (count, 4))
        if there
        else np.zeros((count, 4))
    )
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
    return Case(
        truth=truth,
        found=Found(
            photo=truth.photo[source] if there else np.zeros(count, np.int64),
            label=np.where(rng.random(count) < 0.7, truth.label[source], rng.integers(0, len(classes), count))
            if there
            else np.zeros(count, np.int64),
            boxes_xyxy=moved,
            scores=rng.normal(0, 1, count).round(1) + 0.0,
        ),
        frequencies=tuple(frequency[number] for number in classes) or ("f",),
        absent=[[label_of[one] for one in own] for own in absent],
        not_exhaustive=[[label_of[one] for one in own] for own in unsure],
    )


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(-20, SIDE, (count, 2)).round(1)
    side = rng.choice([0.0, 10.0, 32.0, 60.0, 96.0, 150.0], (count, 2)) + rng.uniform(0, 9, (count, 2)).round(1)
    return np.concatenate([low, low + side], axis=1)


def coco_stats(case: Case, limits: tuple[int, ...]) -> dict[str, float]:
    """Class-agnostic figures by pycocotools; -1 where it has none. Several classes would change the order of ties."""
    case = replace(
        case,
        truth=replace(case.truth, label=np.zeros_like(case.truth.label)),
        found=replace(case.found, label=np.zeros_like(case.found.label)),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _dataset(case, crowds=True)
        truth.createIndex()
        # loadRes refuses an empty list, and takes the width and height that we give
        rows = _results(case.found)
        guesses = truth.loadRes(rows) if rows else COCO()
        if not rows:
            guesses.dataset = {"images": truth.dataset["images"], "annotations": []}
            guesses.createIndex()
        evaluation = COCOeval(truth, guesses, "bbox")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    at_100 = limits.index(100)
    sizes = ("small", "medium", "large")
    return {
        "ap": _mean(precision[:, :, :, 0, at_100]),
        "ap50": _mean(precision[0, :, :, 0, at_100]),
        "ap75": _mean(precision[5, :, :, 0, at_100]),
        **{f"ap_{size}": _mean(precision[:, :, :, i, at_100]) for i, size in enumerate(sizes, 1)},
        **{f"ar{limit}": _mean(recall[:, :, 0, i]) for i, limit in enumerate(limits)},
        **{f"ar_{size}": _mean(recall[:, :, i, at_100]) for i, size in enumerate(sizes, 1)},
    }


def lvis_results(case: Case, *, most: int, rows: list[dict[str, Any]] | None = None) -> dict[str, float]:
    """Figures by lvis 0.5.3, at most ``most`` boxes a photo (-1: all); -1 where it has none."""
    np.float = float  # type: ignore[attr-defined]  # lvis 0.5.3 is older than numpy 1.24
    from lvis import LVIS, LVISEval, LVISResults

    logging.getLogger("lvis").setLevel(logging.ERROR)
    truth = LVIS.__new__(LVIS)
    truth.logger = logging.getLogger("lvis.lvis")
    truth.dataset = _dataset(case, crowds=False)
    truth._create_index()
    evaluation = LVISEval(truth, LVISResults(truth, _results(case.found) if rows is None else rows, most), "bbox")
    evaluation.run()
    names = {"APs": "AP_small", "APm": "AP_medium", "APl": "AP_large", "AR@300": "AR"}
    names |= {"ARs@300": "AR_small", "ARm@300": "AR_medium", "ARl@300": "AR_large"}
    return {names.get(name, name): float(value) for name, value in evaluation.get_results().items()}


def _dataset(case: Case, *, crowds: bool) -> dict[str, Any]:
    truth = case.truth
    return {
        "images": [
            {
                "id": number + 1,
                "height": SIDE,
                "width": SIDE,
                "neg_category_ids": [c + 1 for c in absent],
                "not_exhaustive_category_ids": [c + 1 for c in unsure],
            }
            for number, (absent, unsure) in enumerate(zip(case.absent, case.not_exhaustive, strict=True))
        ],
        "categories": [
            {"id": number + 1, "name": str(number), "frequency": frequency, "image_count": 1, "instance_count": 1}
            for number, frequency in enumerate(case.frequencies)
        ],
        "annotations": [
            {
                "id": number + 1,
                "image_id": int(truth.photo[number]) + 1,
                "category_id": int(truth.label[number]) + 1,
                "bbox": _xywh(box),
                "area": float((box[2] - box[0]) * (box[3] - box[1])),
                "iscrowd": int(truth.is_crowd[number]) if crowds else 0,
            }
            for number, box in enumerate(truth.boxes_xyxy)
        ],
    }


def _results(found: Found) -> list[dict[str, Any]]:
    return [
        {"image_id": int(photo) + 1, "category_id": int(label) + 1, "bbox": _xywh(box), "score": float(score)}
        for photo, label, box, score in zip(found.photo, found.label, found.boxes_xyxy, found.scores, strict=True)
    ]


def _xywh(box: np.ndarray) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def _mean(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else -1.0
