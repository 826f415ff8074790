"""Which colour and number the phrases of a sample get, and what that leaves for its regions."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

from xdetr_data.record import GroundedImage, Query
from xdetr_data.spans import span_text

_READABLE = (
    "#d62728", "#1f6fb4", "#1a8a1a", "#8e44ad", "#d95f02", "#00869c", "#d6338a",
    "#8c564b", "#6b7a00", "#3b3bd1", "#a67c00", "#00624a", "#7b1230", "#5c7fa3",
)  # fmt: skip
_GOLDEN_RATIO = 0.618034


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """A set of regions and the phrases that name exactly these: they share a number and a colour."""

    number: int
    color: str
    regions: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who is who in a picture.

    ``of_phrase[q][p]`` is the naming of a shown query's phrase, None where it names no region.
    ``textless`` regions are named by no phrase at all, ``left_out`` ones only by queries that are not shown.
    """

    namings: tuple[Naming, ...]
    of_phrase: tuple[tuple[Naming | None, ...], ...]
    textless: tuple[int, ...]
    left_out: tuple[int, ...]


def color_of(position: int) -> str:
    """A colour that is readable on white and on photos, different for neighbouring positions."""
    if position < len(_READABLE):
        return _READABLE[position]
    red, green, blue = colorsys.hls_to_rgb((position * _GOLDEN_RATIO) % 1.0, 0.36, 0.7)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def cast_of(sample: GroundedImage, shown: int) -> Cast:
    """Numbers the objects in the order in which the first ``shown`` queries name them."""
    queries = sample.queries[:shown]
    texts: dict[tuple[int, ...], list[str]] = {}
    for query in queries:
        for phrase in query.phrases:
            if phrase.regions:
                texts.setdefault(tuple(sorted(phrase.regions)), []).append(span_text(phrase.spans, query.text))
    namings = {
        regions: Naming(
            number=position + 1, color=color_of(position), regions=regions, texts=tuple(dict.fromkeys(said))
        )
        for position, (regions, said) in enumerate(texts.items())
    }
    drawn = {region for regions in namings for region in regions}
    named = _regions_of(sample.queries)
    everything = range(len(sample.regions))
    return Cast(
        namings=tuple(namings.values()),
        of_phrase=tuple(
            tuple(namings.get(tuple(sorted(phrase.regions))) for phrase in query.phrases) for query in queries
        ),
        textless=tuple(region for region in everything if region not in named),
        left_out=tuple(region for region in everything if region in named and region not in drawn),
    )


def _regions_of(queries: Sequence[Query]) -> set[int]:
    return {region for query in queries for phrase in query.phrases for region in phrase.regions}
