"""Average precision on cases small enough to be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.boxes import FoundBoxes, TrueBoxes, box_scores

CUP = (10.0, 10.0, 50.0, 50.0)
DOG = (60.0, 20.0, 100.0, 90.0)


def found(*boxes_and_scores: tuple[tuple[float, ...], float]) -> FoundBoxes:
    boxes = np.array([b for b, _ in boxes_and_scores], np.float64).reshape(-1, 4)
    return FoundBoxes(boxes_xyxy=boxes, scores=np.array([s for _, s in boxes_and_scores]))


def true(*boxes: tuple[float, ...], crowd: tuple[bool, ...] | None = None) -> TrueBoxes:
    return TrueBoxes(
        boxes_xyxy=np.array(boxes, np.float64).reshape(-1, 4), is_crowd=None if crowd is None else np.array(crowd)
    )


def test_exact_boxes_score_one() -> None:
    scores = box_scores([found((CUP, 0.9), (DOG, 0.2))], [true(DOG, CUP)])
    one = pytest.approx(1.0)
    assert scores.scalars() == {
        "ap": one, "ap50": one, "ap75": one, "ap_medium": one, "ar1": 0.5, "ar10": one, "ar100": one, "ar300": one,
        "ar_medium": one, "photos": 1, "regions": 2,
    }  # fmt: skip


def test_the_first_of_all_regions_counts_too() -> None:
    assert box_scores([found((CUP, 0.9))], [true(CUP)]).ap50 == pytest.approx(1.0)


def test_a_box_of_iou_0_6_counts_at_half_and_not_at_three_quarters() -> None:
    wide = (10.0, 10.0, 50.0, 34.0)  # 24 of 40 rows
    scores = box_scores([found((wide, 0.9))], [true(CUP)])
    assert (scores.ap50, scores.ap75) == (pytest.approx(1.0), 0.0)
    assert scores.ap == pytest.approx(0.3)  # IoU 0.5, 0.55 and 0.6 of ten thresholds
    assert scores.ar100 == pytest.approx(0.3)


def test_a_better_scored_mistake_halves_the_precision() -> None:
    elsewhere = (200.0, 200.0, 240.0, 240.0)
    assert box_scores([found((elsewhere, 0.9), (CUP, 0.5))], [true(CUP)]).ap == pytest.approx(0.5)
    assert box_scores([found((elsewhere, 0.3), (CUP, 0.5))], [true(CUP)]).ap == pytest.approx(1.0)


def test_half_of_the_regions_found_gives_51_of_101_recall_points() -> None:
    scores = box_scores([found((CUP, 0.9))], [true(CUP, DOG)])
    assert scores.ap == pytest.approx(51 / 101)
    assert scores.ar100 == pytest.approx(0.5)


def test_scores_are_compared_over_photos() -> None:
    elsewhere = (200.0, 200.0, 240.0, 240.0)
    both = [found((CUP, 0.5)), found((elsewhere, 0.9))]
    assert box_scores(both, [true(CUP), true()]).ap == pytest.approx(0.5)


def test_the_second_box_on_one_object_is_a_mistake() -> None:
    twice = found((CUP, 0.9), (CUP, 0.8), (DOG, 0.7))
    # precision 1 up to recall 1/2, then 2/3
    assert box_scores([twice], [true(CUP, DOG)]).ap == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_crowd_is_neither_missed_nor_an_error() -> None:
    scores = box_scores([found((CUP, 0.9), (DOG, 0.95))], [true(CUP, DOG, crowd=(False, True))])
    assert (scores.ap, scores.ar100, scores.regions) == (pytest.approx(1.0), pytest.approx(1.0), 1)


def test_nothing_found_scores_zero() -> None:
    scores = box_scores([found()], [true(CUP)]).scalars()
    assert {name for name, value in scores.items() if value} == {"photos", "regions"}


def test_the_library_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    box_scores([found((CUP, 0.9))], [true(CUP)])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("guesses", "truth", "words"),
    [
        ([found()], [true()], "none of 1 photos has a box"),
        ([found()], [true(CUP, crowd=(True,))], "none of 1 photos has a box"),
        ([found()], [true(CUP), true()], "1 photos, but the truth of 2"),
        ([found((CUP, 0.5)), found(((0.0, np.nan, 1.0, 1.0), 0.5))], [true(CUP), true()], "photo 1: a found box"),
        ([found()], [true(CUP, crowd=(True, False))], "is_crowd for 2"),
    ],
)
def test_what_cannot_be_scored_is_said(guesses: list[FoundBoxes], truth: list[TrueBoxes], words: str) -> None:
    with pytest.raises(TargetError, match=words):
        box_scores(guesses, truth)


CORNERS = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3]))
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(CORNERS, max_size=4), min_size=1, max_size=3))
def test_order_of_boxes_and_scale_of_scores_do_not_matter(photos: list[list[tuple[float, ...]]]) -> None:
    generator = np.random.default_rng(0)
    truth = [true(*boxes) for boxes in photos]
    truth.append(true(CUP))
    guesses = [
        FoundBoxes(boxes_xyxy=t.boxes_xyxy + generator.integers(0, 9, t.boxes_xyxy.shape), scores=s)
        for t, s in ((t, generator.permutation(len(t.boxes_xyxy)) + 10.0 * i) for i, t in enumerate(truth))
    ]
    turned = [FoundBoxes(boxes_xyxy=g.boxes_xyxy[::-1], scores=g.scores[::-1] / 1000 - 7) for g in guesses]
    assert box_scores(guesses, truth).scalars() == pytest.approx(box_scores(turned, truth).scalars())
