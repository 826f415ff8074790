from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import spans_of, texts
from xdetr_data.spans import Span, check_spans, contains, join_spans, shift_spans, span_text

ONE_TEXT = texts().filter(bool)


@st.composite
def text_and_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text with spans in any order that may overlap."""
    text = draw(ONE_TEXT)
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    spans = draw(st.lists(ends.map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=6))
    return text, [(begin, end) for begin, end in spans if begin < end] or [(0, len(text))]


def covered(spans: list[Span] | tuple[Span, ...], text: str) -> set[int]:
    return {i for begin, end in spans for i in range(begin, end) if not text[i].isspace()}


@given(text_and_spans())
def test_joined_spans_cover_the_same_words_ordered_and_apart(drawn: tuple[str, list[Span]]) -> None:
    text, spans = drawn
    joined = join_spans(spans, text)
    assert covered(joined, text) == covered(spans, text)
    for (_, end), (begin, _) in pairwise(joined):
        assert end < begin
        assert not text[end:begin].isspace()


@given(text_and_spans())
def test_joining_again_or_in_another_order_changes_nothing(drawn: tuple[str, list[Span]]) -> None:
    text, spans = drawn
    joined = join_spans(spans, text)
    assert join_spans(joined, text) == joined
    assert join_spans(spans[::-1], text) == joined


def test_words_of_one_phrase_become_one_span_as_mdetr_means_them() -> None:
    assert join_spans([[0, 3], [4, 7]], "one man runs") == ((0, 7),)
    assert join_spans([[0, 3], [8, 12]], "one man runs") == ((0, 3), (8, 12))
    assert join_spans([[4, 7], [0, 3], [2, 5]], "one man runs") == ((0, 7),)


@given(st.integers(1, 40).flatmap(spans_of), st.integers(-1000, 1000))
def test_shifting_back_is_the_identity(spans: tuple[Span, ...], offset: int) -> None:
    assert shift_spans(shift_spans(spans, offset), -offset) == spans


@given(ONE_TEXT, ONE_TEXT, st.data())
def test_shifted_spans_mean_the_same_words_behind_a_prefix(prefix: str, text: str, data: st.DataObject) -> None:
    spans = data.draw(spans_of(len(text)))
    assert span_text(shift_spans(spans, len(prefix)), prefix + text) == span_text(spans, text)


@given(ONE_TEXT, st.data())
def test_good_spans_are_accepted(text: str, data: st.DataObject) -> None:
    spans = data.draw(spans_of(len(text)))
    if all(not text[begin:end].isspace() for begin, end in spans):
        assert check_spans(spans, text) is None


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([], "no spans"),
        ([[1]], "not a [begin, end) pair"),
        ([[1, 2, 3]], "not a [begin, end) pair"),
        ([[0, 0]], "outside the text of 5 characters or empty"),
        ([[3, 2]], "outside the text of 5 characters or empty"),
        ([[-1, 2]], "outside the text of 5 characters or empty"),
        ([[0, 6]], "outside the text of 5 characters or empty"),
        ([[0, 1], [1, 2]], "covers only white space"),
    ],
)
def test_bad_spans_are_refused_with_a_reason(spans: list[list[int]], reason: str) -> None:
    assert reason in str(check_spans(spans, "a man"))


def test_containing_means_every_span_wholly() -> None:
    assert contains((2, 9), [(2, 4), (8, 9)])
    assert contains((2, 9), [(2, 9)])
    assert not contains((2, 9), [(1, 4)])
    assert not contains((2, 9), [(3, 4), (8, 10)])


def test_the_words_of_a_phrase_in_parts_are_joined_by_a_space() -> None:
    assert span_text([(0, 3), (8, 12)], "one man runs") == "one runs"
