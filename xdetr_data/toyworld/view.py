"""What a speaker sees: the objects of a photo with attributes and exact boxes, and how they stand to each other."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, TypeVar

from msgspec import Struct

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice
from xdetr_data.toyworld.render import Rendered
from xdetr_data.toyworld.scene import Scene
from xdetr_data.toyworld.vocabulary import Background, Pattern, Size

Value = TypeVar("Value")
IntBox = tuple[int, int, int, int]


class Seen(Struct, frozen=True, kw_only=True):
    """An object as a speaker sees it. `box_xyxy` in pixels, right and bottom edge excluded; depth 0 is the back."""

    shape: str
    colour: str
    pattern: Pattern
    size: Size
    box_xyxy: IntBox
    visible_share: float
    is_crowd: bool
    is_cut: bool

    @property
    def is_held_out(self) -> bool:
        """Whether its attributes never occur in training."""
        return not self.is_crowd and words.is_held_out(self.colour, self.pattern, self.shape)

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        left, top, right, bottom = self.box_xyxy
        return (left + right) / 2, (top + bottom) / 2


class Description(NamedTuple):
    """The attributes that words name; None is not said."""

    shape: str | None = None
    colour: str | None = None
    pattern: Pattern | None = None
    size: Size | None = None


class View:
    """The objects from back to front, and which of them nobody mentions (`muted`)."""

    def __init__(
        self, size_hw: tuple[int, int], background: Background, objects: tuple[Seen, ...], muted: frozenset[int]
    ) -> None:
        self.height, self.width = size_hw
        self.short_side = min(size_hw)
        self.background = background
        self.objects = objects
        self.muted = muted
        self._matches: dict[Description, tuple[int, ...]] = {}

    @classmethod
    def of(cls, scene: Scene, rendered: Rendered) -> View:
        """The view of a drawn scene by somebody who sees everything."""
        objects = tuple(
            Seen(
                shape=placed.shape, colour=placed.colour, pattern=placed.pattern, size=placed.size, box_xyxy=box,
                visible_share=share, is_crowd=placed.is_crowd,
                is_cut=box[0] == 0 or box[1] == 0 or box[2] == scene.width or box[3] == scene.height,
            )
            for placed, box, share in zip(scene.objects, rendered.boxes_xyxy, rendered.visible_shares, strict=True)
        )  # fmt: skip
        return cls((scene.height, scene.width), words.BACKGROUNDS[scene.background], objects, frozenset())

    def muting(self, muted: frozenset[int]) -> View:
        """The same photo seen by people who do not mention these objects."""
        return View((self.height, self.width), self.background, self.objects, muted)

    @cached_property
    def singles(self) -> list[int]:
        """Objects that can be spoken of one by one."""
        return [index for index, seen in enumerate(self.objects) if not seen.is_crowd and index not in self.muted]

    @cached_property
    def crowds(self) -> list[int]:
        """Crowds that can be spoken of."""
        return [index for index, seen in enumerate(self.objects) if seen.is_crowd and index not in self.muted]

    def matches(self, description: Description) -> tuple[int, ...]:
        """All objects that the words fit, muted ones and crowds too."""
        found = self._matches.get(description)
        if found is None:
            shape, colour, pattern, size = description
            found = self._matches[description] = tuple(
                index
                for index, seen in enumerate(self.objects)
                if (shape is None or seen.shape == shape)
                and (colour is None or seen.colour == colour)
                and (pattern is None or seen.pattern == pattern)
                and (size is None or seen.size == size)
            )
        return found

    def may_speak_of(self, indices: tuple[int, ...]) -> bool:
        """Whether none of them is muted or a crowd."""
        return not any(index in self.muted or self.objects[index].is_crowd for index in indices)

    def unique_description(self, dice: Dice, target: int) -> Description | None:
        """Attributes that fit the target alone, hardly more of them than needed; None when it has a twin."""
        seen = self.objects[target]
        description = Description(_maybe(dice, 0.94, seen.shape), _maybe(dice, 0.7, seen.colour))
        if seen.pattern != "plain":
            description = description._replace(pattern=_maybe(dice, 0.5, seen.pattern))
        if words.SIZE_WORDS[seen.size]:
            description = description._replace(size=_maybe(dice, 0.3, seen.size))
        for attribute in dice.shuffled(("colour", "pattern", "size", "shape")):
            if self.matches(description) == (target,):
                return description
            if attribute != "size" or words.SIZE_WORDS[seen.size]:
                description = description._replace(**{attribute: getattr(seen, attribute)})
        return description if self.matches(description) == (target,) else None

    def shared_description(self, dice: Dice, target: int) -> tuple[Description, tuple[int, ...]] | None:
        """Attributes that fit the target and others, and all that they fit; None when there are none to share."""
        seen = self.objects[target]
        for _ in range(3):
            description = Description(_maybe(dice, 0.85, seen.shape), _maybe(dice, 0.5, seen.colour))
            if seen.pattern != "plain":
                description = description._replace(pattern=_maybe(dice, 0.3, seen.pattern))
            if words.SIZE_WORDS[seen.size]:
                description = description._replace(size=_maybe(dice, 0.15, seen.size))
            found = self.matches(description)
            if any(description) and 2 <= len(found) <= 9 and self.may_speak_of(found):
                return description, found
        return None


def _maybe(dice: Dice, probability: float, value: Value) -> Value | None:
    return value if dice.chance(probability) else None
