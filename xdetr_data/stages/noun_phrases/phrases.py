"""The grammar of noun phrases over token classes.

A phrase is minimal: determiner, numbers, adjectives and nouns up to the head noun, without what follows it ("a dog" of
"a dog sitting in the grass"). "two men and a woman" are two phrases, "a black and white cat" one. "a group of people"
and "some of the people" are one whose head is the last noun, for a group is no object apart from its members.
"""

import re
from collections.abc import Iterator

import msgspec

from xdetr_data.stages.noun_phrases.lexicon import Lexicon
from xdetr_data.stages.noun_phrases.number import SINGULAR
from xdetr_data.stages.noun_phrases.tokens import AND, COMMA, GROUP, NOUN, NUMBER, OF, PLURAL_TAGS, QUANTITY, Tokens
from xdetr_data.stages.noun_phrases.words import Words

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
_NOUN_PHRASE = re.compile(rf"{_NO_START}((?:{_QUANTITY}){{0,3}})(?:{_PHRASE}|{_ONLY_HEAD})")
_QUANTITIES = (GROUP + OF, QUANTITY + OF, NUMBER + OF)
_WITHOUT_QUANTITY = re.compile(rf"{_NO_START}()(?:{_PHRASE}|{_ONLY_HEAD})")  # the same, faster

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
        in_ing = (form for verb in words.verbs for form in _forms_in_ing(verb))
        self._participles = words.participles_like_nouns.union(in_ing)
        self._s = frozenset(form for verb in words.verbs for form in _forms_in_s(verb))
        self._base = words.verbs
        self._layout = words.layout_nouns
        self._subjects = words.subjects
        self._never_nouns = (lexicon.adjectives | lexicon.adverbs) - lexicon.nouns

    def __call__(self, tokens: Tokens, first: int, end: int) -> Iterator[FoundPhrase]:
        """The phrases among tokens ``[first, end)``, in order and disjoint."""
        classes, words = tokens.classes, tokens.words
        has_quantity = any(pair in classes for pair in _QUANTITIES)
        pattern = _NOUN_PHRASE if has_quantity else _WITHOUT_QUANTITY
        for match in pattern.finditer(classes, first, end):
            (begin, inner), last = match.span(1), match.end() - 1
            while inner < last and classes[last - 1] == NOUN and self._is_no_head(tokens, inner, last):
                last -= 1
            if inner == last and words[last] in self._participles:
                continue
            if last > begin + 1 and words[begin + 1] in self._layout and _enters_layout(tokens, first, begin):
                begin += 2
            inner = max(begin, inner)
            verb = self._verb_inside(tokens, inner, last) if last > inner + 1 else 0
            if verb:  # "a boy drinking milk"
                yield FoundPhrase(begin, inner, verb - 1)
                yield FoundPhrase(verb + 1, verb + 1, last)
            else:
                yield FoundPhrase(begin, inner, last)

    def _verb_inside(self, tokens: Tokens, inner: int, last: int) -> int:
        """Where in the phrase a participle, tagged as noun, stands between its subject and its object; 0: nowhere."""
        for index in range(inner + 1, last):
            if tokens.words[index] in self._participles and tokens.words[index - 1] in self._subjects:
                return index
        return 0

    def _is_no_head(self, tokens: Tokens, inner: int, last: int) -> bool:
        """Whether the last word, which follows a noun, is a verb or an adverb that the tagger took for a noun."""
        word, subject = tokens.words[last], tokens.words[last - 1]
        if word in self._participles or (word in self._never_nouns and tokens.tags[last] not in PLURAL_TAGS):
            return True
        if word in self._s:
            return subject in self._subjects or tokens.words[inner] in SINGULAR
        return word in self._base and (subject in self._subjects or tokens.tags[last - 1] in PLURAL_TAGS)


def _enters_layout(tokens: Tokens, begin: int, first: int) -> bool:
    """Whether a phrase of a sentence stands where "In the background," does: behind "in" or "at" after a pause."""
    return (
        first > begin
        and tokens.words[first] == "the"
        and tokens.words[first - 1] in _INTO_LAYOUT
        and (first - 1 == begin or tokens.classes[first - 2] in _PAUSES)
    )


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
