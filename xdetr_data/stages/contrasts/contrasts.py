"""A phrase with an attribute, and its siblings: "a red car" beside "a blue car", in the same sentence.

Which words are attributes, and which of these exclude one another, is said in ``attributes.yaml``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import islice, zip_longest
from typing import NamedTuple

import yaml

from xdetr_data.spans import Span, span_text

_WORD = re.compile(r"[^\W\d_]+")


class Contrast(NamedTuple):
    """A sibling of a phrase: the sentence with the other attribute in it, and where the phrase stands there."""

    text: str
    spans: tuple[Span, ...]

    @property
    def phrase(self) -> str:
        """The words of the phrase."""
        return span_text(self.spans, self.text)


@cache
def siblings() -> Mapping[str, tuple[str, ...]]:
    """Attribute → those that an object cannot have with it, the next ones of its group first."""
    groups = yaml.safe_load(files(__package__).joinpath("attributes.yaml").read_text("utf-8"))
    found: dict[str, tuple[str, ...]] = {}
    for lines in groups.values():
        for number, words in enumerate(lines):
            others = tuple(one[0] for one in (*lines[number + 1 :], *lines[:number]))
            for word in words:
                if word in found:
                    raise ValueError(f"attributes.yaml: {word!r} is in two groups")
                found[word] = others
    return found


def contrasts(text: str, spans: Sequence[Span], most: int) -> tuple[Contrast, ...]:
    """At most ``most`` siblings of the phrase at ``spans`` of a text, those of all its attributes in turn.

    None of a phrase without an attribute, or in several parts.
    """
    if len(spans) != 1:
        return ()
    in_turn = zip_longest(*_by_attribute(text, spans[0]))
    return tuple(islice((one for ones in in_turn for one in ones if one is not None), most))


def _by_attribute(text: str, span: Span) -> Iterator[list[Contrast]]:
    begin, end = span
    for word in _WORD.finditer(text, begin, end):
        said = word.group()
        if others := siblings().get(said.lower()):
            yield [_replaced(text, span, word.span(), one.capitalize() if said[0].isupper() else one) for one in others]


def _replaced(text: str, span: Span, word: Span, other: str) -> Contrast:
    longer = len(other) - (word[1] - word[0])
    return Contrast(text[: word[0]] + other + text[word[1] :], ((span[0], span[1] + longer),))
