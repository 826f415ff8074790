"""Word lists of the noun-phrase grammar, read from ``words.yaml``."""

from functools import cache
from importlib.resources import files

import msgspec


class QuantityNouns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nouns Q of "Q of X" where X is the object, by what Q says about the number of X."""

    many: frozenset[str]
    pieces: frozenset[str]
    two: frozenset[str]

    @property
    def every(self) -> frozenset[str]:
        """All of them."""
        return self.many | self.pieces | self.two


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lists of ``words.yaml``, lower case; the file says what each is for."""

    quantity_nouns: QuantityNouns
    quantity_words: frozenset[str]
    numbers: dict[str, int]
    plural_words: frozenset[str]
    plural_nouns: frozenset[str]
    same_in_plural: frozenset[str]
    pairs: frozenset[str]
    sentence_adverbs: frozenset[str]
    never_nouns: frozenset[str]
    joining_participles: frozenset[str]
    verbs: frozenset[str]
    subjects: frozenset[str]
    participles_like_nouns: frozenset[str]
    people_words: frozenset[str]
    layout_nouns: frozenset[str]
    compounds: dict[str, frozenset[str]]


@cache
def load_words() -> Words:
    """The packaged lists."""
    text = files("xdetr_data.stages.noun_phrases").joinpath("words.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=Words)
