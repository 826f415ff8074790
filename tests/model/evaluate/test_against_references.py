"""Average precision equals what pycocotools and lvis say, on random photos; fixed AP an implementation of its own."""

import functools
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.model.evaluate.references import Case, coco_stats, lvis_results, random_case, real_case
from xdetr_model.errors import TargetError
from xdetr_model.evaluate import lvis
from xdetr_model.evaluate.boxes import FoundBoxes, TrueBoxes, box_scores
from xdetr_model.evaluate.columns import Found
from xdetr_model.evaluate.lvis import lvis_scores

CASES = range(200)
LIMITS = (1, 3, 10, 100)
IOUS, RECALLS = np.linspace(0.5, 0.95, 10), np.linspace(0, 1, 101)  # as both references have them, to the last bit
FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures"))
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="the real files are not here (XDETR_FIXTURES)")
pytest.importorskip("lvis", reason="the reference is not here: pip install --no-deps lvis==0.5.3")


@functools.cache
def real_file(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def differences(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, tuple[float, float]]:
    """What is not the same; a reference says -1 where nothing is defined, we say NaN."""
    return {
        name: (ours[name], value)
        for name, value in theirs.items()
        if not (math.isnan(ours[name]) if value == -1 else abs(ours[name] - value) <= 1e-12)
    }


def by_photo(case: Case) -> tuple[list[FoundBoxes], list[TrueBoxes]]:
    own = [case.found.take(case.found.photo == photo) for photo in range(len(case.absent))]
    there = [case.truth.take(case.truth.photo == photo) for photo in range(len(case.absent))]
    return (
        [FoundBoxes(boxes_xyxy=one.boxes_xyxy, scores=one.scores) for one in own],
        [TrueBoxes(boxes_xyxy=one.boxes_xyxy, is_crowd=one.is_crowd) for one in there],
    )


@pytest.mark.parametrize("seed", CASES)
def test_class_agnostic_figures_are_those_of_pycocotools(seed: int) -> None:
    check_class_agnostic(random_case(seed))


@needs_fixtures
@pytest.mark.parametrize("seed", CASES)
def test_class_agnostic_figures_of_real_boxes_are_those_of_pycocotools(seed: int) -> None:
    check_class_agnostic(real_case(real_file("coco/annotations/instances_train2017.json"), seed))


@needs_fixtures
@pytest.mark.parametrize("seed", CASES)
def test_federated_figures_of_real_boxes_are_those_of_lvis(seed: int) -> None:
    case = real_case(real_file("lvis/lvis_val_10.json"), seed)
    ours = lvis_scores(case.found, case.federation, "standard").scalars()
    assert differences(ours, lvis_results(case, most=300)) == {}


def check_class_agnostic(case: Case) -> None:
    found, truth = by_photo(case)
    theirs = coco_stats(case, LIMITS)
    if case.truth.is_crowd.all():
        with pytest.raises(TargetError, match="has a box"):
            box_scores(found, truth)
        return
    scores = box_scores(found, truth, LIMITS)
    ours = {
        **{f"ap_{size}": value for size, value in scores.ap_by_size.items()},
        **{f"ar_{size}": value for size, value in scores.ar_by_size.items()},
        **scores.scalars(),
    }
    assert differences(ours, theirs) == {}


@pytest.mark.parametrize("seed", CASES)
def test_federated_figures_are_those_of_lvis(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 25 if seed % 2 else 300  # so that the limit of a photo cuts
    monkeypatch.setattr(lvis, "MOST_OF_A_PHOTO", most)
    case = random_case(seed, most=80)
    ours = lvis_scores(case.found, case.federation, "standard").scalars()
    if len(case.found):
        assert differences(ours, lvis_results(case, most=most)) == {}
    else:  # lvis cannot read that
        assert {ours["AP"], ours["AR"]} <= {0.0} or math.isnan(ours["AP"])


@pytest.mark.parametrize("seed", CASES)
def test_fixed_ap_is_that_of_a_plain_implementation(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    most = int(np.random.default_rng(seed).integers(1, 40))
    monkeypatch.setattr(lvis, "MOST_OF_A_CLASS", most)
    case = random_case(seed, most=80)
    scores = lvis_scores(case.found, case.federation, "fixed")
    theirs = [plain_fixed_ap(case, label, most) for label in range(len(case.frequencies))]
    assert np.allclose(scores.by_class, theirs, rtol=0, atol=1e-12, equal_nan=True)
    known = [one for one in theirs if not math.isnan(one)]
    assert scores.scalars()["AP"] == pytest.approx(np.mean(known), abs=1e-12) if known else True


def plain_fixed_ap(case: Case, label: int, most: int) -> float:
    """Dave et al.'s definition, box by box: the best ``most`` boxes of the class over all photos, then the photos where
    the class is known, greedy matches from the best score on, the 101-point average, mean over ten thresholds."""
    own = [row for row in range(len(case.found)) if case.found.label[row] == label]
    own = sorted(own, key=lambda row: -case.found.scores[row])[:most]
    own = [row for row in own if np.prod(case.found.boxes_xyxy[row, 2:] - case.found.boxes_xyxy[row, :2]) > 0]
    true = [i for i in range(len(case.truth.photo)) if case.truth.label[i] == label]
    true = [i for i in true if np.prod(case.truth.boxes_xyxy[i, 2:] - case.truth.boxes_xyxy[i, :2]) > 0]
    if not true:
        return math.nan
    total = 0.0
    for step in range(10):
        taken: set[int] = set()
        hits: list[bool] = []
        for row in sorted(own, key=lambda row: (-case.found.scores[row], case.found.photo[row])):
            photo = int(case.found.photo[row])
            there = [i for i in true if case.truth.photo[i] == photo]
            if not there and label not in case.absent[photo]:
                continue
            least, match = IOUS[step], -1
            for i in there:
                if i not in taken and (iou := plain_iou(case.found.boxes_xyxy[row], case.truth.boxes_xyxy[i])) >= least:
                    least, match = iou, i
            if match >= 0:
                taken.add(match)
                hits.append(True)
            elif label not in case.not_exhaustive[photo]:
                hits.append(False)
        total += plain_average_precision(hits, len(true))
    return total / 10


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def plain_average_precision(hits: list[bool], objects: int) -> float:
    points = []
    for place in range(len(hits)):
        right = sum(hits[: place + 1])
        points.append((right / objects, right / (place + 1)))
    return sum(max((p for r, p in points if r >= least), default=0.0) for least in RECALLS) / 101


def test_fixed_cuts_a_class_over_all_photos_and_standard_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.tile([0.0, 0.0, 10.0, 10.0], (5, 1))
    photo, scores = np.array([1, 0, 1, 0, 1]), np.array([1, 5, 5, 3, 2.0])
    found = Found(photo=photo, label=np.zeros(5, np.int64), boxes_xyxy=boxes, scores=scores)
    assert lvis.cut(found, "fixed").tolist() == [1, 3, 0, 2, 4]  # in the order of photos
    monkeypatch.setattr(lvis, "MOST_OF_A_CLASS", 2)
    monkeypatch.setattr(lvis, "MOST_OF_A_PHOTO", 1)
    assert lvis.cut(found, "fixed").tolist() == [1, 2]
    assert lvis.cut(found, "standard").tolist() == [1, 2]


def test_boxes_of_photos_that_there_are_not_are_refused() -> None:
    case = random_case(1)
    alien = replace(case.found, photo=case.found.photo + 50)
    with pytest.raises(TargetError, match="a box is of photo"):
        lvis_scores(alien, case.federation, "fixed")
