"""How long LVIS's figures take, and how much memory, beside lvis itself and two other libraries: made-up boxes.

    python -m benchmarks.evaluate_ap                    # 5,000 photos × 300 boxes × 1,203 classes, as LVIS val's size
    python -m benchmarks.evaluate_ap --photos 500 --by lvis,ours

Each is a process of its own, so that memory is its own. Besides reading of files, which none of them does here,
``ours`` is ``lvis_scores`` from columns; ``lvis`` and ``faster-coco-eval`` take a dictionary a box, as their users do.
``faster-coco-eval`` must be installed by hand to be measured.
"""

import argparse
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from xdetr_model.evaluate.columns import Found, Truth
from xdetr_model.evaluate.lvis import Federation, lvis_scores

RUNS = ("lvis", "ours", "ours-fixed", "faster-coco-eval")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Made-up boxes: what is there and known, and what was found."""

    known: Federation
    found: Found


def make(photos: int, boxes: int, classes: int, seed: int = 0) -> World:
    """Twelve objects a photo; a fifth of the boxes found lie near one; many scores of four digits are equal."""
    rng = np.random.default_rng(seed)
    there, found = photos * 12, photos * boxes
    photo = np.sort(rng.integers(0, photos, there))
    label = rng.integers(0, classes, there)
    low = rng.uniform(0, 400, (there, 2))
    true = np.concatenate([low, low + rng.uniform(5, 150, (there, 2))], axis=1)
    found_photo, found_label = np.repeat(np.arange(photos), boxes), rng.integers(0, classes, found)
    low = rng.uniform(0, 400, (found, 2))
    found_boxes = np.concatenate([low, low + rng.uniform(5, 150, (found, 2))], axis=1)
    begin, end = np.searchsorted(photo, found_photo), np.searchsorted(photo, found_photo, "right")
    near = np.flatnonzero((rng.random(found) < 0.2) & (end > begin))
    target = begin[near] + (rng.random(len(near)) * (end - begin)[near]).astype(np.int64)
    found_boxes[near] = true[target] + rng.normal(0, 5, (len(near), 4))
    found_boxes[:, 2:] = np.maximum(found_boxes[:, 2:], found_boxes[:, :2] + 1)
    found_label[near] = label[target]
    present = [np.unique(label[a:b]) for a, b in zip(*(np.searchsorted(photo, np.arange(photos), s) for s in ("left", "right")), strict=True)]  # fmt: skip  # noqa: E501
    absent = [np.setdiff1d(rng.choice(classes, min(classes, 10), replace=False), own).tolist() for own in present]
    unsure = [own[rng.random(len(own)) < 0.1].tolist() for own in present]
    return World(
        known=Federation(
            truth=Truth(photo=photo, label=label, boxes_xyxy=true, is_crowd=np.zeros(there, np.bool_)),
            frequencies=["rcf"[number % 3] for number in range(classes)],
            absent=absent,
            not_exhaustive=unsure,
        ),
        found=Found(photo=found_photo, label=found_label, boxes_xyxy=found_boxes, scores=rng.random(found).round(4)),
    )


def by_lvis(world: World) -> dict[str, float]:
    """lvis 0.5.3."""
    np.float = float  # type: ignore[attr-defined]  # it is older than numpy 1.24
    from lvis import LVIS, LVISEval, LVISResults

    logging.disable(logging.CRITICAL)
    truth = LVIS.__new__(LVIS)
    truth.logger = logging.getLogger("lvis")
    truth.dataset = _dataset(world.known)
    truth._create_index()
    evaluation = LVISEval(truth, LVISResults(truth, _results(world.found), 300), "bbox")
    evaluation.run()
    return {name: float(value) for name, value in evaluation.get_results().items()}


def by_faster_coco_eval(world: World) -> dict[str, float]:
    """faster-coco-eval in its LVIS style."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(_dataset(world.known))
    evaluation = COCOeval_faster(
        truth, truth.loadRes(_results(world.found)), "bbox", lvis_style=True, print_function=_silent
    )
    evaluation.params.maxDets = [300]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {name: float(value) for name, value in zip(("AP", "AP50", "AP75"), evaluation.stats, strict=False)}


def _silent(*_: object) -> None:
    pass


BY: dict[str, Callable[[World], dict[str, float]]] = {
    "lvis": by_lvis,
    "ours": lambda world: lvis_scores(world.found, world.known, "standard").scalars(),
    "ours-fixed": lambda world: lvis_scores(world.found, world.known, "fixed").scalars(),
    "faster-coco-eval": by_faster_coco_eval,
}


def _dataset(known: Federation) -> dict[str, Any]:
    truth = known.truth
    rows = zip(truth.photo.tolist(), truth.label.tolist(), _xywh(truth.boxes_xyxy), strict=True)
    return {
        "images": [
            {"id": n, "height": 600, "width": 600, "neg_category_ids": [c + 1 for c in no], "not_exhaustive_category_ids": [c + 1 for c in maybe]}  # noqa: E501
            for n, (no, maybe) in enumerate(zip(known.absent, known.not_exhaustive, strict=True), start=1)
        ],
        "categories": [
            {"id": n, "name": str(n), "frequency": one, "image_count": 1, "instance_count": 1}
            for n, one in enumerate(known.frequencies, start=1)
        ],
        "annotations": [
            {"id": n, "image_id": p + 1, "category_id": c + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for n, (p, c, box) in enumerate(rows, start=1)
        ],
    }  # fmt: skip


def _results(found: Found) -> list[dict[str, Any]]:
    columns = (found.photo.tolist(), found.label.tolist(), _xywh(found.boxes_xyxy), found.scores.tolist())
    return [
        {"image_id": p + 1, "category_id": c + 1, "bbox": b, "score": s} for p, c, b, s in zip(*columns, strict=True)
    ]


def _xywh(boxes_xyxy: np.ndarray) -> list[list[float]]:
    boxes: list[list[float]] = np.concatenate(
        [boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1
    ).tolist()
    return boxes


def run_one(name: str, photos: int, boxes: int, classes: int) -> None:
    """Prints what one took, as JSON: seconds of the clock and of the processor, MB at most and before."""
    world = make(photos, boxes, classes)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    figures = BY[name](world)
    after = resource.getrusage(resource.RUSAGE_SELF)
    said = {
        "by": name,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "mb": after.ru_maxrss / 1e3,
        "mb_before": before.ru_maxrss / 1e3,
        "AP": figures["AP"],
    }
    print(msgspec.json.encode(said).decode())


def main() -> None:
    """Each in a process of its own, then a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, usual in (("--photos", 5000), ("--boxes", 300), ("--classes", 1203)):
        parser.add_argument(flag, type=int, default=usual)
    parser.add_argument("--by", default="lvis,ours,ours-fixed", help=f"some of {', '.join(RUNS)}")
    parser.add_argument("--one", choices=RUNS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    sizes = (flags.photos, flags.boxes, flags.classes)
    if flags.one:
        run_one(flags.one, *sizes)
        return
    print("| by | seconds | of the processor | MB at most | AP |\n|---|---|---|---|---|")
    for name in flags.by.split(","):
        numbers = [f"--{what}={size}" for what, size in zip(("photos", "boxes", "classes"), sizes, strict=True)]
        command = [sys.executable, "-m", "benchmarks.evaluate_ap", "--one", name, *numbers]
        one = msgspec.json.decode(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1])
        print(f"| {name} | {one['seconds']:.1f} | {one['cpu_seconds']:.1f} | {one['mb']:,.0f} | {one['AP']:.12f} |")


if __name__ == "__main__":
    main()
