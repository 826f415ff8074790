"""Undoes MDETR's packing: finds the independent queries of a paragraph with all the evidence that the file holds.

A boundary is a mark (``.`` or ``?``) and one space, but a mark can also stand inside an expression ("no. 5"). From the
surest evidence to the least:

* proof: no annotation and no negative span lies across a boundary;
* a negative span of several words is a whole expression (a GQA question);
* where negative words keep their own marks ("no.", "stove,"), the packing's own marks are those that no word keeps;
* annotations stand in the file expression by expression, and nearly every expression owns one;
* the words around the mark (``boundary_words``).

Every possible boundary gets a score in nats, and the segmentation with the best sum is found exactly: Viterbi over the
boundaries, where the state is whether the open sentence owns an annotation yet.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from xdetr_data.boundary_words import (
    PLAIN_SCORES,
    QUESTION_SCORES,
    Before,
    abbreviation_score,
    after_kind,
    before_kind,
)
from xdetr_data.spans import Span

_MARK = re.compile(r"[.?] ")
_INNER_MARK = re.compile(r"[,;:!]")
_BOUNDARIES = (". ", "? ")
_LONGEST_WORD = 32  # what is looked at of a longer one: bounds the work and the caches on strange text
_SHORT_WORD = 4  # no several words are shorter: saves looking
_PLAIN = Before.PLAIN

# Nats. The words' own scores lie between about -6 and 6.
_NEVER = -1e6
_WHOLE = 9.0
_KEPT_BY_A_WORD = -9.0
_KEPT_BY_ONE = -5.0  # the only ordinary word that keeps a mark
_KEPT_BY_SOME = -4.0  # an abbreviation, where ordinary words keep marks too
_KEPT_BY_MANY = -1.5
_KEPT_BY_NONE = 7.0
_WITHOUT_ANNOTATION = 2.3
_SURE = 3.0  # a mark above it is cut wherever both sides own an annotation
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
    caption: str, *, annotation_spans: Sequence[Sequence[Span]], negative_spans: Sequence[Span]
) -> ParagraphSplit:
    """Splits a packed caption into its independent queries; total on any text and any spans.

    Args:
        caption: a paragraph as MDETR packed it.
        annotation_spans: for each annotation, its spans in the caption. No returned boundary lies between the first
            and the last character of one; annotations that are empty or reach outside the caption say nothing.
        negative_spans: the paragraph's ``tokens_negative``; spans that reach outside the caption say nothing.
    """
    text = caption.rstrip()
    begin = len(text) - len(text.lstrip())
    marks = [match.start() for match in _MARK.finditer(text, begin)]
    if not marks:
        return ParagraphSplit(((begin, len(text)),) if text else (), ())
    owned, excluded = _annotation_evidence(marks, annotation_spans, len(caption))
    scores = _word_scores(text, begin, marks)
    if negative_spans:
        _add_negative_evidence(scores, owned, text, begin, marks, negative_spans)
    for index in excluded:
        scores[index] = _NEVER
    cuts, ambiguous = _best_cuts(scores, owned)
    sentences = []
    for index in cuts:
        sentences.append((begin, marks[index] + 1))
        begin = marks[index] + 2
    sentences.append((begin, len(text)))
    return ParagraphSplit(tuple(sentences), tuple(marks[index] + 1 for index in ambiguous))


def _annotation_evidence(
    marks: list[int], annotation_spans: Sequence[Sequence[Span]], length: int
) -> tuple[list[int], set[int]]:
    """How many annotations lie between neighbouring marks, and which marks lie inside an annotation."""
    owned = [0] * (len(marks) + 1)
    excluded: set[int] = set()
    for spans in annotation_spans:
        if len(spans) == 1:
            first, last = spans[0]
        elif spans:
            first = min(spans)[0]
            last = max(end for _, end in spans)
        else:
            continue
        if not 0 <= first < last <= length:
            continue
        # One character to the left, so that a span beginning at the joining space counts as crossing it.
        segment = bisect_left(marks, first - 1)
        owned[segment] += 1
        if segment < len(marks) and marks[segment] < last - 1:
            excluded.update(range(segment, bisect_left(marks, last - 1)))
    return owned, excluded


def _word_scores(text: str, begin: int, marks: list[int]) -> list[float]:
    """For each mark what the words around it say."""
    scores = []
    for mark in marks:
        end = text.find(" ", mark + 2, mark + _LONGEST_WORD)
        following = text[mark + 2 : end if end >= 0 else mark + _LONGEST_WORD]
        after = after_kind(following)
        if text[mark] == "?":
            scores.append(QUESTION_SCORES[after])
            continue
        start = text.rfind(" ", mark - _LONGEST_WORD if mark > _LONGEST_WORD else 0, mark) + 1
        if not start:
            start = max(begin, mark - _LONGEST_WORD)
        word = text[start:mark]
        kind = before_kind(word)
        if kind is _PLAIN:
            scores.append(PLAIN_SCORES[after])
        else:
            words = (*_words_before(text, begin, start), word, following)
            scores.append(abbreviation_score(kind, words, after))
    return scores


def _words_before(text: str, begin: int, start: int) -> tuple[str, str]:
    """The two words before the one at ``start``, "" from where a mark and a space may have begun the expression."""
    words = text[max(begin, start - 40) : start].split(" ")[:-1][-2:]
    words = [""] * (2 - len(words)) + words
    if words[1].endswith((".", "?")) and before_kind(words[1][:-1]) is _PLAIN:
        return "", ""
    if words[0].endswith((".", "?")) and before_kind(words[0][:-1]) is _PLAIN:
        return "", words[1]
    return words[0], words[1]


def _add_negative_evidence(
    scores: list[float],
    owned: list[int],
    text: str,
    begin: int,
    marks: list[int],
    negative_spans: Sequence[Span],
) -> None:
    """Adds what the negative spans prove and suggest to the marks' scores, and to what a sentence owns."""
    begins, ends = _sorted_inside(negative_spans, len(text))
    if not begins:
        return
    kept: list[int] = []
    loose: list[int] = []
    has_unspoken = ends[-1] < len(text) - 1  # a last word that is no negative word
    for index, mark in enumerate(marks):
        at = bisect_right(ends, mark + 1)
        if at < len(ends) and begins[at] <= mark:
            scores[index] = _NEVER
            continue
        end = ends[at - 1] if at else 0
        if end >= mark and mark - begins[at - 1] > _SHORT_WORD and _is_whole(text, begin, begins[at - 1], mark):
            scores[index] += _WHOLE
            _own_whole(scores, owned, marks, begins[at - 1], index)
        elif end > mark:
            kept.append(index)
        else:
            loose.append(index)
            has_unspoken = has_unspoken or (end < mark and text[mark - 1] != " ")
    if ends[-1] >= len(text) - 1 and _is_whole(text, begin, begins[-1], len(text) - 1):
        _own_whole(scores, owned, marks, begins[-1], len(marks))
    if not kept and (min(scores) > _SURE or not _words_keep_marks(text, ends)):
        return
    if ends[-1] != len(text):
        _add_kept(scores, kept, has_unspoken)
    for index in loose:
        scores[index] += _KEPT_BY_NONE


def _add_kept(scores: list[float], kept: list[int], has_unspoken: bool) -> None:
    """Adds to the marks that a negative word keeps, which is evidence against a boundary.

    Some converters leave out the word that would keep the mark of its expression: then a kept mark is inside one.
    Others keep that mark too: then ordinary words keep marks, more than one in a paragraph.
    """
    if has_unspoken:
        for index in kept:
            scores[index] += _KEPT_BY_A_WORD
        return
    ordinary = [index for index in kept if scores[index] > _SURE]
    for index in kept:
        if scores[index] <= _SURE:
            scores[index] += _KEPT_BY_SOME if ordinary else _KEPT_BY_A_WORD
        else:
            scores[index] += _KEPT_BY_ONE if len(ordinary) == 1 else _KEPT_BY_MANY


def _sorted_inside(spans: Sequence[Span], length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Begins and ends, both in order, of the spans inside the text; of spans inside others the greatest end so far."""
    begins, ends = zip(*sorted(spans), strict=True)
    if begins[0] < 0 or max(ends) > length:
        inside = [span for span in spans if 0 <= span[0] < span[1] <= length]
        return _sorted_inside(inside, length) if inside else ((), ())
    if list(ends) != sorted(ends):
        ends = tuple(accumulate(ends, max))
    return begins, ends


def _is_whole(text: str, begin: int, first: int, mark: int) -> bool:
    """Whether a negative span from ``first`` to a mark has several words and begins where an expression may begin."""
    return text.find(" ", first, mark) >= 0 and (first == begin or text[first - 2 : first] in _BOUNDARIES)


def _own_whole(scores: list[float], owned: list[int], marks: list[int], first: int, index: int) -> None:
    """The expression from ``first`` to the mark at ``index`` needs no annotation, and a boundary comes before it."""
    owned[index] += 1
    before = bisect_left(marks, first - 1) - 1
    if before >= 0:
        scores[before] += _WHOLE


def _words_keep_marks(text: str, ends: Sequence[int]) -> bool:
    """Whether negative words were written with their own punctuation: "stove," and not "stove"."""
    places = ((match.end(), bisect_left(ends, match.end())) for match in _INNER_MARK.finditer(text))
    return any(at < len(ends) and ends[at] == end for end, at in places)


def _best_cuts(scores: list[float], owned: list[int]) -> tuple[list[int], list[int]]:
    """The marks to cut at, and those that were decided by little."""
    if min(scores) > _SURE and all(owned):
        return list(range(len(scores))), []
    penalty = _penalty(scores, owned)
    with_one, without = 0.0, -penalty  # what follows at best, by whether the open sentence owns an annotation
    margins: list[tuple[float, float]] = []
    for score, count in zip(reversed(scores), reversed(owned), strict=False):
        closed = score + (with_one if count else without)
        stay_without = with_one if count else without
        margins.append((closed - penalty - stay_without, closed - with_one))
        with_one, without = max(closed, with_one), max(closed - penalty, stay_without)
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


def _penalty(scores: list[float], owned: list[int]) -> float:
    """Price of a sentence without an annotation: less where the paragraph has few annotations anyway."""
    sentences, owners, count = 1, 0, owned[0]
    for score, more in zip(scores, owned[1:], strict=True):
        if score > 0:
            sentences += 1
            owners += count > 0
            count = 0
        count += more
    owners += count > 0
    return _WITHOUT_ANNOTATION * min(1.0, 1.6 * owners / sentences)
