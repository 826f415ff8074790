"""MDETR's packing: what is packed together, how it is written, and that its truth is the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.toyworld.packing import Expression, Paragraph, join_expressions, negative_spans, pack_expressions


def said(text: str, *phrases: str, box: tuple[float, float, float, float] = (0, 0, 10, 10)) -> Expression:
    spans = tuple(((text.index(phrase), text.index(phrase) + len(phrase)),) for phrase in phrases)
    return Expression(text=text, boxes_xyxy=(box,) * len(phrases), spans_char=spans, is_question=text.endswith("?"))


def apart(count: int) -> list[tuple[float, float, float, float]]:
    return [(20.0 * index, 0.0, 20.0 * index + 10.0, 10.0) for index in range(count)]


def words_of(paragraph: Paragraph) -> list[str]:
    return [paragraph.caption[begin:end] for begin, end in paragraph.tokens_negative]


def test_expressions_get_a_mark_unless_they_have_one_and_one_space_between() -> None:
    texts = ["a man", "A dog runs.", "is it red?", "boats..."]
    expressions = [said(text, text.split()[0], box=box) for text, box in zip(texts, apart(4), strict=True)]
    paragraph = join_expressions(expressions, range(4))
    assert paragraph.caption == "a man. A dog runs. is it red? boats..."
    assert [paragraph.caption[b:e] for b, e in paragraph.sentences] == [
        "a man.",
        "A dog runs.",
        "is it red?",
        "boats...",
    ]


def test_expressions_that_box_the_same_object_are_kept_apart() -> None:
    same = [said("a man", "man"), said("the tall man", "man"), said("a dog", "dog", box=(50, 50, 60, 60))]
    paragraphs = pack_expressions(same)
    assert sorted(sorted(paragraph.expressions) for paragraph in paragraphs) in ([[0], [1, 2]], [[0, 2], [1]])


def test_boxes_at_exactly_the_limit_may_share_a_paragraph() -> None:
    half = [said("a man", "man", box=(0, 0, 10, 10)), said("a hat", "hat", box=(0, 0, 10, 5))]
    assert len(pack_expressions(half)) == 1
    assert len(pack_expressions(half, max_iou=0.49)) == 2


def test_the_budget_forgets_the_separators() -> None:
    texts = ["x" * 62] * 4  # 248 characters, 255 with marks and spaces
    expressions = [said(text, "x", box=box) for text, box in zip(texts, apart(4), strict=True)]
    (paragraph,) = pack_expressions(expressions)
    assert len(paragraph.caption) == 255
    assert len(pack_expressions([*expressions, said("y", "y", box=(900, 0, 910, 10))])) == 2


def test_an_expression_longer_than_the_budget_stands_alone() -> None:
    paragraphs = pack_expressions([said("w" * 400, "w", box=box) for box in apart(3)])
    assert [len(paragraph.expressions) for paragraph in paragraphs] == [1, 1, 1]


def test_expressions_without_boxes_are_packed_too() -> None:
    (paragraph,) = pack_expressions([said("a man"), said("a dog")])
    assert paragraph.annotations == ()
    assert len(paragraph.sentences) == 2


def test_no_expressions_make_no_paragraph() -> None:
    assert pack_expressions([]) == []


def test_negative_words_end_in_a_letter_or_digit_and_keep_marks_only_on_request() -> None:
    expression = said("a U.S. truck, no. 5 'st.' stop.", "truck")
    paragraph = join_expressions([expression], [0])
    assert words_of(paragraph) == ["a", "U.S", "truck", "no", "5", "st", "stop"]
    kept = join_expressions([expression], [0], keep_word_marks=True)
    assert words_of(kept) == ["a", "U.S.", "truck,", "no.", "5", "'st.'"]


def test_a_question_has_one_negative_span_without_its_mark() -> None:
    assert negative_spans(said("Is the man near the dog?", "man")) == ((0, 23),)
    assert negative_spans(said("?")) == ()


def test_an_expression_without_text_or_with_boxes_without_spans_is_refused() -> None:
    with pytest.raises(ValueError, match="needs text"):
        Expression(text="")
    with pytest.raises(ValueError, match="1 boxes and 0 lists of spans"):
        Expression(text="a man", boxes_xyxy=((0, 0, 1, 1),))


@st.composite
def expressions_of_a_photo(draw: st.DrawFn) -> list[Expression]:
    number = st.integers(min_value=0, max_value=40)
    expressions = []
    for _ in range(draw(st.integers(min_value=0, max_value=12))):
        words = draw(
            st.lists(st.sampled_from(["a", "man", "no.", "5", "U.S.", "dog", "é..."]), min_size=1, max_size=20)
        )
        text = " ".join(words)
        boxes, spans = [], []
        for _ in range(draw(st.integers(min_value=0, max_value=3))):
            x, y = draw(number), draw(number)
            boxes.append((float(x), float(y), float(x + draw(number) + 1), float(y + draw(number) + 1)))
            begin = draw(st.integers(min_value=0, max_value=len(text) - 1))
            spans.append(((begin, draw(st.integers(min_value=begin + 1, max_value=len(text)))),))
        expressions.append(
            Expression(text=text, boxes_xyxy=tuple(boxes), spans_char=tuple(spans), is_question=draw(st.booleans()))
        )
    return expressions


@given(expressions_of_a_photo())
def test_packing_loses_nothing_moves_no_word_and_keeps_the_rules(expressions: list[Expression]) -> None:
    paragraphs = pack_expressions(expressions)
    assert sorted(i for paragraph in paragraphs for i in paragraph.expressions) == list(range(len(expressions)))
    for paragraph in paragraphs:
        members = [expressions[index] for index in paragraph.expressions]
        assert " ".join(paragraph.caption[b:e] for b, e in paragraph.sentences) == paragraph.caption
        assert len(members) == 1 or sum(len(member.text) for member in members) + 2 <= 250
        for annotation in paragraph.annotations:
            source = expressions[annotation.expression]
            assert annotation.box_xyxy == source.boxes_xyxy[annotation.position]
            original = [source.text[b:e] for b, e in source.spans_char[annotation.position]]
            assert [paragraph.caption[b:e] for b, e in annotation.spans_char] == original
        assert sum(len(member.boxes_xyxy) for member in members) == len(paragraph.annotations)
        for i, one in enumerate(members):
            for other in members[i + 1 :]:
                assert np.all(iou_matrix_xyxy(one.boxes_xyxy, other.boxes_xyxy) <= 0.5)
