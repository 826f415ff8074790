"""Undoes MDETR's packing: finds the independent queries of a paragraph with all the evidence that the file holds.

A boundary is a mark (``.`` or ``?``) and one space, but a mark can also stand inside an expression ("no. 5"). From the
surest evidence to the least:

* proof: no annotation and no negative span lies across a boundary, nor two annotations whose boxes overlap;
* a negative span of several words is a whole expression (a GQA question);
* where negative words keep their own marks ("no.", "stove,"), the packing's own marks are those that no word keeps;
* nearly every expression owns an annotation: a number or a letter that is one is an expression and numbers nothing,
  and a letter before the words of another one ends an expression and begins no name;
* the words around the mark (``boundary_words``).

Every possible boundary gets a score in nats, and the segmentation with the best sum is found exactly: Viterbi over the
boundaries, where the state is whether the open sentence owns an annotation yet.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from xdetr_data.marks.boundary_words import (
    PLAIN_SCORES,
    QUESTION_SCORES,
    Before,
    abbreviation_score,
    after_kind,
    before_kind,
)
from xdetr_data.spans import Span
from xdetr_data.stages.splitting.boundary_negatives import NEVER, SURE, Marks, add_negative_evidence

_LONGEST_WORD = 32  # what is looked at of a longer one: bounds the work and the caches on strange text
_PLAIN = Before.PLAIN
_NEVER_CLOSE = (Before.TITLE, Before.INSIDE, Before.ELLIPSIS)
_END = itemgetter(1)

# Nats. The words' own scores lie between about -6 and 6.
_WITHOUT_ANNOTATION = 2.3
_WITHOUT_ANNOTATION_RELEASED = 4.0  # MDETR's own script boxes something in every expression that is no question
_ANNOTATION_LATER = 0.5  # and if it boxes but one phrase, that is in an expression's first sentence
_UNSURE = 2.0


@dataclass(frozen=True, slots=True)
class ParagraphSplit:
    """Where a paragraph's queries are.

    Attributes:
        sentences: ``[begin, end)`` of each independent query in the caption, in order. Only the joining space lies
            between two of them; together they cover the caption without its outer white space.
        ambiguous: offsets of the joining spaces, in order, where the evidence neither proved nor excluded a boundary,
            whichever way it was decided.
    """

    sentences: tuple[Span, ...]
    ambiguous: tuple[int, ...]


def split_paragraph(
    caption: str,
    *,
    annotation_spans: Sequence[Sequence[Span]],
    negative_spans: Sequence[Span],
    together: Sequence[Span] = (),
) -> ParagraphSplit:
    """Splits a packed caption into its independent queries; total on any text and any spans.

    Args:
        caption: a paragraph as MDETR packed it.
        annotation_spans: for each annotation, its spans in the caption. No returned boundary lies between the first
            and the last character of one; annotations that are empty or reach outside the caption say nothing.
        negative_spans: the paragraph's ``tokens_negative``; spans that reach outside the caption say nothing.
        together: spans that lie in one expression for any other reason, as those between annotations whose boxes
            overlap (``shared_boxes``); those that are empty or reach outside the caption say nothing.
    """
    text = caption.rstrip()
    begin = len(text) - len(text.lstrip())
    marks = _places(text, ". ", begin)
    if "? " in text:
        marks = sorted(marks + _places(text, "? ", begin))
    if not marks:
        return ParagraphSplit(((begin, len(text)),) if text else (), ())
    annotated = _annotation_evidence(begin, marks, annotation_spans, len(caption))
    excluded = annotated.excluded
    for first, last in together:
        if 0 <= first < last <= len(caption):
            excluded.update(range(bisect_left(marks, first - 1), bisect_left(marks, last - 1)))
    scores, closing = _word_scores(text, begin, marks, annotated)
    is_released = False
    if negative_spans:
        found = Marks(text=text, begin=begin, offsets=marks, scores=scores, owned=annotated.owned, closing=closing)
        is_released = add_negative_evidence(found, negative_spans, annotated.begins)
    for index in excluded:
        scores[index] = NEVER
    cuts, ambiguous = _best_cuts(scores, annotated.owned, is_released)
    sentences = []
    for index in cuts:
        sentences.append((begin, marks[index] + 1))
        begin = marks[index] + 2
    sentences.append((begin, len(text)))
    return ParagraphSplit(tuple(sentences), tuple([marks[index] + 1 for index in ambiguous]))


def _places(text: str, boundary: str, begin: int) -> list[int]:
    places = []
    at = text.find(boundary, begin)
    while at >= 0:
        places.append(at)
        at = text.find(boundary, at + 1)
    return places


@dataclass(frozen=True, slots=True)
class _Annotated:
    """What annotations say about marks.

    Attributes:
        owned: how many annotations lie before the first mark, between the first and the second, and so on.
        begins: for each annotation where it begins.
        excluded: indices of the marks that lie inside an annotation.
        whole: indices of the marks up to which an annotation covers everything that follows the mark before.
    """

    owned: list[int]
    begins: list[int]
    excluded: set[int]
    whole: set[int]


def _annotation_evidence(
    begin: int, marks: list[int], annotation_spans: Sequence[Sequence[Span]], length: int
) -> _Annotated:
    owned = [0] * (len(marks) + 1)
    begins: list[int] = []
    excluded: set[int] = set()
    whole: set[int] = set()
    for spans in annotation_spans:
        if len(spans) == 1:
            first, last = spans[0]
        elif spans:
            first = min(spans)[0]
            last = max(spans, key=_END)[1]
        else:
            continue
        if not 0 <= first < last <= length:
            continue
        # One character to the left, so that a span beginning at the joining space counts as crossing it.
        segment = bisect_left(marks, first - 1)
        owned[segment] += 1
        begins.append(first)
        if segment < len(marks):
            if marks[segment] < last - 1:
                excluded.update(range(segment, bisect_left(marks, last - 1)))
            elif marks[segment] == last and first == (marks[segment - 1] + 2 if segment else begin):
                whole.add(segment)
    return _Annotated(owned, begins, excluded, whole)


def _word_scores(text: str, begin: int, marks: list[int], annotated: _Annotated) -> tuple[list[float], set[int]]:
    """For each mark what the words around it say; and indices of the marks between a word that is not ordinary but may
    close an expression, and one that begins no annotation."""
    scores = []
    closing = set()
    begins = set(annotated.begins)
    for index, mark in enumerate(marks):
        end = text.find(" ", mark + 2, mark + _LONGEST_WORD)
        following = text[mark + 2 : end if end >= 0 else mark + _LONGEST_WORD]
        after = after_kind(following)
        if text[mark] == "?":
            scores.append(QUESTION_SCORES[after])
            continue
        stop = mark - 1 if text[mark - 1] == " " and mark - 1 > begin else mark  # of tokenised text: "by a . a . milne"
        start = text.rfind(" ", stop - _LONGEST_WORD if stop > _LONGEST_WORD else 0, stop) + 1
        if not start:
            start = max(begin, stop - _LONGEST_WORD)
        word = text[start:stop]
        kind = before_kind(word)
        if kind is _PLAIN or (
            kind is Before.TITLE and stop < mark
        ):  # captions whose names were taken out end in "mt ."
            scores.append(PLAIN_SCORES[after])
        else:
            if text.startswith(" .", end):
                following += "."
            words = (*_words_before(text, begin, start), word, following)
            is_whole = index in annotated.whole and start == (marks[index - 1] + 2 if index else begin)
            is_begun = mark + 2 in begins
            scores.append(abbreviation_score(kind, words, after, is_whole=is_whole, is_begun=is_begun))
            if not is_begun and kind not in _NEVER_CLOSE:
                closing.add(index)
    return scores, closing


def _words_before(text: str, begin: int, start: int) -> tuple[str, str]:
    """The two words before the one at ``start``, "" from where a mark and a space may have begun the expression."""
    words = text[max(begin, start - 40) : start].replace(" .", ".").split(" ")[:-1][-2:]
    words = [""] * (2 - len(words)) + words
    if words[1].endswith((".", "?")) and before_kind(words[1][:-1]) is _PLAIN:
        return "", ""
    if words[0].endswith((".", "?")) and before_kind(words[0][:-1]) is _PLAIN:
        return "", words[1]
    return words[0], words[1]


def _best_cuts(scores: list[float], owned: list[int], is_released: bool) -> tuple[list[int], list[int]]:
    """The marks to cut at, and those that were decided by little."""
    if min(scores) > SURE and all(owned):
        return list(range(len(scores))), []
    penalty = _penalty(scores, owned, _WITHOUT_ANNOTATION_RELEASED if is_released else _WITHOUT_ANNOTATION)
    later = _ANNOTATION_LATER if is_released else 0.0
    with_one, without = 0.0, -penalty  # what follows at best, by whether the open sentence owns an annotation
    margins: list[tuple[float, float]] = []
    following = SURE  # the score of the next mark
    for score, count in zip(reversed(scores), reversed(owned), strict=False):
        if count:
            closed, stay_without = score + with_one, with_one
        else:
            closed, stay_without = score + without - (later if following > 0 else 0.0), without
        following = score
        closed_without = closed - penalty
        margins.append((closed_without - stay_without, closed - with_one))
        if closed > with_one:  # max() is slow
            with_one = closed
        without = closed_without if closed_without > stay_without else stay_without
    cuts, ambiguous = [], []
    has_one = owned[0] > 0
    for index, margin in enumerate(reversed(margins)):
        if abs(margin[has_one]) < _UNSURE:
            ambiguous.append(index)
        if margin[has_one] > 0:
            cuts.append(index)
            has_one = owned[index + 1] > 0
        else:
            has_one = has_one or owned[index + 1] > 0
    return cuts, ambiguous


def _penalty(scores: list[float], owned: list[int], least: float) -> float:
    """Price of a sentence without an annotation: less where the paragraph has few annotations anyway."""
    sentences, owners, count = 1, 0, owned[0]
    for score, more in zip(scores, owned[1:], strict=True):
        if score > 0:
            sentences += 1
            owners += count > 0
            count = 0
        count += more
    owners += count > 0
    return least * min(1.0, 1.6 * owners / sentences)
