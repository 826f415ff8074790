"""Understands a noun phrase of the toy world from its words alone: the tests' own reading, apart from the speakers'."""

import re
from dataclasses import dataclass

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.truth import ObjectTruth

NOUNS = {noun: shape.name for shape in words.SHAPES for forms in shape.nouns for noun in forms}
HYPERNYMS = {noun for forms in words.HYPERNYMS for noun in forms}
COLOURS = {word: colour.name for colour in words.COLOURS for word in colour.words}
PATTERNS = {word: pattern for pattern, adjectives in words.PATTERN_ADJECTIVES.items() for word in adjectives}
TAILS = {tail: pattern for pattern, tails in words.PATTERN_TAILS.items() for tail in tails}
SIZES = {word: size for size, adjectives in words.SIZE_WORDS.items() for word in adjectives}
NUMBERS = {word: number for number, word in enumerate(words.NUMBER_WORDS)} | {"both": 2, "a pair of": 2}


def _alternatives(table: dict[str, object] | set[str]) -> re.Pattern[str]:
    return re.compile(r"\b(" + "|".join(sorted(map(re.escape, table), key=len, reverse=True)) + r")\b")


NOUN, COLOUR, PATTERN, SIZE, TAIL = map(_alternatives, (NOUNS, COLOURS, PATTERNS, SIZES, TAILS))
_ADJECTIVES = "|".join(sorted([*COLOURS, *PATTERNS, *SIZES], key=len, reverse=True))
NOUN_PHRASE = re.compile(
    rf"((?:\b(?:{_ADJECTIVES})(?:-coloured)? )*\b(?:{'|'.join(sorted([*NOUNS, *HYPERNYMS], key=len, reverse=True))})\b"
    rf"(?: (?:in (?:{'|'.join(COLOURS)})|{'|'.join(sorted(TAILS, key=len, reverse=True))}))?)"
)


@dataclass(frozen=True)
class Reading:
    """What the words say; None where they do not say."""

    shape: str | None
    colour: str | None
    pattern: str | None
    size: str | None

    def fits(self, seen: ObjectTruth) -> bool:
        """Whether the words are true of an object."""
        return all(
            said is None or said == getattr(seen, name)
            for name, said in (
                ("shape", self.shape),
                ("colour", self.colour),
                ("pattern", self.pattern),
                ("size", self.size),
            )
        )


def read(phrase: str) -> Reading:
    """Looks every word up."""
    text = phrase.lower()
    tail = TAIL.search(text)
    if tail:
        text = text.replace(tail[1], "")
    noun, colour, pattern, size = NOUN.search(text), COLOUR.search(text), PATTERN.search(text), SIZE.search(text)
    return Reading(
        shape=NOUNS[noun[1]] if noun else None,
        colour=COLOURS[colour[1]] if colour else None,
        pattern=TAILS[tail[1]] if tail else PATTERNS[pattern[1]] if pattern else None,
        size=SIZES[size[1]] if size else None,
    )
