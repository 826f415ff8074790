"""Verdicts of reviewers as figures: Wilson's interval, Cohen's kappa, and what is counted as right."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from xdetr_data.reviewing.decisions import Action, Decision
from xdetr_data.reviewing.summary import Precision, by_score, kappa, precision, settled, verdicts_of


def decision(action: Action, place: tuple[int | None, int | None, int | None] = (0, 0, 0), key: str = "a") -> Decision:
    query, phrase, region = place
    return Decision(key=key, sample_sha256="0", query=query, phrase=phrase, region=region, action=action, text="a ball")


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_interval_is_wilsons(right: int, wrong: int) -> None:
    found = Precision(right=right, labels=right + wrong)
    if not right + wrong:
        assert math.isnan(found.share)
        assert found.interval == (0.0, 1.0)
        return
    theirs = binomtest(right, right + wrong).proportion_ci(method="wilson")
    assert found.interval == pytest.approx((theirs.low, theirs.high), abs=1e-12)


VERDICTS = st.dictionaries(st.integers(0, 12).map(lambda n: ("a", 0, 0, n)), st.booleans(), max_size=12)


@given(VERDICTS, VERDICTS)
def test_kappa_is_cohens(one: dict, other: dict) -> None:  # type: ignore[type-arg]
    both = sorted(one.keys() & other.keys())
    labels, value = kappa(one, other)
    assert labels == len(both)
    first, second = [one[label] for label in both], [other[label] for label in both]
    if len({*first, *second}) < 2:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_what_was_rejected_moved_or_renamed_was_not_right() -> None:
    wrong: list[Action] = ["reject", "wrong-box", "edit-box", "edit-label"]
    decisions = [decision(action, (0, 0, number)) for number, action in enumerate(wrong)]
    decisions += [decision("right", (0, 1, 0)), decision("right", (0, 0, 0)), decision("new-label", (None, None, None))]
    decisions += [decision("right", (None, None, 5)), decision("reject", (1, 0, None))]  # no phrase's boxes
    found = verdicts_of(decisions)
    assert found == {("a", 0, 0, n): False for n in range(4)} | {("a", 0, 1, 0): True}
    assert precision(found) == Precision(right=1, labels=5)


def test_of_several_reviewers_most_say_and_a_draw_is_none() -> None:
    first, second, third = ("a", 0, 0, 0), ("a", 0, 0, 1), ("a", 0, 0, 2)
    several = [{first: True, second: True}, {first: False, second: True}, {second: False, third: False}]
    assert settled(several) == ({second: True, third: False}, 1)


def test_scores_are_cut_into_parts_of_like_number() -> None:
    labels = {("a", 0, 0, number): number > 5 for number in range(12)}
    scores = {label: label[3] / 12 for label in labels}
    found = by_score(labels, scores | {("b", 0, 0, 0): 9.0}, bins=3)
    assert [(one.right, one.labels) for _, _, one in found] == [(0, 4), (2, 4), (4, 4)]
    assert found[0][:2] == (0.0, 3 / 12)
    assert by_score(labels, {}) == []
    assert len(by_score(dict.fromkeys(list(labels)[:2], True), scores)) == 2
