"""How many objects a phrase names, as far as its words tell."""

from xdetr_data.language.words import Words

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

    def __call__(
        self, words: list[str], first: int, inner: int, own: int, last: int, is_plural_form: bool
    ) -> tuple[bool, int | None]:
        """Plurality and count (None: unknown) of one phrase of a sentence.

        Args:
            words: of the sentence, lower case.
            first: the phrase's first word.
            inner: the first word after "a group of"; ``first`` for most phrases.
            own: the first word that says something of the head: "purse" in "a woman's purse".
            last: the head.
            is_plural_form: whether the head is a plural by the tagger.
        """
        is_plural, count = self._simple(words, own, last, is_plural_form)
        if first == inner:
            return is_plural, count
        quantity = words[inner - 2]
        if quantity in self._two:
            return (False, 1) if words[last] in self._pairs else (True, 2)
        if quantity in self._pieces:
            return self._simple(words, first, inner - 2, quantity.endswith("s"))
        if quantity in self._groups:
            return is_plural or words[last] in self._same_in_plural, None
        partitive = self._value(quantity)
        if partitive is not None:
            return partitive > 1, partitive
        return is_plural and quantity not in SINGULAR, None

    def _simple(self, words: list[str], first: int, head: int, is_plural_form: bool) -> tuple[bool, int | None]:
        """Number of a phrase without "of"."""
        is_plural_word = False
        count: int | None = None
        for index in range(first, head):
            word = words[index]
            if word in self._plural_words:
                is_plural_word = True
            value = self._value(word)
            if value is not None and words[index + 1] != "-":  # "a 2-story house" is one
                if count is not None and words[index - 1] not in _ARTICLES:
                    return True, None  # "two or three people", but "a dozen eggs"
                count = value
        if count is not None and not (count == 1 and is_plural_word):  # "a few" is not one
            return count > 1, count
        if is_plural_word or words[head] in self._plural_nouns:
            return True, None
        return is_plural_form and words[head] not in self._pairs, None

    def _value(self, word: str) -> int | None:
        """The number that a word says, or None; numerals beyond four digits are years and codes."""
        if word in self._numbers:
            return self._numbers[word]
        return int(word) or None if word.isdecimal() and len(word) < 5 else None
