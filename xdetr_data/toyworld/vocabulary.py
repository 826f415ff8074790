"""What exists in the toy world and what it is called: data only, read by the painter and by the speakers.

Whoever wants another shape, colour or class changes a table here and nothing else.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Pattern = Literal["plain", "striped", "dotted", "outlined"]
Size = Literal["small", "medium", "large"]


class Shape(NamedTuple):
    """A kind of object. `nouns` are (singular, plural), the first being its class name; tilt is in degrees."""

    name: str
    nouns: tuple[tuple[str, str], ...]
    weight: float
    max_tilt: float
    patterns: tuple[Pattern, ...]
    open_images_id: str
    coco_id: int | None
    supercategory: str


_ALL: tuple[Pattern, ...] = ("plain", "striped", "dotted", "outlined")
# An outlined circle would be a ring to any eye, so round shapes are never outlined.
_FILLED: tuple[Pattern, ...] = ("plain", "striped", "dotted")

SHAPES: tuple[Shape, ...] = (
    Shape("circle", (("circle", "circles"), ("disc", "discs")), 8, 0, _FILLED, "/m/01k8c", 1, "round"),
    Shape("square", (("square", "squares"), ("box", "boxes")), 8, 12, _ALL, "/m/02sq4", 2, "angular"),
    Shape("triangle", (("triangle", "triangles"),), 8, 20, _ALL, "/m/07tr1", 3, "angular"),
    Shape("star", (("star", "stars"),), 8, 36, _ALL, "/m/06str", 4, "angular"),
    Shape("heart", (("heart", "hearts"),), 7, 15, _ALL, "/m/0hrt5", 6, "round"),
    Shape("cross", (("cross", "crosses"), ("plus sign", "plus signs")), 6, 10, _ALL, "/m/01crs", 7, "angular"),
    Shape("ring", (("ring", "rings"), ("hoop", "hoops")), 6, 0, ("plain",), "/m/06rng", 8, "round"),
    Shape("diamond", (("diamond", "diamonds"),), 6, 10, _ALL, "/m/02dmd", 9, "angular"),
    Shape("crescent", (("crescent", "crescents"), ("moon", "moons")), 3, 25, _FILLED, "/m/04crm", 11, "round"),
    Shape("arrow", (("arrow", "arrows"),), 3, 180, _ALL, "/m/0arr7", 13, "angular"),
    Shape("flower", (("flower", "flowers"),), 3, 180, _FILLED, "/m/0c9ph5", None, "round"),
    Shape("half circle", (("half circle", "half circles"), ("semicircle", "semicircles")), 2, 15, _FILLED,
          "/m/0hfc2", None, "round"),
    Shape("lightning bolt", (("lightning bolt", "lightning bolts"), ("bolt", "bolts")), 1.2, 15, _FILLED,
          "/m/0lbt9", None, "angular"),
    Shape("teardrop", (("teardrop", "teardrops"), ("drop", "drops")), 1.2, 15, _FILLED, "/m/0tdr4", None, "round"),
)  # fmt: skip
SHAPE = {shape.name: shape for shape in SHAPES}


class Colour(NamedTuple):
    """A colour: its words, its sRGB value, and the value of the stripes and dots that show on it."""

    name: str
    words: tuple[str, ...]
    rgb: tuple[int, int, int]
    contrast_rgb: tuple[int, int, int]


_LIGHT, _DARK = (250, 250, 250), (30, 30, 30)
COLOURS: tuple[Colour, ...] = (
    Colour("red", ("red",), (214, 40, 40), _LIGHT),
    Colour("orange", ("orange",), (243, 138, 30), _LIGHT),
    Colour("yellow", ("yellow",), (248, 220, 50), _DARK),
    Colour("green", ("green",), (50, 160, 70), _LIGHT),
    Colour("cyan", ("cyan", "turquoise"), (70, 215, 220), _DARK),
    Colour("blue", ("blue",), (40, 80, 205), _LIGHT),
    Colour("purple", ("purple", "violet"), (135, 55, 180), _LIGHT),
    Colour("pink", ("pink",), (250, 140, 195), _DARK),
    Colour("white", ("white",), (248, 248, 246), _DARK),
    Colour("black", ("black",), (22, 22, 24), _LIGHT),
)
COLOUR = {colour.name: colour for colour in COLOURS}

# Adjectives stand before the noun, tails behind it.
PATTERN_ADJECTIVES: dict[Pattern, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
    "outlined": ("outlined", "hollow"),
}
PATTERN_TAILS: dict[Pattern, tuple[str, ...]] = {
    "plain": (),
    "striped": ("with stripes", "with stripes on it"),
    "dotted": ("with dots", "covered in dots"),
    "outlined": ("with nothing inside", "drawn as an outline"),
}
PATTERN_WEIGHTS: dict[Pattern, float] = {"plain": 10, "striped": 4, "dotted": 3, "outlined": 3}

# Side of the object as a share of the photo's shorter side. The gaps between the classes keep the words true.
SIZE_SHARES: dict[Size, tuple[float, float]] = {"small": (0.10, 0.14), "medium": (0.18, 0.26), "large": (0.34, 0.48)}
SIZE_WORDS: dict[Size, tuple[str, ...]] = {
    "small": ("small", "tiny", "little"),
    "medium": (),  # nobody calls a thing medium, so it is never said
    "large": ("large", "big"),
}
SIZE_WEIGHTS: dict[Size, float] = {"small": 4, "medium": 5, "large": 1.3}
SMALL_PATTERNS: tuple[Pattern, ...] = ("plain", "outlined")  # stripes and dots vanish on a dozen pixels
CROWD_MEMBER_SHARE = (0.045, 0.06)
CROWD_NOUNS = ("crowd", "group", "swarm", "cluster", "bunch")
CROWD_SHAPES = ("circle", "square", "triangle", "diamond")

HYPERNYMS = (("shape", "shapes"), ("object", "objects"), ("thing", "things"))
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


class Background(NamedTuple):
    """What the objects lie on: words for it, its sRGB value. Muted, so that every colour shows."""

    words: tuple[str, ...]
    rgb: tuple[int, int, int]


BACKGROUNDS: tuple[Background, ...] = (
    Background(("grey wall", "grey background", "gray surface"), (128, 128, 130)),
    Background(("beige background", "sandy ground", "cream coloured sheet"), (186, 170, 142)),
    Background(("brown table", "wooden table", "brown board"), (122, 92, 66)),
    Background(("slate floor", "dark grey floor", "grey floor"), (88, 92, 98)),
    Background(("pale sheet of paper", "light grey background", "pale wall"), (190, 190, 186)),
    Background(("khaki cloth", "dull green cloth", "khaki background"), (116, 118, 86)),
)
BACKGROUND_TEXTURES = ("smooth", "grain", "grid", "planks")


class Combination(NamedTuple):
    """A shape in a colour and a pattern; None stands for any pattern."""

    colour: str
    pattern: Pattern | None
    shape: str


# Never drawn, boxed or named in training; they occur in val and test only: the open-vocabulary test.
HELD_OUT: tuple[Combination, ...] = (
    Combination("purple", "striped", "star"),
    Combination("orange", "dotted", "heart"),
    Combination("cyan", "outlined", "triangle"),
    Combination("pink", "striped", "square"),
    Combination("green", "dotted", "diamond"),
    Combination("white", "outlined", "cross"),
    Combination("yellow", "plain", "crescent"),
    Combination("black", None, "flower"),
)


def is_held_out(colour: str, pattern: str, shape: str) -> bool:
    """Whether an object with these attributes is one of HELD_OUT."""
    return any(held.shape == shape and held.colour == colour and held.pattern in (None, pattern) for held in HELD_OUT)
