"""Flickr30k's and RefCOCO's figures equal loops written from MDETR's description, and presence one from SA-Co's."""

import itertools
import math

import numpy as np
import pytest

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.overlap import giou_matrix, hull
from xdetr_model.evaluate.phrases import GroundedPhrase, phrase_recall
from xdetr_model.evaluate.presence import AskedPhrase, absence_bounds, matthews, presence_scores, threshold_curve

CASES = range(200)
KINDS = ("people", "animals", "scene", "other")


def boxes_of(rng: np.random.Generator, count: int) -> np.ndarray:
    """On a coarse grid, so that overlaps of exactly one half occur; some off the photo, some without area."""
    low = rng.integers(-2, 8, (count, 2))
    return np.concatenate([low, low + rng.integers(0, 6, (count, 2))], axis=1).astype(np.float64)


def phrases_of(seed: int, most_true: int) -> list[GroundedPhrase]:
    rng = np.random.default_rng(seed)
    return [
        GroundedPhrase(
            found_xyxy=boxes_of(rng, int(rng.integers(0, 15))),
            true_xyxy=boxes_of(rng, int(rng.integers(0, most_true + 1))),
            tags=tuple(rng.choice(KINDS, int(rng.integers(0, 3)), replace=False).tolist()),
        )
        for _ in range(int(rng.integers(0, 30)))
    ]


def area(box: list[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(a: list[float], b: list[float], *, generalised: bool) -> float:
    shared = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    union = area(a) + area(b) - shared
    iou = shared / union if union else 0.0
    around = area([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])
    return iou - ((around - union) / around if around else 0.0) if generalised else iou


def slow_recall(
    phrases: list[GroundedPhrase], k: int | None, kind: str | None, *, merged: bool = False, generalised: bool = False
) -> float:
    """MDETR: a phrase is a hit if the maximum of the overlaps of its first k boxes reaches one half."""
    hits = total = 0
    for one in phrases:
        true = one.true_xyxy.tolist()
        if not true or (kind is not None and kind not in one.tags):
            continue
        if merged:
            true = [
                [min(b[0] for b in true), min(b[1] for b in true), max(b[2] for b in true), max(b[3] for b in true)]
            ]
        pairs = itertools.product(one.found_xyxy.tolist()[:k], true)
        total += 1
        hits += max((overlap(a, b, generalised=generalised) for a, b in pairs), default=-1.0) >= 0.5
    return hits / total if total else 0.0


@pytest.mark.parametrize("seed", CASES)
def test_flickr_figures_are_those_of_a_plain_loop(seed: int) -> None:
    phrases = phrases_of(seed, most_true=4)
    for protocol in ("any", "merged"):
        table = phrase_recall(phrases, protocol=protocol)
        for kind, scores in table.items():
            only, merged = None if kind == "all" else kind, protocol == "merged"
            theirs = {k: slow_recall(phrases, k, only, merged=merged) for k in (1, 5, 10)}
            assert scores.recall == pytest.approx(theirs, abs=1e-12)
            assert scores.bound == pytest.approx(slow_recall(phrases, None, only, merged=merged), abs=1e-12)
        assert set(table) == {"all", *(tag for one in phrases if len(one.true_xyxy) for tag in one.tags)}


@pytest.mark.parametrize("seed", CASES)
def test_refcoco_figures_are_those_of_a_plain_loop(seed: int) -> None:
    phrases = phrases_of(seed, most_true=1)
    by_iou = phrase_recall(phrases)["all"].recall
    by_giou = phrase_recall(phrases, overlap=giou_matrix)["all"].recall
    assert by_iou == pytest.approx({k: slow_recall(phrases, k, None) for k in (1, 5, 10)}, abs=1e-12)
    assert by_giou == pytest.approx({k: slow_recall(phrases, k, None, generalised=True) for k in (1, 5, 10)}, abs=1e-12)


def test_giou_is_iou_less_what_is_empty_between_the_boxes() -> None:
    a, b = (
        np.array([[0.0, 0.0, 2.0, 2.0]]),
        np.array([[0.0, 0.0, 2.0, 1.0], [4.0, 0.0, 6.0, 2.0], [0.0, 0.0, 0.0, 0.0]]),
    )
    assert giou_matrix(a, b)[0].tolist() == pytest.approx([0.5, -1 / 3, 0.0])


def test_a_hull_holds_all_boxes_and_there_is_none_of_none() -> None:
    assert hull(np.array([[1.0, 2, 3, 4], [0, 3, 2, 9]])).tolist() == [[0, 2, 3, 9]]
    assert hull(np.zeros((0, 4))).shape == (0, 4)


def asked(seed: int) -> list[AskedPhrase]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(int(rng.integers(2, 12))):
        true = boxes_of(rng, int(rng.integers(1, 4)) if number % 2 else 0)
        found = np.concatenate([boxes_of(rng, int(rng.integers(0, 4))), true[rng.random(len(true)) < 0.6]])
        made.append(AskedPhrase(found_xyxy=found, scores=rng.random(len(found)).round(1), true_xyxy=true))
    return made


def most_pairs(found: list[list[float]], true: list[list[float]]) -> list[float]:
    """Overlaps of the assignment with the largest sum, by trying all of them."""
    few, many = (found, true) if len(found) <= len(true) else (true, found)
    options = [
        [overlap(a, many[i], generalised=False) for a, i in zip(few, order, strict=True)]
        for order in itertools.permutations(range(len(many)), len(few))
    ]
    return max(options, key=sum)


@pytest.mark.parametrize("seed", range(50))
def test_presence_is_that_of_a_plain_loop(seed: int) -> None:
    phrases = asked(seed)
    scores = presence_scores(phrases, 0.5)
    kept = [one.found_xyxy[one.scores >= 0.5].tolist() for one in phrases]
    total = 0.0
    for step in np.linspace(0.5, 0.95, 10):
        right = wrong = missed = 0
        for found, one in zip(kept, phrases, strict=True):
            if len(one.true_xyxy):
                hits = sum(iou >= step - 1e-9 for iou in most_pairs(found, one.true_xyxy.tolist()))
                right, wrong, missed = right + hits, wrong + len(found) - hits, missed + len(one.true_xyxy) - hits
        total += 2 * right / (2 * right + wrong + missed)
    assert scores.f1 == pytest.approx(total / 10, abs=1e-12)
    both = [(bool(found), len(one.true_xyxy) > 0) for found, one in zip(kept, phrases, strict=True)]
    tp, tn, fp, fn = (both.count(one) for one in ((True, True), (False, False), (True, False), (False, True)))
    under = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert scores.mcc == pytest.approx((tp * tn - fp * fn) / under if under else 0.0, abs=1e-12)
    assert scores.cgf1 == scores.f1 * scores.mcc
    assert (scores.invented, scores.missed) == (pytest.approx(fp / (fp + tn)), pytest.approx(fn / (fn + tp)))


def test_presence_needs_phrases_that_are_there_and_phrases_that_are_absent() -> None:
    one = AskedPhrase(found_xyxy=np.zeros((0, 4)), scores=np.zeros(0), true_xyxy=np.array([[0.0, 0, 1, 1]]))
    with pytest.raises(TargetError, match="none of 1 phrases is absent"):
        presence_scores([one], 0.5)
    with pytest.raises(TargetError, match="none of 0 phrases is there"):
        presence_scores([], 0.5)


def test_a_model_that_always_finds_something_knows_nothing_of_presence() -> None:
    assert matthews(np.array([True, True]), np.array([True, False])) == 0.0


def test_thresholds_of_the_curve_ascend_and_the_last_keeps_one_phrase() -> None:
    phrases = asked(3)
    curve = threshold_curve(phrases)
    steps = [one.threshold for one in curve]
    assert steps == sorted(steps)
    assert steps[-1] == max(one.scores.max() for one in phrases if len(one.scores))


def asked_phrase(score: float | None, is_there: bool) -> AskedPhrase:
    box = np.array([[0.0, 0.0, 9.0, 9.0]])
    return AskedPhrase(
        found_xyxy=box[: score is not None],
        scores=np.array([] if score is None else [score]),
        true_xyxy=box[: int(is_there)],
    )


def test_a_bound_keeps_to_its_error_rate_and_finds_the_most() -> None:
    phrases = [asked_phrase(n / 10, n in (4, 8, 9)) for n in range(10)] + [asked_phrase(None, True)]
    strict, loose, all_of_them = absence_bounds(phrases, (0.0, 0.2, 1.0))
    assert (strict.bound, strict.found) == (0.4, 4 / 7)
    assert (loose.bound, loose.found) == (0.8, 1.0)
    assert all_of_them.bound is not None
    assert all_of_them.bound > 0.9
    for one in (strict, loose):
        below = [asked for asked in phrases if len(asked.scores) and asked.scores[0] < (one.bound or 0)]
        assert sum(len(asked.true_xyxy) for asked in below) <= one.rate * len(below)


def test_what_scores_alike_falls_together_and_no_bound_is_said_where_there_is_none() -> None:
    tied = [asked_phrase(0.5, False), asked_phrase(0.5, True), asked_phrase(0.6, False)]
    (one,) = absence_bounds(tied, (0.1,))
    assert (one.bound, one.found) == (None, 0.0)
