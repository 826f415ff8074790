"""Fills the fields of a sentence pattern with words that are true of the photo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from xdetr_data.toyworld import relations, wording
from xdetr_data.toyworld import templates as patterns
from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice
from xdetr_data.toyworld.templates import Style
from xdetr_data.toyworld.view import Description, View

Kind = Literal["attribute", "relation", "plural"]


class Words(NamedTuple):
    """A part of a sentence and the objects that it names, if any."""

    text: str
    objects: tuple[int, ...] = ()
    kind: Kind = "attribute"


class Filling:
    """Fills one pattern. A field that cannot be filled makes the whole attempt fail: nothing false is ever said."""

    def __init__(self, view: View, dice: Dice, style: Style, target: int | None) -> None:
        self.view, self.dice, self.style, self.target = view, dice, style, target
        self.used: set[int] = set()
        self.fields: dict[str, Words] = {}

    def fill(self, parts: tuple[str, ...]) -> list[Words] | None:
        """The parts of the sentence, or None. `parts` alternate between literal text and field names."""
        names = parts[1::2]
        if self.target is not None and not {"one", "kin", "extreme", "ordinal"} & set(names):
            return None
        if "kin" in names and not self._fill_kin("place" if "place" in names else "rel"):
            return None
        for name in sorted(names, key=_ORDER.index):
            if name not in self.fields:
                words_of_field = _FILLERS[name](self)
                if words_of_field is None:
                    return None
                self.fields[name] = words_of_field
        filled = [
            self.fields[part] if index % 2 else Words(part) for index, part in enumerate(parts) if part or index % 2
        ]
        return [part for part in filled if part.text]

    def single(self) -> Words | None:
        """One object told by its attributes alone; the first is the target, if there is one."""
        free = [index for index in self.view.singles if index not in self.used]
        if self.target is not None and self.target not in self.used:
            free = [self.target] if self.target in free else []
        for index in self.dice.sample(free, 3):
            description = self.view.unique_description(self.dice, index)
            if description:
                self.used.add(index)
                return Words(wording.singular(self.dice, description, self.style.articles), (index,))
        return None

    def several(self) -> Words | None:
        """All objects that fit some words."""
        for index in self.dice.sample(self.view.singles, 3):
            shared = self.view.shared_description(self.dice, index)
            if shared and not self.used.intersection(shared[1]):
                self.used.update(shared[1])
                return Words(wording.plural(self.dice, shared[0], len(shared[1])), shared[1], "plural")
        return None

    def crowd(self) -> Words | None:
        """A crowd as one thing."""
        free = [index for index in self.view.crowds if index not in self.used]
        if not free:
            return None
        index = self.dice.pick(free)
        seen = self.view.objects[index]
        description = Description(shape=seen.shape, colour=seen.colour)
        self.used.add(index)
        return Words(wording.crowd(self.dice, description, self.style.articles), (index,))

    def relation(self) -> Words | None:
        """A relation between the first two objects."""
        one, other = self.fields["one"].objects[0], self.fields["other"].objects[0]
        true = [name for name in relations.ALL_RELATIONS if relations.holds(self.view, name, one, other)]
        return Words(self.dice.pick(patterns.RELATIONS[self.dice.pick(true)])) if true else None

    def place(self, *, first: bool = False) -> Words | None:
        """Where the first object is; `first`: at the beginning of a sentence."""
        true = relations.places_of(self.view, self.fields["one"].objects[0])
        if not true:
            return None
        text = self.dice.pick(patterns.PLACES[self.dice.pick(true)])
        return Words(text[0].upper() + text[1:] if first else text)

    def kin_of_target(self) -> tuple[int, Description, tuple[int, ...]] | None:
        """An object, words that fit it and others, and all that they fit."""
        free = [index for index in self.view.singles if index not in self.used]
        for index in [self.target] if self.target in free else self.dice.sample(free, 3):
            assert index is not None
            shared = self.view.shared_description(self.dice, index)
            if shared:
                return index, *shared
        return None

    def extreme(self) -> Words | None:
        """ "the leftmost star"."""
        found = self.kin_of_target()
        if not found:
            return None
        target, description, kin = found
        bare = description._replace(size=None)
        if self.view.matches(bare) != kin:
            return None
        true = [name for name in patterns.EXTREMES if relations.extreme_of(self.view, name, kin) == target]
        if not true:
            return None
        qualifier = self.dice.pick(patterns.EXTREMES[self.dice.pick(true)])
        return Words(wording.qualified(qualifier, wording.named(self.dice, bare)), (target,), "relation")

    def ordinal(self) -> Words | None:
        """ "the second star", which needs a {from} behind it."""
        found = self.kin_of_target()
        side = self.dice.pick(("left", "left", "right"))
        ranked = relations.in_order(self.view, side, found[2]) if found else None
        if not found or not ranked or len(ranked) > len(words.ORDINALS):
            return None
        rank = ranked.index(found[0])
        number = words.ORDINALS[rank] if self.dice.chance(0.8) else f"no. {rank + 1}"
        self.fields["from"] = Words(self.dice.pick(patterns.FROM[side]))
        return Words(wording.qualified(number, wording.named(self.dice, found[1])), (found[0],), "relation")

    def absent(self) -> Words | None:
        """Something that is not there, and never a combination that training must not hear of."""
        colour, shape = self.dice.pick(words.COLOURS).name, self.dice.pick(words.SHAPES).name
        is_here = self.view.matches(Description(shape=shape, colour=colour))
        is_secret = any(held.colour == colour and held.shape == shape for held in words.HELD_OUT)
        return None if is_here or is_secret else Words(wording.absent(self.dice, colour, shape))

    def _fill_kin(self, by: str) -> bool:
        """Fills {kin} with what tells it apart: {place}, or {rel} and {other}."""
        found = self.kin_of_target()
        if not found:
            return False
        target, description, kin = found
        self.used.update(kin)
        rest = [index for index in kin if index != target]
        self.fields["kin"] = Words(wording.singular(self.dice, description, self.style.articles), (target,), "relation")
        if by == "place":
            places = relations.places_of(self.view, target)
            true = [place for place in places if not any(relations.might_be_at(self.view, place, i) for i in rest)]
            if true:
                self.fields["place"] = Words(self.dice.pick(patterns.PLACES[self.dice.pick(true)]))
            return bool(true)
        other = self.single()
        if not other:
            return False
        anchor = other.objects[0]
        true = [
            name
            for name in relations.ALL_RELATIONS
            if relations.holds(self.view, name, target, anchor)
            and not any(relations.might_hold(self.view, name, index, anchor) for index in rest)
        ]
        if true:
            self.fields["rel"] = Words(self.dice.pick(patterns.RELATIONS[self.dice.pick(true)]))
            self.fields["other"] = other
        return bool(true)


_FILLERS: dict[str, Callable[[Filling], Words | None]] = {
    "one": Filling.single,
    "other": Filling.single,
    "third": Filling.single,
    "many": Filling.several,
    "crowd": Filling.crowd,
    "extreme": Filling.extreme,
    "ordinal": Filling.ordinal,
    "absent": Filling.absent,
    "rel": Filling.relation,
    "place": Filling.place,
    "place_first": lambda filling: filling.place(first=True),
    "rel_word": lambda filling: Words(filling.dice.pick(patterns.RELATIONS[filling.dice.pick(relations.DIRECTIONS)])),
    "ground": lambda filling: Words(filling.dice.pick(filling.view.background.words)),
    "n": lambda filling: Words(str(filling.dice.integer(2, 9))),
    "hour": lambda filling: Words(str(filling.dice.integer(1, 11))),
    "from": lambda _: None,
}
_ORDER = ["kin", *_FILLERS]
