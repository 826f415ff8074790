"""Boxes that several grounders see are one; what one says alone counts as little as the others leave it."""

import numpy as np
import pytest

from xdetr_data.stages.grounding.consensus import agree

DOG, DOG_TOO, CAT = (0.0, 0.0, 40.0, 40.0), (4.0, 0.0, 44.0, 40.0), (60.0, 60.0, 90.0, 90.0)


def found(*candidates: tuple[tuple[float, ...], float, int], least: int = 1) -> list[tuple[list[float], float]]:
    boxes, scores, teacher = zip(*candidates, strict=True)
    agreed = agree(np.array(boxes), scores, teacher, least=least)
    return [(one.box_xyxy.tolist(), round(one.score, 6)) for one in agreed]


def test_the_box_and_the_score_are_the_mean_of_all_who_see_it() -> None:
    assert found((DOG, 0.9, 0), (DOG_TOO, 0.5, 1)) == [([2.0, 0.0, 42.0, 40.0], 0.7)]


def test_who_kept_no_such_box_says_what_the_worst_candidate_scored() -> None:
    both = found((DOG, 0.8, 0), (CAT, 0.2, 0), (CAT, 0.9, 1))
    assert both == [([60.0, 60.0, 90.0, 90.0], 0.55), ([0.0, 0.0, 40.0, 40.0], 0.5)]


def test_what_too_few_see_is_gone() -> None:
    assert found((DOG, 0.8, 0), (CAT, 0.9, 1), least=2) == []
    assert found((DOG, 0.8, 0), (CAT, 0.9, 1), (CAT, 0.1, 0), least=2) == [([60.0, 60.0, 90.0, 90.0], 0.5)]


def test_a_grounders_second_box_of_one_object_adds_nothing() -> None:
    assert found((DOG, 0.8, 0), (DOG_TOO, 0.6, 0), (DOG, 0.4, 1)) == [([0.0, 0.0, 40.0, 40.0], 0.6)]


def test_negative_scores_are_scores() -> None:
    assert found((DOG, -0.1, 0), (DOG, -0.3, 1), (CAT, -0.9, 0)) == [
        ([0.0, 0.0, 40.0, 40.0], -0.2),
        ([60.0, 60.0, 90.0, 90.0], -0.9),
    ]


@pytest.mark.parametrize("least", [1, 2])
def test_nothing_gives_nothing(least: int) -> None:
    assert agree(np.zeros((0, 4)), [], [], least=least) == []
