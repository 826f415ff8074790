"""What negative words say about the marks of a packed paragraph.

Several ways of writing them are known. MDETR's own script strips every mark from a word, and leaves out the words of
noun phrases that have no box: what begins an expression is then boxed or at least a negative word, and all boxed words
are negative too. Other converters take all words, or all that have no box, bare or with their own marks ("no.",
"stove,"). A GQA question is one span in all of them.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import accumulate

from xdetr_data.marks.boundary_words import DETERMINERS
from xdetr_data.spans import Span

NEVER = -1e6
SURE = 3.0  # a mark whose score in nats is above it is cut wherever both sides own an annotation

_INNER_MARK = re.compile(r"[,;:!]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_TWO_WORDS = re.compile(r"[^\W_]\S* \S*[^\W_]")
_BOUNDARIES = (". ", "? ")
_SHORT_GAP = 2  # no word fits in it: saves looking

# Nats.
_WHOLE = 9.0
_KEPT_BY_A_WORD = -9.0
_KEPT_BY_ONE = -5.0  # the only ordinary word that keeps a mark
_KEPT_BY_SOME = -4.0  # an abbreviation, where ordinary words keep marks too
_KEPT_BY_MANY = -1.5
_KEPT_BY_NONE = 7.0
_BEGINS_BOXED = 2.0
_OWNS_ROOT = 3.0  # what follows a letter, a number or an abbreviation; the rest of a name owns no root
_BEGINS_NEGATIVE = -0.5
_BEGINS_LEFT_OUT = -2.0
_NO_QUESTION = -1.5  # a question mark that ends no question as in GQA


@dataclass(slots=True, kw_only=True)
class Marks:
    """A caption's possible boundaries; evidence changes ``scores`` and ``owned``.

    Attributes:
        text: the caption without white space at its end; ``begin`` is its first character that is no white space.
        offsets: of each mark, in order.
        scores: for each mark what speaks for a boundary, in nats.
        owned: how many annotations lie before the first mark, between the first and the second, and so on.
        closing: indices of the marks between a letter, a number or an abbreviation that may close an expression, and a
            word that begins no annotation.
    """

    text: str
    begin: int
    offsets: list[int]
    scores: list[float]
    owned: list[int]
    closing: AbstractSet[int]


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
    loose: list[tuple[int, int]] = []  # marks that no word keeps, each with the place of the next negative span
    has_unspoken = ends[-1] < len(text) - 1  # a last word that is no negative word
    for index, mark in enumerate(marks.offsets):
        at = bisect_right(ends, mark + 1)
        if at < len(ends) and begins[at] <= mark:
            scores[index] = NEVER
            continue
        end = ends[at - 1] if at else 0
        if end < mark:
            has_unspoken = has_unspoken or text[mark - 1] != " "
        elif text.find(" ", begins[at - 1], mark) >= 0 and _may_begin(marks, begins[at - 1]):
            scores[index] += _WHOLE
            _own_whole(marks, begins[at - 1], index)
            continue
        if text[mark] == "?":
            scores[index] += _NO_QUESTION
        if end > mark:
            kept.append(index)
        else:
            loose.append((index, at))
    if ends[-1] >= len(text) - 1 and text.find(" ", begins[-1], -1) >= 0 and _may_begin(marks, begins[-1]):
        _own_whole(marks, begins[-1], len(marks.offsets))
    if kept:
        if ends[-1] != len(text):
            _add_kept(scores, kept, has_unspoken)
    elif (
        2 * len(boxed_begins) > len(scores)
        and _leaves_words_out(text, begins, ends)
        and all(_is_inside(first, begins, ends) for first in set(boxed_begins).difference(begins))
    ):
        _add_beginnings(marks, loose, (begins, ends), boxed_begins)
        return True
    elif min(scores) > SURE or not _words_keep_marks(text, ends):
        return False
    for index, _ in loose:
        scores[index] += _KEPT_BY_NONE
    return False


def _add_beginnings(
    marks: Marks,
    loose: list[tuple[int, int]],
    negatives: tuple[Sequence[int], Sequence[int]],
    boxed_begins: Sequence[int],
) -> None:
    """Adds what the words after marks say in the released file; nouns that are not the root own no expression, so that
    an abbreviation before words that own a root may close one."""
    text, scores, (begins, ends) = marks.text, marks.scores, negatives
    boxed = set(boxed_begins)
    spoken: list[int] = []  # marks before a word that is negative alone
    for index, at in loose:
        first = marks.offsets[index] + 2
        if first in boxed or (first + 1 in boxed and not text[first].isalnum()):
            scores[index] += _BEGINS_BOXED
        elif at < len(begins) and (begins[at] == first or begins[at] <= text.find(" ", first)):
            scores[index] += _BEGINS_NEGATIVE
            spoken.append(index)
        else:
            scores[index] += _BEGINS_LEFT_OUT
    for first in boxed:
        if text[first - 2] not in ".?" and not _is_root(text, first, begins, ends):
            marks.owned[bisect_left(marks.offsets, first - 1)] -= boxed_begins.count(first)
    for index in spoken:
        if index in marks.closing and marks.owned[index + 1] > 0:
            scores[index] += _OWNS_ROOT


def _is_root(text: str, first: int, begins: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether the phrase that begins at ``first`` may be what its expression is about.

    All of that phrase is boxed and negative; of other phrases only a boxed noun is, not the "a" or "many" before it.
    """
    if first < 2 or _is_inside(first - 2, begins, ends):
        return True
    return text[text.rfind(" ", 0, first - 1) + 1 : first - 1].lower() not in DETERMINERS


def _is_inside(offset: int, begins: Sequence[int], ends: Sequence[int]) -> bool:
    at = bisect_right(ends, offset)
    return at < len(ends) and begins[at] <= offset


def _leaves_words_out(text: str, begins: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether a word is no negative word although no mark follows it, or two words before a mark are none."""
    previous = 0
    for begin, end in zip(begins, ends, strict=True):
        if begin - previous > _SHORT_GAP:
            *closing, last = text[previous:begin].replace("? ", ". ").split(". ")
            if _LETTER_OR_DIGIT.search(last) or any(_TWO_WORDS.search(piece) for piece in closing):
                return True
        previous = end
    return _TWO_WORDS.search(text, previous) is not None


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


def _sorted_inside(spans: Sequence[Span], length: int) -> tuple[Sequence[int], Sequence[int]]:
    """Begins and ends, both in order, of the spans inside the text; of spans inside others the greatest end so far."""
    begins, ends = zip(*sorted(spans), strict=True)
    ordered = sorted(ends)
    if begins[0] < 0 or ordered[-1] > length:
        inside = [span for span in spans if 0 <= span[0] < span[1] <= length]
        return _sorted_inside(inside, length) if inside else ((), ())
    return begins, ordered if ordered == list(ends) else tuple(accumulate(ends, max))


def _may_begin(marks: Marks, first: int) -> bool:
    """Whether an expression may begin at ``first``."""
    return first == marks.begin or marks.text[first - 2 : first] in _BOUNDARIES


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
