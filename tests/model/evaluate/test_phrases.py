"""Grounding recall by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_model.errors import TargetError
from xdetr_model.evaluate.overlap import iou_matrix
from xdetr_model.evaluate.phrases import GroundedPhrase, first_hit, phrase_recall

CUP = [10, 10, 50, 50]
DOG = [60, 20, 100, 90]
SKY = [0, 0, 200, 5]


def boxes(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def phrase(found: np.ndarray, true: np.ndarray, tag: str = "attributes") -> GroundedPhrase:
    return GroundedPhrase(found_xyxy=found, true_xyxy=true, tags=(tag,))


def test_recall_at_k_counts_the_first_hit() -> None:
    many = boxes(*[SKY] * 6, CUP)
    table = phrase_recall(
        [phrase(boxes(CUP, DOG), boxes(CUP)), phrase(boxes(DOG, CUP), boxes(CUP)), phrase(many, boxes(CUP)),
         phrase(boxes(SKY), boxes(CUP))]
    )  # fmt: skip
    assert table["all"].recall == {1: 0.25, 5: 0.5, 10: 0.75}
    assert table["all"].scalars() == {"phrases": 4, "recall@1": 0.25, "recall@5": 0.5, "recall@10": 0.75}


def test_any_of_several_true_boxes_is_enough() -> None:
    assert phrase_recall([phrase(boxes(DOG), boxes(CUP, DOG))])["all"].recall[1] == 1.0


def test_iou_of_exactly_one_half_is_a_hit() -> None:
    half = [10, 10, 50, 30]
    assert iou_matrix(boxes(half), boxes(CUP))[0, 0] == 0.5
    assert first_hit(boxes(half), boxes(CUP)) == 0
    assert first_hit(boxes([10, 10, 50, 29]), boxes(CUP)) == float("inf")


def test_kinds_of_phrases_are_reported_apart() -> None:
    table = phrase_recall(
        [phrase(boxes(CUP), boxes(CUP)), phrase(boxes(SKY), boxes(CUP), "relation"),
         phrase(boxes(DOG), boxes(DOG), "relation")]
    )  # fmt: skip
    assert {tag: (t.phrases, t.recall[1]) for tag, t in table.items()} == {
        "all": (3, pytest.approx(2 / 3)), "attributes": (1, 1.0), "relation": (2, 0.5),
    }  # fmt: skip


def test_a_phrase_without_candidates_is_missed_and_one_without_truth_is_left_out() -> None:
    table = phrase_recall([phrase(boxes(), boxes(CUP)), phrase(boxes(CUP), boxes())])
    assert (table["all"].phrases, table["all"].recall[10]) == (1, 0.0)


def test_no_phrases_give_zero_of_zero() -> None:
    assert phrase_recall([])["all"].scalars() == {"phrases": 0, "recall@1": 0.0, "recall@5": 0.0, "recall@10": 0.0}


@pytest.mark.parametrize("ks", [(), (0, 1)])
def test_ks_must_name_numbers_of_boxes(ks: tuple[int, ...]) -> None:
    with pytest.raises(TargetError, match="ks="):
        phrase_recall([], ks)


ROWS = st.lists(
    st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(0, 30)] * 2).map(
        lambda v: [v[0], v[1], v[0] + v[2], v[1] + v[3]]
    ),
    max_size=4,
)


@given(ROWS, ROWS)
def test_iou_counts_pixels(first: list[list[int]], second: list[list[int]]) -> None:
    def pixels(box: list[int]) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    matrix = iou_matrix(boxes(*first), boxes(*second))
    assert matrix.shape == (len(first), len(second))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            union = len(pixels(a) | pixels(b))
            assert matrix[i, j] == pytest.approx(len(pixels(a) & pixels(b)) / union if union else 0.0)


@given(st.lists(st.tuples(ROWS, ROWS), max_size=6))
def test_recall_grows_with_k(pairs: list[tuple[list[list[int]], list[list[int]]]]) -> None:
    recall = phrase_recall([phrase(boxes(*f), boxes(*t)) for f, t in pairs], ks=(1, 2, 3, 4))["all"].recall
    assert list(recall.values()) == sorted(recall.values())
