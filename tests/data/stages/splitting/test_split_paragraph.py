"""Packed paragraphs are split back into their expressions, and no annotation's words are cut or changed."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xdetr_data.stages.splitting.split_paragraph import ParagraphSplit, Span, split_paragraph
from xdetr_data.toyworld.packing import Expression, Paragraph, join_expressions

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[5] / "shared" / "fixtures"))


def said(marked: str, *, heads: bool = False) -> Expression:
    """An expression whose ``[phrases]`` have boxes; with ``heads`` only the last word of each."""
    text, begin, spans = "", 0, []
    for match in re.finditer(r"\[([^\]]*)\]", marked):
        text += marked[begin : match.start()]
        first = len(text) + (match[1].rfind(" ") + 1 if heads else 0)
        text += match[1]
        spans.append(((first, len(text)),))
        begin = match.end()
    text += marked[begin:]
    boxes = tuple((20.0 * index, 0.0, 20.0 * index + 10.0, 10.0) for index in range(len(spans)))
    return Expression(text=text, boxes_xyxy=boxes, spans_char=tuple(spans), is_question=text.endswith("?"))


def split(paragraph: Paragraph) -> ParagraphSplit:
    return split_paragraph(
        paragraph.caption,
        annotation_spans=[annotation.spans_char for annotation in paragraph.annotations],
        negative_spans=paragraph.tokens_negative,
    )


def parts(caption: str, found: ParagraphSplit) -> list[str]:
    return [caption[begin:end] for begin, end in found.sentences]


PACKED = [
    ["[a U.S. mail truck] on [the street]", "[a dog]"],
    ["[St. Nicholas church] on [the corner]", "[The door] is open", "[a bus] to st. louis"],
    ["[the no. 5 jersey]", "[bus] no. 12 at [the stop]", "[the no. 1 bowl]"],
    ["[boats]... near [the dock]", "[sun] setting... behind [mountains]"],
    ["[vase] at approx. 213 px", "[sink] at approx. 368 px", "[a 6 ft. tall man] in [a suit]"],
    ["[mr. bean] beside [a car]", "[dr. pepper can] on [the desk]", "[Mt. Rushmore] in [the distance]"],
    ["[the clock] says 10 a.m. on [the tower]", "[A man] is reading"],
    ["[a flag] from the U.S.", "a [map] of [the room]", "[The sign] at elm st.", "[A woman] waits"],
    ["[cats] vs. [dogs]", "[fruit], e.g. [bananas] and [apples]", "[tools], etc. on [a bench]"],
    ["[C. S. Lewis books] on [a shelf]", "[a j. crew bag] in [her hand]"],
    ["[A baby] stares while [a bear] lays beside it .", "[two cats]"],
    ["Is the [knife] to the left of the [man]?", "[a cup]", "What is in [the U.S. box]?", "[the cup] on the left"],
    ["Is it indoors or outdoors?", "[a cup]", "Is it day?"],
    ["outside of the USA", "[A dog] sleeps", "[A cat] eats"],
    ["[a 3.5 lb. weight]", "[a 12 oz. can] on [a table]", "[trees] approx. 10 ft. high"],
    ["[one man] wearing [pink tie]"],
]


@pytest.mark.parametrize("keep_word_marks", [False, True])
@pytest.mark.parametrize("heads", [False, True])
@pytest.mark.parametrize("marked", PACKED, ids=lambda marked: marked[0])
def test_expressions_come_back_whole(marked: list[str], heads: bool, keep_word_marks: bool) -> None:
    expressions = [said(one, heads=heads) for one in marked]
    paragraph = join_expressions(expressions, range(len(expressions)), keep_word_marks=keep_word_marks)
    assert split(paragraph).sentences == paragraph.sentences


INSIDE = [
    "man walking st.| bernard dog",
    "school of john st.| and street",
    "call dr.| Smith today",
    "cats vs.| dogs",
    "trees...| near water",
    "page no.| 5 here",
    "fig.| 3 here",
    "bib #.| 3 here",
    "can of 8 fl.| oz. juice",
    "man 6 ft.| tall",
    "a 12 oz.| can",
    "bag says 10lb.| across front",
    "clock reads 5 p.m.| on wall",
    "books by C.| S. Lewis",
    "signed J.| Smith",
    "jet of u.s.| army",
    "a u.s.a.| jersey",
    "statue of king jr.| memorial",
    "a bcd.| logo",
    "van of acme inc.| hanging there",
    "12.| man",
    "book by a .| a . milne",
    "book by a . a .| milne",
    "man at st .| louis",
    "pizza w.| cheese",
    "key c.| on board",
    "store dept.| with shelves",
    "letters s.| in sign",
    "man said hi .|, dog",
]
BETWEEN = [
    "man at elm st.| dog",
    "man at elm st.| A dog",
    "flag of the U.S.| the dog",
    "flag of the U.S.| A dog",
    "man 6 ft.| the dog",
    "clock at 5 p.m.| dog",
    "player wears no.| the dog",
    "piece of modern art.| dog",
    "closest to us.| dog",
    "shirt number 12.| dog",
    "sign reads abc.com.| dog",
    "letter b.| dog",
    "old tv.| dog",
    "boat... and sea.| dog",
    "boats...| A dog",
    "man in inc.| building there",
    "forks etc.| Is dog",
    "sun at left.| 2 dogs",
    "cup of 12oz.| In water",
    "the man 's.| dog",
    "7.| man",
    "5.| on bench",
    "x.| on bench",
    "the inaugural mt .| dog",
]


@pytest.mark.parametrize("marked", INSIDE + BETWEEN)
def test_the_words_around_a_mark_decide_where_both_sides_own_an_annotation(marked: str) -> None:
    caption = marked.replace("|", "") + " here."
    annotations = [[(0, 1)], [(len(caption) - 2, len(caption) - 1)]]
    found = split_paragraph(caption, annotation_spans=annotations, negative_spans=[])
    is_boundary = marked.index("|") in [end for _, end in found.sentences]
    assert is_boundary == (marked in BETWEEN)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("person in stands with t", "[man] bending cant see his head"),
        ("guy on l", "[left guy]"),
        ("the k", "[8]"),
        ("player in m", "[the bus]"),
        ("white v", "[71]"),
    ],
)
def test_a_letter_before_the_first_words_of_another_annotation_ends_its_expression(first: str, second: str) -> None:
    head = first.split()[0]
    one, other = said(first.replace(head, f"[{head}]")), said(second)
    for expressions in ([one, other, one], [other, one, other]):
        paragraph = join_expressions(expressions, range(3))
        annotations = [annotation.spans_char for annotation in paragraph.annotations]
        found = split_paragraph(paragraph.caption, annotation_spans=annotations, negative_spans=[])
        assert found.sentences[: expressions.index(one) + 1] == paragraph.sentences[: expressions.index(one) + 1]


@pytest.mark.parametrize(
    "name",
    [
        "book by C. S. [Lewis]",
        "jersey of T. [Brady]",
        "a letter of b. b. [king]",
        "a sign by a . a . [milne]",
        "a place in n. [y]. [city] hall",
    ],
)
def test_a_boxed_name_after_an_initial_stays_with_it(name: str) -> None:
    expression = said(f"[the] {name} on the wall")
    assert len(split(join_expressions([expression], [0])).sentences) == 1


def test_an_annotation_that_crosses_a_mark_proves_that_it_is_no_boundary() -> None:
    caption = "A red bus. The driver waves."
    apart = split_paragraph(caption, annotation_spans=[[(2, 9)], [(15, 21)]], negative_spans=[])
    across = split_paragraph(caption, annotation_spans=[[(15, 21), (2, 9)]], negative_spans=[])
    assert parts(caption, apart) == ["A red bus.", "The driver waves."]
    assert parts(caption, across) == [caption]
    assert across.ambiguous == ()


def test_a_negative_span_that_crosses_a_mark_proves_that_it_is_no_boundary() -> None:
    caption = "A red bus. The driver waves."
    found = split_paragraph(caption, annotation_spans=[[(2, 9)], [(15, 21)]], negative_spans=[(0, 27)])
    assert found == ParagraphSplit(((0, 28),), ())


def test_a_span_that_covers_a_joining_space_is_never_cut() -> None:
    caption = "A red bus. The driver waves."
    for span in [(2, 11), (10, 21)]:
        assert split_paragraph(caption, annotation_spans=[[span]], negative_spans=[]).sentences == ((0, 28),)


def test_one_negative_span_over_a_question_proves_the_boundaries_around_it() -> None:
    caption = "sign for dr. what is the man in the u.s. holding? vs. a dog."
    begin, end = 13, caption.index("?")
    found = split_paragraph(caption, annotation_spans=[[(0, 4)]], negative_spans=[(begin, end)])
    assert parts(caption, found) == ["sign for dr.", "what is the man in the u.s. holding?", "vs. a dog."]


def test_where_negative_words_keep_their_marks_that_alone_decides() -> None:
    caption = "a stove, [a sign] at elm st. near [the man] on a bench. He has [a hat]"
    one = join_expressions([said(caption), said("[the no. 1 cup]")], [0, 1], keep_word_marks=True)
    first, rest = caption.split(" near ")
    three = join_expressions([said(first), said("near " + rest), said("[a cup]")], [0, 1, 2], keep_word_marks=True)
    assert split(one) == ParagraphSplit(one.sentences, ())
    assert split(three) == ParagraphSplit(three.sentences, ())
    assert one.caption[:40] == three.caption[:40]


def test_a_last_word_left_out_for_its_mark_shows_that_kept_marks_are_inside() -> None:
    caption = "A man on a bench. The man in red. A dog."
    annotations = [[(2, 5)], [(22, 25)], [(36, 39)]]
    spans = [match.span() for match in re.finditer(r"\S+", caption)]
    for left_out, count in [("red.", 2), ("dog.", 1), ("nothing", 3)]:
        words = [span for span in spans if caption[slice(*span)] != left_out]
        words = [(b, e - 1) if e == len(caption) and left_out != "nothing" else (b, e) for b, e in words]
        found = split_paragraph(caption, annotation_spans=annotations, negative_spans=words)
        assert len(found.sentences) == count


def test_an_abbreviation_keeps_its_mark_among_ordinary_words_that_do() -> None:
    caption = "A man on a bench. A flag of the U.S. dog is here. the end."
    annotations = [[(2, 5)], [(20, 24)], [(37, 40)], [(54, 57)]]
    spans = [match.span() for match in re.finditer(r"\S+", caption[:-1])]
    found = split_paragraph(caption, annotation_spans=annotations, negative_spans=spans)
    assert parts(caption, found) == ["A man on a bench.", "A flag of the U.S. dog is here.", "the end."]


def test_one_ordinary_word_that_keeps_its_mark_is_inside_and_ambiguous() -> None:
    paragraph = join_expressions(
        [said("[two zebras]. the [foal] grazes"), said("[a bus]")], [0, 1], keep_word_marks=True
    )
    assert split(paragraph) == ParagraphSplit(paragraph.sentences, (11,))


def test_negative_spans_in_any_order_and_inside_each_other_are_proof_too() -> None:
    caption = "A red bus. The driver waves."
    for spans in [[(2, 5), (0, 27), (6, 9)], [(15, 20), (0, 27), (0, 1)]]:
        found = split_paragraph(caption, annotation_spans=[[(2, 9)], [(15, 21)]], negative_spans=spans)
        assert found.sentences == ((0, 28),)


def test_where_few_sentences_own_an_annotation_the_others_stand_alone() -> None:
    caption = "[a man] on a bench. with two dogs. near the bus. in the rain. it is red."
    paragraph = join_expressions([said(caption[:-1])], [0])
    assert len(split(paragraph).sentences) == 5


def test_words_that_keep_even_the_mark_of_their_expression_prove_nothing() -> None:
    for caption in [
        "A man on a bench. A dog in the grass. The bus is red.",
        "A man waits. A dog in the grass. the red bus.",
    ]:
        body = caption if caption.endswith("is red.") else caption[:-1]
        spans = [match.span() for match in re.finditer(r"\S+", body)]
        found = split_paragraph(caption, annotation_spans=[[(2, 5)], [(20, 23)], [(42, 45)]], negative_spans=spans)
        assert len(found.sentences) == 3


def test_a_piece_without_an_annotation_belongs_to_its_neighbour_where_words_allow_it() -> None:
    caption = "a church in the dark. it is old. a dog."
    annotations = [[(2, 8)], [(35, 38)]]
    assert parts(caption, split_paragraph(caption, annotation_spans=annotations, negative_spans=[])) == [
        "a church in the dark. it is old.",
        "a dog.",
    ]
    annotations.append([(22, 24)])
    assert len(split_paragraph(caption, annotation_spans=annotations, negative_spans=[]).sentences) == 3


def test_two_sentences_that_both_own_annotations_are_listed_as_ambiguous() -> None:
    paragraph = join_expressions([said("[A man] on a bench. He has [a hat]"), said("[A dog] runs")], [0, 1])
    assert split(paragraph).ambiguous == (paragraph.caption.index(" He"),)


def test_ordinary_boundaries_are_not_ambiguous() -> None:
    paragraph = join_expressions([said("[a man] on a bench"), said("[The dog] runs"), said("[a bus]")], range(3))
    assert split(paragraph).ambiguous == ()


def test_a_paragraph_without_annotations_is_still_split() -> None:
    caption = "a man on a bench. two dogs. the bus is red."
    found = split_paragraph(caption, annotation_spans=[], negative_spans=[])
    assert parts(caption, found) == ["a man on a bench.", "two dogs.", "the bus is red."]


def test_what_lies_together_is_never_cut() -> None:
    caption = "A red bus. The driver waves. A dog."
    annotations: list[list[Span]] = [[(2, 9)], [(15, 21)], [(31, 34)]]
    for together, count in [((2, 21), 2), ((10, 21), 2), ((2, 10), 3), ((2, 11), 2), ((2, 34), 1)]:
        found = split_paragraph(caption, annotation_spans=annotations, negative_spans=[], together=[together])
        assert len(found.sentences) == count
        assert found.ambiguous == ()


def test_nonsense_that_lies_together_says_nothing() -> None:
    caption = "A red bus. The driver waves."
    for together in [(-1, 20), (0, 99), (20, 3), (9, 9)]:
        found = split_paragraph(
            caption, annotation_spans=[[(2, 9)], [(15, 21)]], negative_spans=[], together=[together]
        )
        assert len(found.sentences) == 2


def released(caption: str, boxed: list[str], left_out: list[str]) -> list[str]:
    """The split of a caption whose negative words are bare and leave some out, as in MDETR's released file."""
    annotations = [[(caption.index(one), caption.index(one) + len(one))] for one in boxed]
    outside = [(caption.index(one), caption.index(one) + len(one)) for one in left_out]
    words = [match.span() for match in re.finditer(r"[^\W_](?:\S*[^\W_])?", caption)]
    negatives = [(b, e) for b, e in words if not any(first <= b and e <= last for first, last in outside)]
    negatives += [span for spans in annotations for span in spans]
    return parts(caption, split_paragraph(caption, annotation_spans=annotations, negative_spans=negatives))


def test_where_every_expression_is_boxed_a_sentence_without_a_box_belongs_to_the_one_before() -> None:
    caption = "the boy in red. far right. a clock on the wall. two zebras. one is grazing."
    found = released(caption, ["the boy", "a clock", "two zebras"], ["the wall"])
    assert found == ["the boy in red. far right.", "a clock on the wall.", "two zebras. one is grazing."]


def test_a_boxed_noun_whose_article_is_left_out_is_not_what_its_expression_is_about() -> None:
    caption = "a bowl of soup. there is a spoon in it. a dog on the grass."
    assert released(caption, ["a bowl", "spoon", "a dog"], ["soup", "a spoon", "the grass"]) == [
        "a bowl of soup. there is a spoon in it.",
        "a dog on the grass.",
    ]
    assert len(released(caption, ["a bowl", "a spoon", "a dog"], ["soup", "the grass"])) == 3


@pytest.mark.parametrize("ending", ["guy on l", "player 15", "sheep marked 7", "girl in shirt with big m"])
def test_what_owns_a_root_after_a_word_that_may_close_an_expression_is_another_expression(ending: str) -> None:
    first = ending.split()[0]
    caption = f"{ending}. in the back near wall. a clock on the wall."
    found = released(caption, [first, "the back", "a clock"], [ending.split()[-1], "wall", "the wall"])
    assert found == [f"{ending}.", "in the back near wall.", "a clock on the wall."]
    assert len(released(caption, [first, "a clock"], ["the back", "wall", "the wall"])) == 2


def test_an_abbreviation_closes_an_expression_where_what_follows_owns_a_root() -> None:
    caption = "guy in blk. far left guy. a clock on the wall."
    assert len(released(caption, ["guy", "left guy", "a clock"], ["blk", "the wall"])) == 3
    assert len(released(caption, ["guy", "a clock"], ["blk", "left guy", "the wall"])) == 2


def test_a_word_that_is_left_out_begins_no_expression_and_a_boxed_one_does() -> None:
    caption = "board shows 6 p.m. departure behind travelers. the dog on the grass."
    assert len(released(caption, ["board", "travelers", "the dog"], ["departure", "the grass"])) == 2
    assert len(released(caption, ["board", "departure", "the dog"], ["travelers", "the grass"])) == 3


def test_a_sentence_without_a_box_belongs_to_the_one_before_and_not_to_the_next() -> None:
    caption = "two zebras in the grass. near a tree. 3 boys on the beach."
    assert released(caption, ["two zebras", "3 boys"], ["the grass", "a tree", "the beach"]) == [
        "two zebras in the grass. near a tree.",
        "3 boys on the beach.",
    ]


def test_where_boxed_words_are_no_negative_words_the_file_was_written_otherwise() -> None:
    caption = "two men at a table. dog on the grass. the bus near a tree."
    boxed: list[list[Span]] = [[(0, 7)], [(40, 43)]]
    words = [match.span() for match in re.finditer(r"\w+", caption)]
    others = [(b, e) for b, e in words if not any(first <= b < last for ((first, last),) in boxed)]
    for negatives, count in [(words, 3), (others, 3), ([span for span in words if span[0] not in (11, 13)], 2)]:
        found = split_paragraph(caption, annotation_spans=boxed, negative_spans=negatives)
        assert len(found.sentences) == count


def test_a_question_mark_that_ends_no_negative_question_is_less_of_a_boundary() -> None:
    caption = "a cat on what bed? it sleeps. a dog."
    annotations: list[list[Span]] = [[(0, 5)], [(19, 21)], [(30, 35)]]
    words = [match.span() for match in re.finditer(r"\w+", caption)]
    for negatives, count in [([], 3), (words, 2)]:
        found = split_paragraph(caption, annotation_spans=annotations, negative_spans=negatives)
        assert len(found.sentences) == count


def test_where_most_annotations_are_missing_no_sentence_needs_one() -> None:
    caption = "two men at a table. dog on the grass. bus near a tree. red lights above."
    annotations: list[list[Span]] = [[(0, 7)]]
    words = [match.span() for match in re.finditer(r"\w+", caption)]
    negatives = [(b, e) for b, e in words if caption[b:e] not in ("table", "dog", "bus", "a")]
    found = split_paragraph(caption, annotation_spans=annotations, negative_spans=negatives)
    assert len(found.sentences) == 4
    assert found.ambiguous == ()


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("", []),
        ("   ", []),
        (" a man. ", ["a man."]),
        (". . . .", [". . . ."]),
        ("...", ["..."]),
        ("a man.  a dog.", ["a man.  a dog."]),
        ("a man.\na dog.", ["a man.\na dog."]),
        ("a man.\u00a0a dog.", ["a man.\u00a0a dog."]),
        ("a 🙂. the 犬.", ["a 🙂.", "the 犬."]),
        ("A man standing. . A dog.", ["A man standing. .", "A dog."]),
    ],
)
def test_strange_text_is_split_only_at_a_mark_and_one_space(caption: str, expected: list[str]) -> None:
    assert parts(caption, split_paragraph(caption, annotation_spans=[], negative_spans=[])) == expected


def test_spans_outside_the_caption_and_empty_ones_say_nothing() -> None:
    caption = "a man. a dog."
    nonsense: list[list[Span]] = [[(0, 400)], [(-3, 9)], [(5, 5)], [], [(9, 4)]]
    found = split_paragraph(caption, annotation_spans=nonsense, negative_spans=[(-9, 90), (0, 300), (7, 7)])
    assert parts(caption, found) == ["a man.", "a dog."]


def check_laws(caption: str, annotations: list[list[Span]], found: ParagraphSplit) -> None:
    """Sentences rebuild the caption, cut no annotation, and end where a mark and one space are."""
    outer = len(caption) - len(caption.lstrip())
    assert caption[:outer] + " ".join(parts(caption, found)) == caption.rstrip() or not caption.strip()
    for _, end in found.sentences[:-1]:
        assert caption[end - 1] in ".?"
        assert caption[end] == " "
    assert [end for _, end in found.sentences[:-1]] == [begin - 1 for begin, _ in found.sentences[1:]]
    for spans in annotations:
        if spans and 0 <= min(b for b, _ in spans) < max(e for _, e in spans) <= len(caption.rstrip()):
            first, last = min(b for b, _ in spans), max(e for _, e in spans)
            homes = [(b, e) for b, e in found.sentences if b <= first and last <= e]
            if first >= outer:
                assert len(homes) == 1
                begin, end = homes[0]
                sentence = caption[begin:end]
                whole = [(b, e) for b, e in spans if b < e]
                assert [sentence[b - begin : e - begin] for b, e in whole] == [caption[b:e] for b, e in whole]
    for offset in found.ambiguous:
        assert caption[offset] == " "
        assert caption[offset - 1] in ".?"


LETTERS = st.sampled_from(
    [".", "?", " ", "a", "B", "5", "é", "\n", "\u00a0", "🙂", "…", "'", '"', "st", "no", "U.S", ","]
)
SPANS = st.tuples(st.integers(-2, 40), st.integers(-2, 40))


@given(
    st.lists(LETTERS, max_size=40).map("".join) | st.text(max_size=40),
    st.lists(st.lists(SPANS, max_size=3), max_size=6),
    st.lists(SPANS, max_size=12),
    st.lists(SPANS, max_size=3),
)
@example("a. b", [[(3, 4), (0, 1)]], [], [])
@example(" .", [], [(1, 1)], [])
def test_any_text_with_any_spans_is_split_lawfully(
    caption: str, annotations: list[list[Span]], negatives: list[Span], together: list[Span]
) -> None:
    found = split_paragraph(caption, annotation_spans=annotations, negative_spans=negatives, together=together)
    check_laws(caption, annotations, found)
    for begin, end in together:
        if 0 <= begin < end <= len(caption):
            assert not any(begin < cut < end for _, cut in found.sentences[:-1])


SOME_WORDS = (
    "a the man dog U.S. st. no. 5 approx. boats... near A The He it on with mr. 6 ft. p.m. etc. ? red? e.g. J. - é"
)
WORDS = st.sampled_from(re.findall(r"\S+", SOME_WORDS))


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    words = draw(st.lists(WORDS, min_size=1, max_size=12))
    ends = [len(" ".join(words[: count + 1])) for count in range(len(words))]
    spans = []
    for _ in range(draw(st.integers(0, 3))):
        chosen = draw(st.sets(st.integers(0, len(words) - 1), min_size=1, max_size=4))
        spans.append(tuple((ends[index] - len(words[index]), ends[index]) for index in sorted(chosen)))
    return Expression(
        text=" ".join(words),
        boxes_xyxy=((0.0, 0.0, 1.0, 1.0),) * len(spans),
        spans_char=tuple(spans),
        is_question=draw(st.booleans()),
    )


@given(st.lists(expressions(), min_size=1, max_size=8), st.booleans())
def test_every_annotation_of_a_packed_paragraph_keeps_its_words(packed: list[Expression], keep: bool) -> None:
    paragraph = join_expressions(packed, range(len(packed)), keep_word_marks=keep)
    found = split(paragraph)
    check_laws(paragraph.caption, [list(annotation.spans_char) for annotation in paragraph.annotations], found)
    for annotation in paragraph.annotations:
        original = packed[annotation.expression]
        first, last = annotation.spans_char[0][0], annotation.spans_char[-1][1]
        (home,) = (sentence for sentence in found.sentences if sentence[0] <= first and last <= sentence[1])
        moved = [(begin - home[0], end - home[0]) for begin, end in annotation.spans_char]
        text = paragraph.caption[slice(*home)]
        assert [text[b:e] for b, e in moved] == [
            original.text[b:e] for b, e in original.spans_char[annotation.position]
        ]


def read_json(name: str) -> Any:
    path = FIXTURES / name
    if not path.exists():
        pytest.skip(f"{path} is not here; set XDETR_FIXTURES to the folder of the real data")
    return json.loads(path.read_text(encoding="utf-8"))


def split_images(document: Any) -> dict[int, list[str]]:
    annotations: dict[int, list[list[Span]]] = {}
    for annotation in document["annotations"]:
        spans = [(begin, end) for begin, end in annotation["tokens_positive"]]
        annotations.setdefault(annotation["image_id"], []).append(spans)
    found = {}
    for image in document["images"]:
        spans = annotations.get(image["id"], [])
        negatives = [(begin, end) for begin, end in image["tokens_negative"]]
        result = split_paragraph(image["caption"], annotation_spans=spans, negative_spans=negatives)
        check_laws(image["caption"], spans, result)
        found[image["id"]] = parts(image["caption"], result)
    return found


def test_at_least_97_per_cent_of_the_derived_paragraphs_come_back_exactly() -> None:
    found = split_images(read_json("derived/final_mixed_train.json"))
    truth = [json.loads(line) for line in (FIXTURES / "derived/mixed_truth.jsonl").read_text().splitlines()]
    right = sum(found[row["id"]] == row["sentences"] for row in truth)
    assert right >= 0.97 * len(truth)


def test_the_published_records_are_split_as_a_reader_would() -> None:
    document = next(
        value for key, value in read_json("mdetr/published_excerpts.json").items() if key.startswith("final_mixed")
    )
    found = split_images(document)
    assert [len(found[key]) for key in (0, 1107630, 486488)] == [6, 1, 10]
    assert "outside of the USA license plate." in found[486488]


def test_flickr_captions_with_one_negative_span_stay_whole() -> None:
    document = read_json("mdetr/final_flickr_separateGT_train.json")
    found = split_images(document)
    whole = {
        image["id"]: image["caption"].strip()
        for image in document["images"]
        if image["tokens_negative"] == [[0, len(image["caption"])]]
    }
    assert whole
    assert all(found[key] == [caption] for key, caption in whole.items())
