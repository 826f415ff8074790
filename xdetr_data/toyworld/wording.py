"""From a description to a noun phrase: adjectives and their order, synonyms, articles, numbers, tails."""

from __future__ import annotations

from collections.abc import Sequence

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice
from xdetr_data.toyworld.view import Description


def singular(dice: Dice, description: Description, articles: Sequence[str]) -> str:
    """ "the small red star", "a star with stripes", "blue circle"."""
    return with_article(dice.pick(articles), _named(dice, description, 0))


def plural(dice: Dice, description: Description, count: int, *, bare_chance: float = 0.3) -> str:
    """ "three red stars", "both circles", "striped shapes"; the number is true."""
    named = _named(dice, description, 1)
    if dice.chance(bare_chance):
        return named
    return f"{dice.pick(_numbers(count))} {named}"


def crowd(dice: Dice, description: Description, articles: Sequence[str]) -> str:
    """ "a crowd of tiny blue circles"."""
    adjective = dice.pick(("", "tiny ", "very small ", "little "))
    colour = _colour_word(dice, description)
    noun = dice.pick(words.SHAPE[description.shape or "circle"].nouns)[1]
    article = dice.pick([each for each in articles if each in ("a", "the")] or ["a"])
    return with_article(article, f"{dice.pick(words.CROWD_NOUNS)} of {adjective}{colour} {noun}")


def absent(dice: Dice, colour: str, shape: str) -> str:
    """ "a green heart" that nobody sees."""
    return with_article("a", f"{dice.pick(words.COLOUR[colour].words)} {dice.pick(words.SHAPE[shape].nouns)[0]}")


def qualified(qualifier: str, named: str) -> str:
    """ "the leftmost red star"."""
    return f"the {qualifier} {named}"


def named(dice: Dice, description: Description) -> str:
    """Adjectives and noun without an article and with nothing behind the noun."""
    return _named(dice, description, 0, tails=False)


def with_article(article: str, named_thing: str) -> str:
    """Put an article before a name, "an" where it is spoken so."""
    if article == "a" and named_thing[0] in "aeiou" and not named_thing.startswith(("one", "uni")):
        article = "an"
    return f"{article} {named_thing}" if article else named_thing


def _named(dice: Dice, description: Description, number: int, *, tails: bool = True) -> str:
    nouns = words.SHAPE[description.shape].nouns if description.shape else words.HYPERNYMS
    noun = (nouns[0] if description.shape and dice.chance(0.75) else dice.pick(nouns))[number]
    adjectives, tail = [], ""
    if description.size:
        adjectives.append(dice.pick(words.SIZE_WORDS[description.size]))
    colour = _colour_word(dice, description)
    if colour and tails and not description.pattern and dice.chance(0.06):
        tail, colour = f" in {colour.removesuffix('-coloured')}", ""
    if description.pattern:
        tail_words = words.PATTERN_TAILS[description.pattern]
        if number == 0 and tails and tail_words and dice.chance(0.25):
            tail = " " + dice.pick(tail_words)
        else:
            adjectives.append(dice.pick(words.PATTERN_ADJECTIVES[description.pattern]))
    if colour:
        adjectives.insert(0 if adjectives and dice.chance(0.15) else len(adjectives), colour)
    return " ".join([*adjectives, noun]) + tail


def _colour_word(dice: Dice, description: Description) -> str:
    if not description.colour:
        return ""
    options = words.COLOUR[description.colour].words
    word = options[0] if dice.chance(0.8) else dice.pick(options)
    return f"{word}-coloured" if dice.chance(0.03) else word


def _numbers(count: int) -> list[str]:
    word = words.NUMBER_WORDS[count]
    known = [word, word, str(count), "the", f"the {word}"]
    if count == 2:
        return [*known, "both", "a pair of"]
    return [*known, "several", "some", "all the", *(("many",) if count >= 4 else ("a few",))]
