"""How often the true box of a phrase outranks the other boxes of its photo by its agreement with the mouse trace.

Needs narratives with traces, a box file of the same photos, and the truth: one photo a line with ``image_id``,
``width``, ``height`` and ``mentions`` (``start``, ``end``, ``boxes_xywh``). Prints the area under the ROC curve (0.5 is
chance), averaged over mentions, for several pads and delays of the mouse, and for what else could be measured.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from xdetr_data.boxes import iou_matrix_xyxy, normalise_xyxy, xywh_to_xyxy
from xdetr_data.sources.localized_narratives import Narrative, read_narratives
from xdetr_data.sources.openimages import COORDINATES, parse_boxes, read_chunks, read_header
from xdetr_data.stages.grounding.trace_agreement import (
    PointedPath,
    TraceClock,
    coverage_share,
    inside_share,
    pointed_path,
    trace_agreement,
)

PADS_S = (0.0, 0.2, 0.4, 0.6, 1.0)
DELAYS_S = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
Measure = Callable[[PointedPath, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Mention:
    """A phrase with its true boxes and other boxes of its photo, all in units of the photo."""

    image_id: str
    span: tuple[int, int]
    true_norm: np.ndarray
    other_norm: np.ndarray


def _boxes(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, list[list[float]]] = {}
    columns = read_header(str(path))
    for chunk in read_chunks(str(path)):
        for row in parse_boxes(chunk, columns).table.to_pylist():
            found.setdefault(row["ImageID"], []).append([row[COORDINATES[i]] for i in (0, 2, 1, 3)])
    return {image_id: np.array(boxes) for image_id, boxes in found.items()}


def _mentions(truth: Path, boxes: dict[str, np.ndarray]) -> list[Mention]:
    """Mentions whose photo has a box that is not theirs (intersection over union below 0.5)."""
    mentions = []
    for line in truth.read_text().splitlines():
        photo = json.loads(line)
        size_hw = (photo["height"], photo["width"])
        every = boxes.get(photo["image_id"], np.zeros((0, 4)))
        for one in photo["mentions"]:
            true = np.array([normalise_xyxy(xywh_to_xyxy(box), size_hw) for box in one["boxes_xywh"]])
            other = every[(iou_matrix_xyxy(every, true) < 0.5).all(axis=1)]
            if len(other):
                mentions.append(Mention(photo["image_id"], (one["start"], one["end"]), true, other))
    return mentions


def _auc(good: np.ndarray, bad: np.ndarray) -> float:
    return float((good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2)


def _delayed(narrative: Narrative, delay_s: float) -> Narrative:
    traces = [[msgspec.structs.replace(p, t=p.t + delay_s) for p in trace] for trace in narrative.traces or ()]
    return msgspec.structs.replace(narrative, traces=traces)


def _score(mentions: list[Mention], clocks: dict[str, TraceClock], pad_s: float) -> str:
    aucs = []
    for one in mentions:
        boxes = np.concatenate([one.true_norm, one.other_norm])
        scores = trace_agreement(clocks[one.image_id], [one.span], boxes, (1, 1), lead_s=pad_s, lag_s=pad_s)
        if scores[0] is not None:
            aucs.append(_auc(np.array(scores[: len(one.true_norm)]), np.array(scores[len(one.true_norm) :])))
    missing = len(mentions) - len(aucs)
    return f"{np.mean(aucs):.3f}" + (f" ({missing} without evidence)" if missing else "")


def _scores(mentions: list[Mention], clocks: dict[str, TraceClock]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all true and of all other boxes; NaN without evidence."""
    true, other = [], []
    for one in mentions:
        clock = clocks[one.image_id]
        true += trace_agreement(clock, [one.span], one.true_norm, (1, 1))
        other += trace_agreement(clock, [one.span], one.other_norm, (1, 1))
    return np.array(true, dtype=np.float64), np.array(other, dtype=np.float64)


def _iou(path: PointedPath, boxes_norm: np.ndarray) -> np.ndarray:
    return iou_matrix_xyxy(boxes_norm, [path.extent_norm])[:, 0]


def _harmonic(path: PointedPath, boxes_norm: np.ndarray) -> np.ndarray:
    a, b = inside_share(path, boxes_norm), coverage_share(path, boxes_norm)
    return 2 * a * b / np.maximum(a + b, 1e-12)


MEASURES: dict[str, Measure] = {
    "inside alone": inside_share,
    "coverage alone": coverage_share,
    "intersection over union of extent and box": _iou,
    "harmonic mean of inside and coverage": _harmonic,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--narratives", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    options = parser.parse_args()
    narratives = {str(n.image_id): n for _, n in read_narratives(str(options.narratives)) if isinstance(n, Narrative)}
    mentions = _mentions(options.truth, _boxes(options.boxes))
    pairs = sum(len(one.true_norm) * len(one.other_norm) for one in mentions)
    print(f"{len(mentions)} mentions, {pairs} pairs of a true box and another box of the photo\n")
    print("| pad | " + " | ".join(f"mouse {delay:+.1f} s" for delay in DELAYS_S) + " |")
    print("|---" * (len(DELAYS_S) + 1) + "|")
    delayed = {
        delay: {image_id: TraceClock(_delayed(one, delay)) for image_id, one in narratives.items()}
        for delay in DELAYS_S
    }
    for pad in PADS_S:
        print(f"| {pad:.1f} s | " + " | ".join(_score(mentions, delayed[delay], pad) for delay in DELAYS_S) + " |")
    print("\n| measure, pad 0.4 s | AUC |\n|---|---|")
    for name, measure in MEASURES.items():
        paths = [(one, pointed_path(delayed[0.0][one.image_id], [one.span])) for one in mentions]
        aucs = [_auc(measure(path, one.true_norm), measure(path, one.other_norm)) for one, path in paths if path]
        print(f"| {name} | {np.mean(aucs):.3f} |")
    true, other = _scores(mentions, delayed[0.0])
    shares = f"{(true > 0.1).mean():.0%} of the true boxes, {(other > 0.1).mean():.0%} of the others"
    print(f"\nabove 0.1 with the defaults: {shares}")
    _print_times(list(narratives.values()), mentions, delayed[0.0])


def _print_times(narratives: list[Narrative], mentions: list[Mention], clocks: dict[str, TraceClock]) -> None:
    started = time.process_time()
    for narrative in narratives:
        TraceClock(narrative)
    aligned = time.process_time()
    for one in mentions:
        trace_agreement(clocks[one.image_id], [one.span], one.other_norm, (1, 1))
    scored = time.process_time()
    per_narrative = (aligned - started) / len(narratives) * 1e3
    per_phrase = (scored - aligned) / len(mentions) * 1e3
    print(f"\nload average {os.getloadavg()[0]:.1f}; CPU for a narrative (words aligned, path prepared) ", end="")
    print(f"{per_narrative:.2f} ms, for a phrase {per_phrase:.2f} ms")


if __name__ == "__main__":
    main()
