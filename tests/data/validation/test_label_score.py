"""Labels against a known truth: one box to one, phrases by the characters that they share."""

import numpy as np
import pytest

from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.validation.label_score import (
    JudgedLabel,
    LabelScore,
    TrueMention,
    calibration_error,
    count_matches,
    join_judgements,
    judge_labels,
    mention_at,
    phrase_kinds,
    score_labels,
    true_captions,
    trust,
)

MODEL = Provenance(source="model")
CAPTION = "There are two dogs. A cat sits on the mat."


def mention(words: str, *boxes: tuple[float, ...]) -> TrueMention:
    begin = CAPTION.index(words)
    return TrueMention(span=(begin, begin + len(words)), boxes_xyxy=np.array(boxes, dtype=np.float64).reshape(-1, 4))


def record(*labels: tuple[str, str, list[tuple[float, float, float, float]]]) -> GroundedImage:
    """Labels as sentence, phrase in it, boxes."""
    regions: list[Region] = []
    queries = []
    for text, words, boxes in labels:
        own = tuple(range(len(regions), len(regions) + len(boxes)))
        regions += [Region(box_xyxy=box, provenance=MODEL) for box in boxes]
        begin = text.index(words)
        phrase = Phrase(spans=((begin, begin + len(words)),), regions=own, provenance=MODEL)
        queries.append(Query(text=text, group="g", phrases=(phrase,)))
    image = ImageRef(file_name="a.jpg", source="coco", size_hw=(100, 100))
    return GroundedImage(key="a", image=image, regions=tuple(regions), queries=tuple(queries))


TRUTH = {CAPTION: [mention("two dogs", (0, 0, 10, 10), (20, 0, 30, 10)), mention("the mat", (0, 50, 100, 100))]}


def test_right_wrong_and_missing_labels_are_counted() -> None:
    dogs = ("There are two dogs.", "dogs", [(0.0, 0.0, 10.0, 9.0), (60.0, 60.0, 70.0, 70.0)])
    mat = ("A cat sits on the mat.", "the mat", [(0.0, 50.0, 100.0, 99.0)])
    score = score_labels(record(dogs, mat), TRUTH)
    assert score == LabelScore(labels=3, truths=3, right=2)
    assert (score.precision, score.recall, score.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_a_phrase_that_the_truth_does_not_know_is_not_judged() -> None:
    cat = ("A cat sits on the mat.", "A cat", [(0.0, 0.0, 10.0, 10.0)])
    assert score_labels(record(cat), TRUTH) == LabelScore(labels=0, truths=3, right=0)


def test_two_labels_on_one_object_are_one_right_and_one_wrong() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], dtype=np.float64)
    assert count_matches(boxes, np.array([[0, 0, 10, 10.0]])) == 1
    assert count_matches(boxes[:0], np.array([[0, 0, 10, 10.0]])) == 0


def test_a_phrase_is_the_mention_with_which_it_shares_most() -> None:
    assert mention_at([(0, 5), (6, 20)], [(4, 10)]) == 1
    assert mention_at([(0, 5), (6, 20)], [(0, 3), (8, 9)]) == 0
    assert mention_at([(0, 5)], [(5, 9)]) is None
    assert mention_at([], [(5, 9)]) is None


def test_a_query_of_no_caption_is_an_error() -> None:
    with pytest.raises(ValueError, match="in no caption"):
        score_labels(record(("Another.", "Another", [])), TRUTH)


def test_scores_of_nothing_are_zero_and_add_up() -> None:
    assert (LabelScore().precision, LabelScore().recall, LabelScore().f1) == (0, 0, 0)
    assert LabelScore(labels=1, truths=2, right=1) + LabelScore(labels=2) == LabelScore(labels=3, truths=2, right=1)


def test_labels_are_judged_by_kind_of_phrase() -> None:
    caption = "A red dog and two cats."
    truth = {
        caption: [
            TrueMention(span=(0, 9), boxes_xyxy=np.array([[0.0, 0, 10, 10]])),
            TrueMention(span=(14, 22), boxes_xyxy=np.array([[20.0, 0, 30, 10], [40.0, 0, 50, 10]])),
        ]
    }
    labels = record(
        (caption, "red dog", [(0.0, 0.0, 10.0, 9.0)]),
        (caption, "cats", [(20.0, 0.0, 30.0, 10.0), (60.0, 60.0, 70.0, 70.0)]),
    )
    found = judge_labels(labels, truth)
    assert found.scores() == {
        "all": LabelScore(labels=3, truths=3, right=2),
        "singular": LabelScore(labels=1, truths=1, right=1),
        "plural": LabelScore(labels=2, truths=2, right=1),
        "attribute": LabelScore(labels=1, truths=1, right=1),
    }
    assert found.unknown == 0
    assert judge_labels(labels, {"Another sentence.": []}).unknown == 2
    both = join_judgements([found, judge_labels(labels, {"Another sentence.": []})])
    assert (both.unknown, both.scores()) == (2, found.scores())


@pytest.mark.parametrize(
    ("words", "boxes", "kinds"),
    [
        ("the dog", 1, ("singular",)),
        ("two dogs", 2, ("plural",)),
        ("red dogs", 3, ("plural", "attribute")),
        ("His Red Dog", 1, ("singular", "attribute")),
    ],
)
def test_kinds_of_phrases(words: str, boxes: int, kinds: tuple[str, ...]) -> None:
    assert phrase_kinds(words, boxes) == kinds


def test_a_dataset_is_a_truth_with_its_sentences() -> None:
    labels = record((CAPTION, "two dogs", [(0.0, 0.0, 10.0, 9.0)]))
    [[one]] = true_captions(labels).values()
    assert (one.span, one.boxes_xyxy.tolist()) == ((10, 18), [[0, 0, 10, 9]])
    assert judge_labels(labels, true_captions(labels)).scores()["all"].f1 == 1.0


def judged(score: float | None, *, is_right: bool) -> JudgedLabel:
    return JudgedLabel(kinds=("singular",), score=score, is_right=is_right)


def test_trust_is_the_share_that_is_right_of_labels_of_like_score() -> None:
    labels = [
        judged(0.1, is_right=False),
        judged(0.9, is_right=True),
        judged(0.8, is_right=False),
        judged(0.2, is_right=False),
    ]
    low, high = trust([*labels, judged(None, is_right=True)], bins=2)
    assert (low.labels, low.score, low.precision) == (2, pytest.approx(0.15), 0.0)
    assert (high.labels, high.score, high.precision) == (2, pytest.approx(0.85), 0.5)
    assert calibration_error([low, high]) == pytest.approx((0.15 + 0.35) / 2)


def test_what_is_no_probability_has_no_calibration_error() -> None:
    assert np.isnan(calibration_error(trust([judged(-0.3, is_right=True)])))
    assert np.isnan(calibration_error(trust([judged(None, is_right=True)])))
