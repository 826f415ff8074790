"""The grammar of noun phrases over token classes.

A phrase is minimal: determiner, numbers, adjectives and nouns up to the head noun, without what follows it ("a dog" of
"a dog sitting in the grass"). "two men and a woman" are two phrases, "a black and white cat" one. "a group of people"
and "some of the people" are one whose head is the last noun, for a group is no object apart from its members.
"""

import re
from collections.abc import Iterator

import msgspec

from xdetr_data.language.lexicon import Lexicon
from xdetr_data.language.number import SINGULAR
from xdetr_data.language.tokens import AND, COMMA, NOUN, Tokens
from xdetr_data.language.words import Words

# See the letters in tokens.py. A modifier may be joined to the next by a comma, "and" or both. Every repetition is
# bounded, which keeps the time linear in the text.
_JOIN = r"(?:[,a]{1,2}(?=[ry]?[mec]))?"
_MODIFIER = r"(?:[mecky]|(?<=[dkcme])[pb]|(?<=[dme])[gf])"
_FIRST = r"(?:[mecky]|(?<![^ia,.])p)"
_MODIFIERS = rf"(?:r{{0,2}}{_MODIFIER}{_JOIN}){{0,12}}"
_START = rf"(?:[dk]{{1,3}}{_MODIFIERS}|(?:{_FIRST}{_JOIN}{_MODIFIERS})?)"
_NOUNS = r"n{1,8}(?:[ve]n{1,8}){0,3}"
_PHRASE = rf"{_START}{_NOUNS}(?:s{_MODIFIERS}{_NOUNS}){{0,4}}"
_ONLY_HEAD = rf"d{{1,2}}{_MODIFIERS}[ef]"
_QUANTITY = rf"(?:{_START}qo|[dkcme]{{0,3}}[kc]o(?=d))"
_NO_START = r"[^dkmecynqp]{0,64}+"  # skipped in one step
_NOUN_PHRASE = re.compile(rf"{_NO_START}((?:{_QUANTITY}){{0,3}})((?:{_PHRASE}|{_ONLY_HEAD}))")

_INTO_LAYOUT = frozenset({"in", "at"})
_PAUSES = (COMMA, AND)


class FoundPhrase(msgspec.Struct, frozen=True, gc=False):
    """Tokens ``[first, last]``; ``last`` is the head, and ``inner`` where its own words begin (after "a group of")."""

    first: int
    inner: int
    last: int


class PhraseGrammar:
    """Finds the phrases of one sentence after another."""

    def __init__(self, words: Words, lexicon: Lexicon) -> None:
        self._participles = (
            frozenset(form for verb in words.verbs for form in _forms_in_ing(verb)) | words.participles_like_nouns
        )
        self._s = frozenset(form for verb in words.verbs for form in _forms_in_s(verb))
        self._base = words.verbs
        self._layout = words.layout_nouns
        self._subjects = words.subjects
        self._never_nouns = (lexicon.adjectives | lexicon.adverbs) - lexicon.nouns

    def __call__(self, tokens: Tokens, first: int, end: int) -> Iterator[FoundPhrase]:
        """The phrases among tokens ``[first, end)``, in order and disjoint."""
        for match in _NOUN_PHRASE.finditer(tokens.classes, first, end):
            inner, last = match.start(2), match.end() - 1
            while inner < last and self._is_no_head(tokens, inner, last):
                last -= 1
            if self._follows_layout(tokens, first, match.start(1), last):
                yield FoundPhrase(inner + 2, inner + 2, last)
            elif inner < last or tokens.words[last] not in self._participles:
                yield FoundPhrase(match.start(1), inner, last)

    def _follows_layout(self, tokens: Tokens, begin: int, first: int, last: int) -> bool:
        """Whether the phrase begins with the words of "In the background" and goes on after them."""
        return (
            last > first + 1
            and tokens.words[first + 1] in self._layout
            and tokens.words[first] == "the"
            and first > begin
            and tokens.words[first - 1] in _INTO_LAYOUT
            and (first - 1 == begin or tokens.classes[first - 2] in _PAUSES)
        )

    def _is_no_head(self, tokens: Tokens, inner: int, last: int) -> bool:
        """Whether the last word is a verb or an adverb that the tagger took for a noun behind the true head."""
        if tokens.classes[last - 1] != NOUN:
            return False
        word, subject = tokens.words[last], tokens.words[last - 1]
        if word in self._participles or (word in self._never_nouns and not tokens.is_plural(last)):
            return True
        if word in self._s:
            return subject in self._subjects or tokens.words[inner] in SINGULAR
        return word in self._base and (subject in self._subjects or tokens.is_plural(last - 1))


def _forms_in_ing(verb: str) -> tuple[str, ...]:
    """All spellings that can be meant: "sitting", "riding", "standing"."""
    stem = verb[:-1] if verb.endswith("e") else verb
    return (
        verb + "ing",
        stem + "ing",
        verb + verb[-1] + "ing",
        verb[:-2] + "ying" if verb.endswith("ie") else verb + "ing",
    )


def _forms_in_s(verb: str) -> tuple[str, ...]:
    """All spellings that can be meant: "rides", "poses", "catches", "flies"."""
    return verb + "s", verb + "es", verb[:-1] + "ies" if verb.endswith("y") else verb + "s"
