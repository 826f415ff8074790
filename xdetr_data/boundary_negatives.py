"""What negative words say about the marks of a packed paragraph.

Three ways of writing them are known. MDETR's own script strips every mark from a word, and leaves out the words of noun
phrases that have no box: what begins an expression is then boxed or at least a negative word. Other converters take all
words, bare or with their own marks ("no.", "stove,"). A GQA question is one span in all of them.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from xdetr_data.boundary_words import DETERMINERS
from xdetr_data.spans import Span

NEVER = -1e6
SURE = 3.0  # a mark whose score in nats is above it is cut wherever both sides own an annotation

_INNER_MARK = re.compile(r"[,;:!]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_BOUNDARIES = (". ", "? ")
_SHORT_WORD = 4  # no several words are shorter: saves looking
_SHORT_GAP = 3  # no word fits in it: saves looking

# Nats.
_WHOLE = 9.0
_KEPT_BY_A_WORD = -9.0
_KEPT_BY_ONE = -5.0  # the only ordinary word that keeps a mark
_KEPT_BY_SOME = -4.0  # an abbreviation, where ordinary words keep marks too
_KEPT_BY_MANY = -1.5
_KEPT_BY_NONE = 7.0
_BEGINS_BOXED = 2.0
_BEGINS_NEGATIVE = -1.0
_BEGINS_LEFT_OUT = -3.0
_NO_QUESTION = -1.5  # a question mark that ends no question as in GQA


@dataclass(slots=True, kw_only=True)
class Marks:
    """A caption's possible boundaries; evidence changes ``scores`` and ``owned``.

    Attributes:
        text: the caption without white space at its end; ``begin`` is its first character that is no white space.
        offsets: of each mark, in order.
        scores: for each mark what speaks for a boundary, in nats.
        owned: how many annotations lie before the first mark, between the first and the second, and so on.
    """

    text: str
    begin: int
    offsets: list[int]
    scores: list[float]
    owned: list[int]


def add_negative_evidence(marks: Marks, negative_spans: Sequence[Span], boxed_begins: Sequence[int]) -> bool:
    """Adds what the negative spans prove and suggest; whether they were written as in MDETR's released file.

    Args:
        marks: changed in place.
        negative_spans: in any order; those that reach outside the caption say nothing.
        boxed_begins: for each annotation where it begins.
    """
    text, scores = marks.text, marks.scores
    begins, ends = _sorted_inside(negative_spans, len(text))
    if not begins:
        return False
    kept: list[int] = []
    loose: list[int] = []
    has_unspoken = ends[-1] < len(text) - 1  # a last word that is no negative word
    for index, mark in enumerate(marks.offsets):
        at = bisect_right(ends, mark + 1)
        if at < len(ends) and begins[at] <= mark:
            scores[index] = NEVER
            continue
        end = ends[at - 1] if at else 0
        if end >= mark and mark - begins[at - 1] > _SHORT_WORD and _is_whole(marks, begins[at - 1], mark):
            scores[index] += _WHOLE
            _own_whole(marks, begins[at - 1], index)
            continue
        if text[mark] == "?":
            scores[index] += _NO_QUESTION
        if end > mark:
            kept.append(index)
        else:
            loose.append(index)
            has_unspoken = has_unspoken or (end < mark and text[mark - 1] != " ")
    if ends[-1] >= len(text) - 1 and _is_whole(marks, begins[-1], len(text) - 1):
        _own_whole(marks, begins[-1], len(marks.offsets))
    if kept or (min(scores) <= SURE and _words_keep_marks(text, ends)):
        if ends[-1] != len(text):
            _add_kept(scores, kept, has_unspoken)
        for index in loose:
            scores[index] += _KEPT_BY_NONE
        return False
    if 2 * len(boxed_begins) <= sum(score > 0 for score in scores) or not _leaves_words_out(text, begins, ends):
        return False
    boxed = set(boxed_begins)
    for index in loose:
        scores[index] += _beginning(text, marks.offsets[index] + 2, begins, ends, boxed)
    for first in boxed_begins:
        if not _is_root(text, first, begins, ends):
            marks.owned[bisect_left(marks.offsets, first - 1)] -= 1
    return True


def _is_root(text: str, first: int, begins: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether the phrase that begins at ``first`` may be what its expression is about.

    All of that phrase is boxed and negative; of other phrases only a boxed noun is, not the "a" or "many" before it.
    """
    at = bisect_right(ends, first - 2)
    if at < len(ends) and begins[at] <= first - 2:
        return True
    return text[text.rfind(" ", 0, max(0, first - 1)) + 1 : max(0, first - 1)].lower() not in DETERMINERS


def _beginning(
    text: str, first: int, begins: Sequence[int], ends: Sequence[int], boxed: Collection[int]
) -> float:
    """What the first word after a mark says where negative words were written as in the released file."""
    if first in boxed or (first + 1 in boxed and not text[first].isalnum()):
        return _BEGINS_BOXED
    at = bisect_right(ends, first)
    end = text.find(" ", first)
    is_negative = at < len(ends) and (end < 0 or begins[at] < end)
    return _BEGINS_NEGATIVE if is_negative else _BEGINS_LEFT_OUT


def _leaves_words_out(text: str, begins: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether a word is no negative word although no mark follows it."""
    for end, begin in zip(ends, begins[1:], strict=False):
        if begin - end > _SHORT_GAP:
            gap = text[end:begin]
            if not any(mark in gap for mark in _BOUNDARIES) and _LETTER_OR_DIGIT.search(gap):
                return True
    return False


def _add_kept(scores: list[float], kept: list[int], has_unspoken: bool) -> None:
    """Adds to the marks that a negative word keeps, which is evidence against a boundary.

    Some converters leave out the word that would keep the mark of its expression: then a kept mark is inside one.
    Others keep that mark too: then ordinary words keep marks, more than one in a paragraph.
    """
    if has_unspoken:
        for index in kept:
            scores[index] += _KEPT_BY_A_WORD
        return
    ordinary = [index for index in kept if scores[index] > SURE]
    for index in kept:
        if scores[index] <= SURE:
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


def _is_whole(marks: Marks, first: int, mark: int) -> bool:
    """Whether a negative span from ``first`` to a mark has several words and begins where an expression may begin."""
    return marks.text.find(" ", first, mark) >= 0 and (
        first == marks.begin or marks.text[first - 2 : first] in _BOUNDARIES
    )


def _own_whole(marks: Marks, first: int, index: int) -> None:
    """The expression from ``first`` to the mark at ``index`` needs no annotation, and a boundary comes before it."""
    marks.owned[index] += 1
    before = bisect_left(marks.offsets, first - 1) - 1
    if before >= 0:
        marks.scores[before] += _WHOLE


def _words_keep_marks(text: str, ends: Sequence[int]) -> bool:
    """Whether negative words were written with their own punctuation: "stove," and not "stove"."""
    places = ((match.end(), bisect_left(ends, match.end())) for match in _INNER_MARK.finditer(text))
    return any(at < len(ends) and ends[at] == end for end, at in places)
