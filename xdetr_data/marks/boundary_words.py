"""What the words around a mark say: is it the end of an expression, or an abbreviation, a number, a pause inside it?

Scores are in nats and set by hand from how English uses abbreviations, not fitted to a file: positive speaks for a
boundary, negative against one, and about 4 is an ordinary word with an ordinary word after it.
"""

import re
from enum import IntEnum
from functools import lru_cache
from importlib.resources import files


class Before(IntEnum):
    """What stands before a mark."""

    PLAIN = 0
    TITLE = 1
    STREET = 2
    NUMBERED = 3
    NUMBER = 4
    INSIDE = 5
    CLOSING = 6
    UNIT = 7
    MEASURE = 8  # a number and its unit in one word: "12oz"
    INITIAL = 9
    ACRONYM = 10
    NUMERAL = 11
    ELLIPSIS = 12
    FORT = 13
    COUNTRY = 14
    JUNIOR = 15


class After(IntEnum):
    """What stands after a mark and a space; the odd twin of each is the same with a capital."""

    OTHER = 0
    OPENS = 2
    PEOPLE = 4
    ASKS = 6
    GOES_ON = 8
    REFERS_BACK = 10
    DIGIT = 12
    NO_WORD = 14
    GOING = 16


#                       other      opens     people     asks        goes on    refers back  digit     no word       -ing
_AFTER_PLAIN = (0.0, 1.0, 0.5, 2.0, 0.5, 2.0, -0.5, 2.0, -1.5, 0.5, -2.5, -3.0, 0.0, 0.0, -12.0, -12.0, 0.0, 1.0)
_AFTER_ABBREVIATION = (0.0, 0.8, 2.5, 4.0, 1.2, 3.0, -2.5, 4.0, -3.0, 1.5, -1.0, 1.0, 0.0, 0.0, -12.0, -12.0, -1.5, 0.5)

#: Score of a boundary between an ordinary word and a word of each kind.
PLAIN_SCORES = tuple(4.0 + score for score in _AFTER_PLAIN)
#: Score of a boundary after a question mark, by the kind of the word that follows.
QUESTION_SCORES = tuple(3.5 + min(score, 0.0) + after % 2 for after, score in enumerate(_AFTER_PLAIN))
_NAMED_AND_GOES_ON = -2.0  # after a letter or a number, which are no abbreviations where a preposition follows
_OPENING_MARKS = "\"'([{<#$*“‘«¿¡"
_CLOSING_MARKS = "\"')]}>,;:!?.*”’»"
_LETTERS = re.compile(r"[^\W\d_]")
_DOTTED = re.compile(r"[^\W\d_]{1,4}(?:\.[^\W\d_]{1,4})+")
_DOMAINS = frozenset({"com", "net", "org", "edu", "gov", "uk"})
_CLOCK = frozenset({"a.m", "p.m"})
_NUMERAL = re.compile(r"[\d.,:/%+-]*\d[\d.,:/%+-]*")
_MEASURE = re.compile(r"\d[\d.,/]*-?([^\W\d_]+)")
_NO_VOWEL = re.compile(r"[^\W\d_aeiouy]{2,4}")
_NAME = re.compile(r"['’]s?\W*$|\W+$|^\W+")
_ARTICLES = frozenset({"a", "an"})
_ATTRIBUTIVE = frozenset({"a", "an", "the", "this", "that", "each", "one", "another"})


def _sections(text: str) -> dict[str, frozenset[str]]:
    """``[name]  # why`` headers, each with its words on the lines below."""
    words: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("["):
            name = line[1 : line.index("]")]
        elif name:
            words.setdefault(name, []).extend(line.split())
    return {name: frozenset(found) for name, found in words.items()}


_WORDS = _sections(files("xdetr_data.marks").joinpath("boundary_words.txt").read_text(encoding="utf-8"))
_BEFORE = {
    word: kind
    for name, kind in (
        ("unit", Before.UNIT),
        ("closing", Before.CLOSING),
        ("inside", Before.INSIDE),
        ("number", Before.NUMBER),
        ("numbered", Before.NUMBERED),
        ("street", Before.STREET),
        ("title", Before.TITLE),
        ("fort", Before.FORT),
        ("country", Before.COUNTRY),
        ("junior", Before.JUNIOR),
        ("plain", Before.PLAIN),
    )
    for word in _WORDS[name]
}
_AFTER = {
    word: kind
    for name, kind in (
        ("goes_on", After.GOES_ON),
        ("refers_back", After.REFERS_BACK),
        ("people", After.PEOPLE),
        ("asks", After.ASKS),
        ("opens", After.OPENS),
    )
    for word in _WORDS[name]
}


_FUNCTION = _WORDS["function"]
#: Begin a noun phrase, so that what follows is not the whole of one.
DETERMINERS = _WORDS["opens"] | _WORDS["possessive"]
_BEFORE_LENGTH = _FUNCTION - _ATTRIBUTIVE | _WORDS["inside"]
_NUMBER_WORDS = _WORDS["opens"] - _ATTRIBUTIVE


@lru_cache(maxsize=1 << 16)
def before_kind(word: str) -> Before:
    """The kind of a word that stands before a full stop; ``word`` is without the stop and may hold any characters."""
    bare = word.lower().lstrip(_OPENING_MARKS)
    if bare.endswith((".", "…")) or word.endswith("…"):
        return Before.ELLIPSIS
    if bare == "s" and len(word) > 1:  # "the dog 's."
        return Before.PLAIN
    if not bare:
        return Before.NUMBER if word == "#" else Before.PLAIN
    known = _BEFORE.get(bare)
    if known is not None:
        return known
    if len(bare) == 1 and bare.isalpha():
        return Before.INITIAL
    if _DOTTED.fullmatch(bare):
        if bare in _CLOCK:
            return Before.MEASURE
        return Before.PLAIN if bare.rpartition(".")[2] in _DOMAINS and len(bare) > 4 else Before.ACRONYM
    if _NUMERAL.fullmatch(bare):
        return Before.NUMERAL
    measure = _MEASURE.fullmatch(bare)
    if measure:
        return Before.MEASURE if measure[1] in _WORDS["unit"] else Before.PLAIN
    return Before.CLOSING if _NO_VOWEL.fullmatch(bare) else Before.PLAIN


@lru_cache(maxsize=1 << 16)
def after_kind(word: str) -> int:
    """The kind of a word that stands after a mark and a space: an ``After``, plus 1 where it is capitalised."""
    bare = word.strip(_OPENING_MARKS).rstrip(_CLOSING_MARKS)
    if not bare:  # an opening mark alone begins something; a second space or other marks go on
        return After.OTHER if word and not word.strip(_OPENING_MARKS) else After.NO_WORD
    if bare[0].isdigit():
        return After.DIGIT
    letter = _LETTERS.search(bare)
    if letter is None:
        return After.GOES_ON if bare in _AFTER else After.NO_WORD
    lower = bare.lower()
    kind = _AFTER.get(lower, After.OTHER)
    if kind is After.OTHER and lower.endswith("ing") and len(lower) > 5 and lower not in _WORDS["nouns in ing"]:
        kind = After.GOING
    elif word.startswith(("'s", "’s")):
        kind = After.GOES_ON
    return kind + letter[0].isupper()


def abbreviation_score(
    kind: Before, words: tuple[str, str, str, str], after: int, *, is_whole: bool = False, is_begun: bool = False
) -> float:
    """Score of a boundary after a word that is not an ordinary one.

    Args:
        kind: of the word before the mark.
        words: two words before it ("" where the expression begins), itself, and the word after the mark.
        after: kind of the word after the mark.
        is_whole: whether the word alone, between two marks, is a named object's phrase.
        is_begun: whether a named object's phrase begins after the mark.
    """
    second, first, word, following = words
    first, second, following = first.lower(), second.lower(), following.lower()
    score = _AFTER_ABBREVIATION[after]
    if kind is Before.UNIT and len(word) == 1 and not _follows_number(second, first):
        kind = Before.INITIAL
    if is_whole and (kind is Before.NUMERAL or (kind is Before.INITIAL and not _is_initial(first))):
        return PLAIN_SCORES[after]
    match kind:
        case Before.TITLE | Before.INSIDE:
            return score - 6.0
        case Before.STREET:
            is_saint = not first or first in _FUNCTION or _NAME.sub("", following) in _WORDS["saints"]
            return score + (-6.0 if is_saint else 0.2)
        case Before.ELLIPSIS:
            return score - 2.0
        case Before.NUMBER | Before.NUMBERED if after == After.DIGIT or following[:1] == "#":
            return -6.0
        case Before.NUMBER:
            return score + 1.5
        case Before.NUMBERED:
            return score - (1.0 if first in _FUNCTION else 0.0)
        case Before.NUMERAL:
            return _numeral_score(first, after)
        case Before.INITIAL:
            return _initial_score(first, word, following, after, is_begun=is_begun)
        case Before.UNIT | Before.FORT | Before.MEASURE:
            return _unit_score(kind, (second, first, word, following), after)
        case Before.COUNTRY if first != "the":  # a noun with "the", else part of a name: "jet with u.s. air force"
            return score - (3.5 if first in _ARTICLES else 1.2)
        case Before.JUNIOR:
            return score - 1.0
    return score + (-3.5 if first in _ARTICLES else 0.2)


def _numeral_score(first: str, after: int) -> float:
    if not first:  # "2." at the beginning numbers a list
        return -6.0
    if after == After.GOES_ON:
        return _NAMED_AND_GOES_ON
    return PLAIN_SCORES[after] - (1.5 if after == After.DIGIT else 0.5)


def _initial_score(first: str, word: str, following: str, after: int, *, is_begun: bool = False) -> float:
    """A letter is a name's, which goes on, unless it is called a letter or the phrase of another object begins."""
    if first.rstrip(_CLOSING_MARKS) in _WORDS["letters"]:
        return _AFTER_ABBREVIATION[after] + 1.5
    if _is_initial(following):  # "C. S. Lewis"
        return -4.0
    if after == After.GOES_ON:
        return _NAMED_AND_GOES_ON
    if word.isupper() and after & 1:
        return _AFTER_ABBREVIATION[after] - 3.0
    if is_begun and word not in _WORDS["function letter"] and not _is_initial(first):
        return _AFTER_ABBREVIATION[after] + 0.7
    return _AFTER_ABBREVIATION[after] - 2.0


def _is_initial(word: str) -> bool:
    """Whether a word is a letter with its full stop."""
    return len(word) == 2 and word[0].isalpha() and word[1] == "."


def _unit_score(kind: Before, words: tuple[str, str, str, str], after: int) -> float:
    """A unit belongs to what follows where an article precedes its number: "a 12 oz. can"."""
    second, first, word, following = words
    if following.rstrip(".") in _WORDS["unit"] and following not in _AFTER:  # "8 fl. oz."
        return -6.0
    if kind is Before.MEASURE:
        before_number = first if word[:1].isdigit() else second
    elif _is_number(first):
        before_number = second
    elif first.rstrip(".") in _WORDS["unit"] and _is_number(second):
        before_number = ""
    elif kind is Before.FORT:
        return _AFTER_ABBREVIATION[after] - 6.0
    else:
        return PLAIN_SCORES[after] - 1.0
    score = _AFTER_ABBREVIATION[after] + (0.7 if before_number.rstrip(".") in _BEFORE_LENGTH else 0.2)
    if following in _WORDS["measured"] and not after & 1:
        return score - 3.5
    return score - (3.0 if before_number in _ATTRIBUTIVE else 0.0)


def _follows_number(second: str, first: str) -> bool:
    """Whether a number, or a number and a unit, stand before a word."""
    return _is_number(first) or (first.rstrip(".") in _WORDS["unit"] and _is_number(second))


def _is_number(word: str) -> bool:
    return word[:1].isdigit() or word[-1:].isdigit() or word in _NUMBER_WORDS
