"""What people say about toy photos: sentence patterns by style, data only.

Fields, filled by `speech`:
    {one} {other} {third}   one object each, told by attributes that no other object of the photo shares
    {many}                  all objects that fit a description, at least two, with or without their number
    {crowd}                 a crowd, as one thing
    {rel}                   a relation that truly holds between {one} (or {kin}) and {other}
    {kin}                   one of several that fit the words; {rel} {other}, or {place}, says which
    {place}                 where {kin} alone among its kin is, or where {one} is
    {extreme} {ordinal} {from}   "the leftmost star"; "the second star" "from the left"
    {absent}                something that is not in the photo
    {ground} {n} {hour}     the background, a small number, an hour
"""

from __future__ import annotations

from typing import NamedTuple


class Style(NamedTuple):
    """Sentence patterns with weights, and how they are written down."""

    patterns: tuple[tuple[str, float], ...]
    articles: tuple[str, ...]
    capital_chance: float
    stop_chance: float  # of ending in a full stop that the template does not have


# Fragments by Visual Genome's annotators. Abbreviations, numerals and ellipses are what makes splitting real work.
REGION = Style(
    patterns=(
        ("{one}", 14), ("{many}", 26), ("{crowd}", 16), ("{one} on a {ground}", 6), ("{many} on the {ground}", 6),
        ("{one} {rel} {other}", 9), ("{kin} {rel} {other}", 30), ("{one} and {other}", 5), ("{kin} {place}", 20),
        ("there is {one}", 3), ("this is {one}", 2), ("{one} is {place}", 3), ("{many}, not counting {one}", 1),
        ("{one} casting a faint shadow", 2), ("the {ground} behind {one}", 2), ("light falling on {one}", 2),
        ("{one} {rel} {other} and {third}", 3), ("{extreme}", 3), ("edge of {one}", 2),
        ("{one} has no writing on it", 1),
        ("{one} is approx. {n} cm. wide", 1.5), ("{one} vs. {other}", 1.5), ("the no. {n} sticker, {one}", 1),
        ("{one}... near {other}", 1.5), ("{one} at {hour} p.m. in poor light", 1), ("{one}, e.g. for a sign", 1),
        ("{one} as on a U.S. flag", 0.7), ("st. nicholas sticker next to {one}", 0.7), ("{one} of fig. {n}", 1),
        ("{one} approx. 3.5 in. from {other}", 1), ("mr. {n} drew {one}", 0.7),
        ("{one} made by toy co. ltd. in the U.K.", 0.7),
        ("{many}, i.e. not {absent}", 1), ("{one} (no. {n})", 0.7), ("wow... {one}", 0.7),
    ),
    articles=("a", "a", "the", "the", "one", ""),
    capital_chance=0.25,
    stop_chance=0.25,
)  # fmt: skip

# Said to a partner who must click the right object (RefCOCO, RefCOCO+, RefCOCOg).
REFERRING = Style(
    patterns=(
        ("{one}", 10), ("{kin} {place}", 16), ("{kin} {rel} {other}", 24), ("{extreme}", 10), ("{ordinal} {from}", 12),
        ("{one} {place}", 3), ("{one} {rel} {other}", 3),
    ),
    articles=("the", "the", "", ""),
    capital_chance=0.0,
    stop_chance=0.0,
)  # fmt: skip
REFERRING_WITHOUT_PLACE = REFERRING._replace(
    patterns=(("{one}", 10), ("{kin} {rel} {other}", 5), ("{one} {rel} {other}", 2))
)
REFERRING_AT_LENGTH = REFERRING._replace(
    patterns=(
        ("{one} that is {rel} {other}", 4), ("{kin} that is {rel} {other}", 10), ("{one} on the {ground}", 4),
        ("{kin} which is {place}", 5), ("{one}, {rel} {other}", 3), ("{one} that can be seen {place}", 4),
    ),
    articles=("the", "a", "the"),
    stop_chance=0.3,
)  # fmt: skip

QUESTION = Style(
    patterns=(
        ("Is {one} to the left of {other}?", 5), ("Is {one} above or below {other}?", 3), ("Do you see {many}?", 3),
        ("Which is bigger, {one} or {other}?", 3), ("What is {one} made of?", 2),
        ("Is there {absent} next to {one}?", 3),
        ("Are {many} on the {ground}?", 2), ("What is lying {rel_word} {one}?", 3), ("How big is {one}?", 2),
        ("Are there both {one} and {other} in this picture?", 2), ("Is {kin} {place} in the light?", 2),
        ("On which side of the photo is {one}?", 3), ("Does {one} touch the no. {n} on the {ground}?", 0.7),
    ),
    articles=("the",),
    capital_chance=1.0,
    stop_chance=0.0,
)  # fmt: skip

CAPTION = Style(
    patterns=(
        ("{one} and {other} on a {ground}", 6), ("{one} {rel} {other}", 6), ("{many} on a {ground}", 4),
        ("{many} and {one} lie on a {ground}", 5), ("a picture of {one} beside some other things", 2),
        ("{one}, {other} and {third} are scattered over a {ground}", 4), ("there is {one} {rel} {other}", 4),
        ("{kin} {rel} {other} can be seen here", 12), ("a {ground} with {one}, and {other} not far away", 3),
        ("{crowd} and {one} on a {ground}", 4), ("{one} lies on the {ground}", 3), ("{many} and also {one}", 2),
        ("approx. {n} things incl. {one} on a {ground}", 1), ("someone has put {one} {rel} {other}", 2),
    ),
    articles=("a", "a", "a", "one", "the"),
    capital_chance=0.85,
    stop_chance=0.8,
)  # fmt: skip

# Flickr30k's sentences are tokenised: the full stop stands apart.
FLICKR = CAPTION._replace(
    patterns=tuple((pattern.replace(", ", " , "), weight) for pattern, weight in CAPTION.patterns), stop_chance=0.0
)

WEB = Style(
    patterns=(
        ("{one} on a {ground}", 4), ("{one} and {other} , vector illustration", 3), ("{many} as a seamless pattern", 3),
        ("how to draw {one}", 2), ("{one} {rel} {other} : stock photo", 3), ("{crowd} against a {ground}", 2),
        ("set of {many} for the U.S. market", 1), ("person laid {one} on a {ground}", 2), ("{one} isolated", 2),
    ),
    articles=("a", "the", ""),
    capital_chance=0.0,
    stop_chance=0.05,
)  # fmt: skip

# Spoken by Localized Narratives' annotators: openings first, then what else is seen, then the surroundings.
NARRATIVE_OPENINGS = Style(
    patterns=(
        ("In this image I can see {one}", 6), ("In this picture there is {one} and {other}", 5),
        ("Here we can see {many}", 5),
        ("In this image there are {many} and {one}", 4), ("This is a picture of {one} {rel} {other}", 3),
        ("In this picture we can see {crowd}", 3), ("I can see {kin} {rel} {other}", 12),
        ("There is {one} in this image", 3),
    ),
    articles=("a", "a", "the", "one"),
    capital_chance=1.0,
    stop_chance=1.0,
)  # fmt: skip
NARRATIVE_MIDDLES = NARRATIVE_OPENINGS._replace(
    patterns=(
        ("{place_first} there is {one}", 6), ("{place_first}, {one}", 5), ("Beside it we can see {one}", 2),
        ("{many} are also visible", 3), ("There are {many}", 4), ("{one} is {rel} {other}", 5), ("{one}", 3),
        ("And um {one} and {other}", 3), ("We can also see {many} here", 3), ("{kin} is {rel} {other}", 14),
        ("{one} and {other} and {third}", 2), ("{many}", 2), ("{crowd} can be seen", 3),
    ),
)  # fmt: skip
NARRATIVE_CLOSINGS = NARRATIVE_OPENINGS._replace(
    patterns=(
        ("In the background there is a {ground}", 4), ("The background is a {ground}", 3),
        ("This is an inside view", 2),
        ("At the bottom the {ground}", 2), ("It looks like a drawing", 1), ("The light comes from one side", 1),
    ),
)  # fmt: skip

RELATIONS: dict[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "on the left side of"),
    "right": ("to the right of", "right of", "on the right side of"),
    "above": ("above", "higher than", "over"),
    "below": ("below", "under", "beneath"),
    "near": ("next to", "beside", "close to"),
    "front": ("in front of", "overlapping"),
    "behind": ("behind", "partly hidden by"),
}
PLACES: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "at the left side", "on the left of the photo"),
    "right": ("on the right", "at the right side", "on the right of the photo"),
    "top": ("at the top", "in the upper part", "at the top of the image"),
    "bottom": ("at the bottom", "in the lower part", "at the bottom of the image"),
    "middle": ("in the middle", "in the centre", "in the middle of the image"),
}
EXTREMES: dict[str, tuple[str, ...]] = {
    "left": ("leftmost", "far left"),
    "right": ("rightmost", "far right"),
    "top": ("topmost", "highest"),
    "bottom": ("lowest", "bottom"),
    "biggest": ("biggest", "largest"),
    "smallest": ("smallest",),
}
FROM: dict[str, tuple[str, ...]] = {"left": ("from the left", "counting from the left"), "right": ("from the right",)}
