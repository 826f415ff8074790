"""How many objects a phrase names, as far as its words tell."""

from collections.abc import Sequence
from itertools import pairwise

from xdetr_data.stages.noun_phrases.words import Words

SINGULAR = frozenset({"a", "an", "one", "another", "this", "that", "each", "every", "either", "neither"})


_ARTICLES = frozenset({"a", "an", "another"})


class PhraseNumber:
    """Reads plurality and count from a phrase's words."""

    def __init__(self, words: Words) -> None:
        self._numbers = words.numbers
        self._plural_words = words.plural_words
        self._plural_nouns = words.plural_nouns
        self._same_in_plural = words.same_in_plural
        self._pairs = words.pairs
        groups = words.quantity_nouns
        self._groups = groups.every
        self._pieces = groups.pieces
        self._two = groups.two

    def __call__(self, words: Sequence[str], inner: int, own: int, *, is_plural_form: bool) -> tuple[bool, int | None]:
        """Plurality and count (None: unknown) of one phrase.

        Args:
            words: of the phrase, lower case; the last is the head.
            inner: index of the first word after "a group of"; 0 for most phrases.
            own: index of the first word that says something of the head: "purse" in "a woman's purse".
            is_plural_form: whether the head is a plural by the tagger.
        """
        is_plural, count = self._simple(words[own:], is_plural_form)
        if inner == 0:
            return is_plural, count
        quantity = words[inner - 2]
        if quantity in self._two:
            return (False, 1) if words[-1] in self._pairs else (True, 2)
        if quantity in self._pieces:
            return self._simple(words[: inner - 1], quantity.endswith("s"))
        if quantity in self._groups:
            return is_plural or words[-1] in self._same_in_plural, None
        partitive = self._value(quantity)
        if partitive is not None:
            return partitive > 1, partitive
        return is_plural and quantity not in SINGULAR, None

    def _simple(self, words: Sequence[str], is_plural_form: bool) -> tuple[bool, int | None]:
        """Number of a phrase without "of"."""
        is_plural_word = False
        count: int | None = None
        has_article = False
        for word, following in pairwise(words):
            is_plural_word = is_plural_word or word in self._plural_words
            value = self._value(word)
            if value is None or following == "-":  # "a 2-story house" is one
                continue
            if count is None or (has_article and is_plural_form):  # "a dozen eggs", but "a three tier cake"
                count = value
            elif not has_article:  # "two or three people"
                return True, None
            has_article = word in _ARTICLES
        if count is not None and not (count == 1 and is_plural_word):  # "a few" is not one
            return count > 1, count
        if is_plural_word or words[-1] in self._plural_nouns:
            return True, None
        return is_plural_form and words[-1] not in self._pairs, None

    def _value(self, word: str) -> int | None:
        """The number that a word says, or None; numerals beyond four digits are years and codes."""
        if word in self._numbers:
            return self._numbers[word]
        return int(word) or None if word.isdecimal() and len(word) < 5 else None
