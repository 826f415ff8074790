"""Speaks about a photo: fills a style's sentence pattern and remembers which words name which objects."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from xdetr_data.spans import Span
from xdetr_data.toyworld.dice import Dice
from xdetr_data.toyworld.filling import Filling, Kind, Words
from xdetr_data.toyworld.templates import Style
from xdetr_data.toyworld.view import View

_FIELD = re.compile(r"\{(\w+)\}")
_TRIES = 6


class Mention(NamedTuple):
    """Words of a text that name objects.

    `kind`: "attribute" when the words fit one object alone, "relation" when the rest of the sentence must say which,
    "plural" when they name several. `objects` are all that the words stand for there.
    """

    span: Span
    objects: tuple[int, ...]
    kind: Kind


class Told(NamedTuple):
    """One sentence and what it names. The first mention is what the sentence is about."""

    text: str
    mentions: tuple[Mention, ...]
    is_question: bool = False


def say(view: View, dice: Dice, style: Style, target: int | None = None) -> Told | None:
    """One sentence in a style, about `target` where given; None when the photo has nothing to say it of."""
    for _ in range(_TRIES):
        pattern = dice.weighted(*_patterns(style))
        filled = Filling(view, dice, style, target).fill(pattern)
        if filled is not None:
            return _written(filled, dice, style)
    return None


def told_many(view: View, dice: Dice, style: Style, count: int) -> list[Told]:
    """Up to `count` sentences, no text twice; half of them take the objects in turn, so that each has its share."""
    found: dict[str, Told] = {}
    turns = dice.shuffled(view.singles)
    for number in range(count):
        target = turns[number % len(turns)] if turns and dice.chance(0.55) else None
        told = say(view, dice, style, target)
        if told:
            found.setdefault(told.text, told)
    return list(found.values())


def joined(sentences: list[Told], separator: str = " ") -> tuple[Told, tuple[Span, ...]]:
    """Sentences as one text, and where each lies in it."""
    mentions: list[Mention] = []
    spans: list[Span] = []
    begin = 0
    for told in sentences:
        spans.append((begin, begin + len(told.text)))
        mentions += (m._replace(span=(m.span[0] + begin, m.span[1] + begin)) for m in told.mentions)
        begin += len(told.text) + len(separator)
    return Told(separator.join(told.text for told in sentences), tuple(mentions)), tuple(spans)


@cache
def _patterns(style: Style) -> tuple[tuple[tuple[str, ...], ...], tuple[float, ...]]:
    split = tuple(tuple(_FIELD.split(pattern)) for pattern, _ in style.patterns)
    return split, tuple(weight for _, weight in style.patterns)


def _written(parts: list[Words], dice: Dice, style: Style) -> Told:
    text, mentions = "", []
    for part in parts:
        if part.objects:
            mentions.append(Mention((len(text), len(text) + len(part.text)), part.objects, part.kind))
        text += part.text
    if dice.chance(style.capital_chance):
        text = text[0].upper() + text[1:]
    if not text.endswith((".", "?")) and dice.chance(style.stop_chance):
        text += "."
    return Told(text, tuple(mentions), text.endswith("?"))
