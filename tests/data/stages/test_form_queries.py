"""From sentences and placed annotations to queries: every annotation keeps its very words, or has no home."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import boxes_xyxy, spans_of
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.spans import Span, span_text
from xdetr_data.stages.form_queries import PlacedAnnotation, form_queries

CAPTION = "a red ball. the blue box on a shelf."
BOX, OTHER_BOX = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0)


def placed(number: int, *spans: Span, box: tuple[float, float, float, float] = BOX) -> PlacedAnnotation:
    return PlacedAnnotation(id=str(number), box_xyxy=box, spans=spans)


def test_spans_count_from_the_first_character_of_their_sentence() -> None:
    queries, homeless = form_queries(
        CAPTION, [(0, 11), (12, 36)], [placed(1, (2, 10)), placed(2, (16, 24))], group="g#1", source="mixed"
    )
    assert homeless == []
    assert queries == [
        BoxedQuery(
            text="a red ball.",
            group="g#1",
            source="mixed",
            phrases=(BoxedPhrase(spans=((2, 10),), boxes_xyxy=(BOX,), annotation_ids=("1",)),),
        ),
        BoxedQuery(
            text="the blue box on a shelf.",
            group="g#1",
            source="mixed",
            phrases=(BoxedPhrase(spans=((4, 12),), boxes_xyxy=(BOX,), annotation_ids=("2",)),),
        ),
    ]


def test_annotations_of_the_same_words_are_one_phrase_with_several_boxes() -> None:
    (query,), _ = form_queries(
        "two men", [(0, 7)], [placed(1, (4, 7)), placed(2, (4, 7), box=OTHER_BOX)], group="g", source="s"
    )
    (phrase,) = query.phrases
    assert phrase.boxes_xyxy == (BOX, OTHER_BOX)
    assert phrase.annotation_ids == ("1", "2")


def test_an_annotation_that_no_single_sentence_holds_has_no_home() -> None:
    crossing, in_two, between = placed(1, (2, 20)), placed(2, (2, 5), (16, 20)), placed(3, (11, 12))
    queries, homeless = form_queries(CAPTION, [(0, 11), (12, 36)], [crossing, in_two, between], group="g", source="s")
    assert homeless == [crossing, in_two, between]
    assert [query.phrases for query in queries] == [(), ()]


def test_a_sentence_without_annotation_is_a_query_without_phrase() -> None:
    queries, _ = form_queries(CAPTION, [(0, 11), (12, 36)], [], group="g", source="s")
    assert [query.text for query in queries] == ["a red ball.", "the blue box on a shelf."]


@st.composite
def paragraphs(draw: st.DrawFn) -> tuple[str, list[Span], list[PlacedAnnotation]]:
    """A caption, disjoint sentences of it in order, and annotations anywhere in it."""
    caption = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30))
    sentences = list(draw(spans_of(len(caption))))
    annotations = [
        PlacedAnnotation(id=str(number), box_xyxy=box, spans=spans)
        for number, (box, spans) in enumerate(
            draw(st.lists(st.tuples(boxes_xyxy(), spans_of(len(caption))), max_size=8))
        )
    ]
    return caption, sentences, annotations


@given(paragraphs())
def test_every_annotation_is_in_one_query_over_the_same_characters_or_has_no_home(
    paragraph: tuple[str, list[Span], list[PlacedAnnotation]],
) -> None:
    caption, sentences, annotations = paragraph
    queries, homeless = form_queries(caption, sentences, annotations, group="g", source="s")
    assert [query.text for query in queries] == [caption[begin:end] for begin, end in sentences]
    by_id = {one.id: one for one in annotations}
    found = [
        (annotation_id, box, span_text(phrase.spans, query.text))
        for query in queries
        for phrase in query.phrases
        for annotation_id, box in zip(phrase.annotation_ids, phrase.boxes_xyxy, strict=True)
    ]
    assert sorted([one.id for one in homeless] + [annotation_id for annotation_id, _, _ in found]) == sorted(by_id)
    for annotation_id, box, words in found:
        assert box == by_id[annotation_id].box_xyxy
        assert words == span_text(by_id[annotation_id].spans, caption)
    for one in homeless:
        assert not any(all(b <= x and y <= e for x, y in one.spans) for b, e in sentences)


@given(paragraphs(), st.randoms(use_true_random=False))
def test_the_order_of_annotations_decides_only_the_order_of_a_phrases_boxes(
    paragraph: tuple[str, list[Span], list[PlacedAnnotation]], random: Random
) -> None:
    caption, sentences, annotations = paragraph
    shuffled = list(annotations)
    random.shuffle(shuffled)

    def described(order: list[PlacedAnnotation]) -> object:
        queries, homeless = form_queries(caption, sentences, order, group="g", source="s")
        return [
            [(p.spans, sorted(zip(p.annotation_ids, p.boxes_xyxy, strict=True))) for p in query.phrases]
            for query in queries
        ], sorted(one.id for one in homeless)

    assert described(shuffled) == described(annotations)
