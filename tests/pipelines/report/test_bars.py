from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.report.bars import MAX_BARS, Bars, _whole
from xdetr_data.statistics.distributions import histogram

COUNTS = st.dictionaries(st.integers(0, 5000), st.integers(1, 100), max_size=30).map(Counter)


@given(st.lists(COUNTS, min_size=1, max_size=3))
def test_every_value_is_in_a_bar_and_there_are_never_too_many(given_counts: list[Counter[int]]) -> None:
    bars = _whole("x", "X", "things", [histogram(one) for one in given_counts])
    assert 1 <= len(bars.ticks) <= MAX_BARS
    for counts, shares in zip(given_counts, bars.shares, strict=True):
        assert len(shares) == len(bars.ticks)
        assert sum(shares) == pytest.approx(1.0 if counts else 0.0)


def whole(*values: int) -> Bars:
    return _whole("x", "X", "things", [histogram(Counter(values))])


def test_few_values_have_a_bar_each() -> None:
    bars = whole(2, 3, 3, 5)
    assert (bars.ticks, bars.shares) == (("2", "3", "4", "5"), ((0.25, 0.5, 0.0, 0.25),))


def test_many_values_share_bars_of_equal_width() -> None:
    bars = whole(*range(100))
    assert bars.ticks[:2] == ("0–9", "10–19")
    assert {round(share, 9) for share in bars.shares[0]} == {0.1}


def test_a_lonely_large_value_joins_the_last_bar_and_the_bar_says_so() -> None:
    bars = whole(*[1, 2, 3] * 100, 5000)
    assert bars.ticks[-1] == "≥7"
    assert bars.shares[0][-1] == pytest.approx(1 / 301)
