"""How many objects a phrase names, as far as its words tell."""

from xdetr_data.language.words import Words

SINGULAR = frozenset({"a", "an", "one", "another", "this", "that", "each", "every", "either", "neither"})


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

    def __call__(self, outer: list[str], inner: list[str], *, is_plural_form: bool) -> tuple[bool, int | None]:
        """Plurality and count (None: unknown) of one phrase.

        Args:
            outer: the words up to and with "of" in "a group of people"; empty for most phrases.
            inner: the words from the object's determiner to its head; behind a possessor only ("purse" of "a woman's
                purse"), whose number is another.
            is_plural_form: whether the head is a plural by the tagger.
        """
        is_plural, count = self._simple(inner, is_plural_form=is_plural_form)
        if not outer:
            return is_plural, count
        quantity = outer[-2]
        if quantity in self._two:
            return (False, 1) if inner[-1] in self._pairs else (True, 2)
        if quantity in self._pieces:
            return self._simple(outer[:-1], is_plural_form=quantity.endswith("s") and quantity != "s")
        if quantity in self._groups:
            return is_plural or inner[-1] in self._same_in_plural, None
        partitive = self._value(quantity)
        if partitive is not None:
            return partitive > 1, partitive
        return is_plural and quantity not in SINGULAR, None

    def _simple(self, words: list[str], *, is_plural_form: bool) -> tuple[bool, int | None]:
        """Number of a phrase without "of"."""
        is_plural_word = False
        count: int | None = None
        for word in words[:-1]:
            value = self._value(word)
            if value is not None:
                if count is not None:
                    return True, None  # "two or three people"
                count = value
            is_plural_word = is_plural_word or word in self._plural_words
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
