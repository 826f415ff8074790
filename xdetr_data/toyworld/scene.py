"""What a photo shows: a background and objects with attributes and places, drawn from (seed, index).

Objects are listed from back to front. A scene knows no pixels: `render` turns it into a photo and exact boxes.
"""

from __future__ import annotations

import math

from msgspec import Struct

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.homes import Split, home_of
from xdetr_data.toyworld.vocabulary import Pattern, Size

MIN_SIDE, MAX_SIDE = 128, 320
_MAX_ASPECT = 1.8
_TRIES = 22


class Placed(Struct, frozen=True, kw_only=True):
    """One object, or a crowd of alike ones, at a place. Lengths in pixels, tilt in degrees.

    `member_centres_xy` is empty for a single object; a crowd's members all have `radius`.
    """

    shape: str
    colour: str
    pattern: Pattern
    size: Size
    rgb: tuple[int, int, int]
    centre_xy: tuple[float, float]
    radius: float
    tilt: float
    member_centres_xy: tuple[tuple[float, float], ...] = ()

    @property
    def is_crowd(self) -> bool:
        """Whether this is a crowd."""
        return bool(self.member_centres_xy)


class Scene(Struct, frozen=True, kw_only=True):
    """A photo before it is drawn. `light_xy` is the direction the light comes from, each in [-1, 1]."""

    height: int
    width: int
    background: int
    texture: str
    light_xy: tuple[float, float]
    has_shadows: bool
    objects: tuple[Placed, ...]


class _Kind(Struct, frozen=True):
    colour: str
    pattern: Pattern
    shape: str


def sample_scene(seed: int, photo: int) -> Scene:
    """The scene of photo `photo` in the world `seed`; depends on nothing else."""
    dice = Dice(seed, photo, Purpose.SCENE)
    height, width = _photo_size(dice)
    crowds: list[Placed] = []
    if dice.chance(0.12):
        crowds.append(_crowd(dice, height, width))
    objects = _place_all(dice, _kinds(dice, home_of(photo).split), crowds, height, width)
    objects.sort(key=lambda placed: -placed.radius)  # small things in front, or they would vanish
    return Scene(
        height=height,
        width=width,
        background=dice.integer(0, len(words.BACKGROUNDS) - 1),
        texture=dice.pick(words.BACKGROUND_TEXTURES),
        light_xy=(dice.uniform(-1, 1), dice.uniform(-1, 1)),
        has_shadows=dice.chance(0.5),
        objects=(*crowds, *objects),
    )


def _photo_size(dice: Dice) -> tuple[int, int]:
    longest = dice.integer(210, MAX_SIDE)
    shortest = max(MIN_SIDE, int(longest / dice.uniform(1.0, _MAX_ASPECT)))
    return (longest, shortest) if dice.chance(0.4) else (shortest, longest)


def _kinds(dice: Dice, split: Split) -> list[_Kind]:
    """What the scene holds. Twins, and kin that share one attribute, make language need more than a noun."""
    if dice.chance(0.01):
        return []
    kinds = [_kind(dice, split)]
    if split != "train" and dice.chance(0.35):
        held = dice.pick(words.HELD_OUT)
        patterns = (held.pattern,) if held.pattern else words.SHAPE[held.shape].patterns
        kinds = [_Kind(held.colour, dice.pick(patterns), held.shape)]
    for _ in range(dice.weighted(range(14), _EXTRA_WEIGHTS)):
        roll, model = dice.uniform(), dice.pick(kinds)
        if roll < 0.26:
            kinds.append(model)
        elif roll < 0.40:
            kinds.append(_kind(dice, split, colour=model.colour))
        elif roll < 0.58:
            kinds.append(_kind(dice, split, shape=model.shape))
        else:
            kinds.append(_kind(dice, split))
    return kinds


def _kind(dice: Dice, split: Split, colour: str | None = None, shape: str | None = None) -> _Kind:
    while True:
        form = words.SHAPE[shape] if shape else dice.weighted(words.SHAPES, _SHAPE_WEIGHTS)
        paint = colour or dice.pick(words.COLOURS).name
        pattern = dice.weighted(form.patterns, [words.PATTERN_WEIGHTS[each] for each in form.patterns])
        if split != "train" or not words.is_held_out(paint, pattern, form.name):
            return _Kind(paint, pattern, form.name)
        colour = colour if dice.chance(0.5) else None  # a shape and colour that are held out together have no way out


# How many objects stand beside the first: most photos hold 5 to 12.
_EXTRA_WEIGHTS = (2, 3, 4, 5, 7, 8, 9, 9, 9, 8, 7, 5, 4, 3)
_SHAPE_WEIGHTS = [shape.weight for shape in words.SHAPES]


def _place_all(dice: Dice, kinds: list[_Kind], taken: list[Placed], height: int, width: int) -> list[Placed]:
    crowd_kinds = {(crowd.shape, crowd.colour) for crowd in taken}
    may_overlap = dice.chance(0.55)
    placed: list[Placed] = []
    for kind in kinds:
        if (kind.shape, kind.colour) in crowd_kinds:
            continue  # a lone twin of a crowd's members could not be told from them
        found = _place(dice, kind, [*taken, *placed], may_overlap, height, width)
        if found:
            placed.append(found)
    return placed


def _place(dice: Dice, kind: _Kind, others: list[Placed], may_overlap: bool, height: int, width: int) -> Placed | None:
    """The object at a free place, or None when the photo is full."""
    sizes = list(words.SIZE_WEIGHTS)
    if kind.pattern not in words.SMALL_PATTERNS:
        sizes.remove("small")
    size = dice.weighted(sizes, [words.SIZE_WEIGHTS[each] for each in sizes])
    radius = dice.uniform(*words.SIZE_SHARES[size]) * min(height, width) / 2
    for _ in range(_TRIES):
        margin = radius * (0.55 if dice.chance(0.08) else 1.04)  # some are cut by the photo's edge
        centre = (dice.uniform(margin, width - margin), dice.uniform(margin, height - margin))
        if may_overlap and others and dice.chance(0.35):
            centre = _beside(dice, dice.pick(others), radius)
            if not (margin < centre[0] < width - margin and margin < centre[1] < height - margin):
                continue
        if all(_covered_share(centre, radius, other) <= _overlap_limit(kind, other, may_overlap) for other in others):
            tilt = words.SHAPE[kind.shape].max_tilt
            return Placed(
                shape=kind.shape, colour=kind.colour, pattern=kind.pattern, size=size, rgb=_tint(dice, kind.colour),
                centre_xy=centre, radius=radius, tilt=dice.uniform(-tilt, tilt),
            )  # fmt: skip
    return None


def _beside(dice: Dice, other: Placed, radius: float) -> tuple[float, float]:
    """A place where two objects just overlap."""
    angle, distance = dice.uniform(0, 2 * math.pi), dice.uniform(0.7, 0.9) * (radius + other.radius)
    return other.centre_xy[0] + distance * math.cos(angle), other.centre_xy[1] + distance * math.sin(angle)


def _overlap_limit(kind: _Kind, other: Placed, may_overlap: bool) -> float:
    """Things of one colour never overlap: nobody could see where one ends."""
    return 0.3 if may_overlap and not other.is_crowd and other.colour != kind.colour else 0.0


def _tint(dice: Dice, colour: str) -> tuple[int, int, int]:
    red, green, blue = words.COLOUR[colour].rgb
    shift = dice.uniform(-9, 9)
    return tuple(min(255, max(0, round(value + shift))) for value in (red, green, blue))  # type: ignore[return-value]


def _covered_share(centre: tuple[float, float], radius: float, other: Placed) -> float:
    """How much of the smaller square the two squares around the objects share."""
    sides = []
    for axis in (0, 1):
        reach = _reach(other, axis)
        low = max(centre[axis] - radius - 2, reach[0])
        high = min(centre[axis] + radius + 2, reach[1])
        sides.append(max(0.0, high - low))
    smaller = min((2 * radius) ** 2, 4 * other.radius**2)
    return sides[0] * sides[1] / smaller


def _reach(other: Placed, axis: int) -> tuple[float, float]:
    if not other.is_crowd:
        return other.centre_xy[axis] - other.radius, other.centre_xy[axis] + other.radius
    places = [centre[axis] for centre in other.member_centres_xy]
    return min(places) - other.radius - 3, max(places) + other.radius + 3


def _crowd(dice: Dice, height: int, width: int) -> Placed:
    short = min(height, width)
    radius = dice.uniform(*words.CROWD_MEMBER_SHARE) * short / 2
    columns, rows = dice.integer(4, 6), dice.integer(3, 4)
    step = radius * 2.5
    left = dice.uniform(2, width - step * columns - 2)
    top = dice.uniform(2, height - step * rows - 2)
    centres = tuple(
        (left + (column + 0.5 + dice.uniform(-0.16, 0.16)) * step, top + (row + 0.5 + dice.uniform(-0.16, 0.16)) * step)
        for row in range(rows)
        for column in range(columns)
        if dice.chance(0.9) or (row, column) == (0, 0)
    )
    colour = dice.pick(words.COLOURS).name
    return Placed(
        shape=dice.pick(words.CROWD_SHAPES), colour=colour, pattern="plain", size="small", rgb=_tint(dice, colour),
        centre_xy=(left + step * columns / 2, top + step * rows / 2), radius=radius, tilt=0.0,
        member_centres_xy=centres,
    )  # fmt: skip
