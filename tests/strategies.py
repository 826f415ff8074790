"""Hypothesis strategies of the record, shared by all tests. Whatever they draw is a valid value."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from xdetr_data.accounting import Tally
from xdetr_data.boxes import Box
from xdetr_data.masks import encode_mask
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region, Rejected
from xdetr_data.spans import Span

KEY_CHARACTERS = "ABCabc019_%-"


def texts(max_size: int = 40) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can hold: emoji, newlines, controls, right-to-left; and plain sentences."""
    words = st.lists(st.sampled_from(["a", "man", "red", "U.S.", "car.", "狗", "no. 5", "😀", "$x^2$"]), max_size=8)
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)
    return st.one_of(anything, words.map(" ".join))


def keys() -> st.SearchStrategy[str]:
    """Keys of samples."""
    return st.text(KEY_CHARACTERS, min_size=1, max_size=12)


def sizes_hw(max_side: int = 5000) -> st.SearchStrategy[tuple[int, int]]:
    """Height and width of a photo in pixels."""
    return st.tuples(st.integers(1, max_side), st.integers(1, max_side))


@st.composite
def boxes_xyxy(draw: st.DrawFn, size_hw: tuple[int, int] = (1000, 1000)) -> Box:
    """A box with area on a photo of that size, in pixels; fractions of pixels too."""
    height, width = size_hw
    x0, x1 = _interval(draw, float(width))
    y0, y1 = _interval(draw, float(height))
    return (x0, y0, x1, y1)


def _interval(draw: st.DrawFn, end: float) -> tuple[float, float]:
    sides = st.floats(0, end, allow_subnormal=False)
    low, high = sorted((draw(sides), draw(sides)))
    return (low, high) if low < high else (0.0, end)


@st.composite
def spans_of(draw: st.DrawFn, length: int) -> tuple[Span, ...]:
    """Ordered, disjoint, non-empty spans of a text of ``length`` ≥ 1 characters."""
    cuts = draw(st.lists(st.integers(0, length), min_size=2, max_size=6, unique=True))
    cuts = sorted(cuts)
    return tuple((cuts[i], cuts[i + 1]) for i in range(0, len(cuts) - 1, 2))


def provenances() -> st.SearchStrategy[Provenance]:
    """Who said so."""
    return st.builds(Provenance, source=texts(8), annotation_id=texts(8), detail=texts(8))


def regions(size_hw: tuple[int, int]) -> st.SearchStrategy[Region]:
    """Regions of a photo of that size."""
    return st.builds(
        Region, box_xyxy=boxes_xyxy(size_hw), is_crowd=st.booleans(), provenance=provenances(), mask=masks(size_hw)
    )


def masks(size_hw: tuple[int, int]) -> st.SearchStrategy[str | UnsetType]:
    """No mask, or some columns of a photo that is not large."""
    height, width = size_hw
    if height * width > 100_000:
        return st.just(UNSET)
    columns = st.lists(st.integers(0, width - 1), min_size=1, max_size=3)
    return st.just(UNSET) | columns.map(
        lambda own: encode_mask(np.isin(np.arange(width), own) & np.ones(size_hw, bool))
    )


@st.composite
def queries(draw: st.DrawFn, region_count: int = 0) -> Query:
    """A sentence whose phrases name some of ``region_count`` regions."""
    text = draw(texts())
    phrases = st.builds(
        Phrase,
        spans=spans_of(max(1, len(text))),
        regions=st.lists(st.integers(0, max(0, region_count - 1)), unique=True, max_size=min(3, region_count)).map(
            tuple
        ),
        score=st.none() | st.floats(0, 1),
        provenance=provenances(),
    )
    return Query(
        text=text,
        group=draw(texts(8)),
        is_exhaustive=draw(st.booleans()),
        phrases=tuple(draw(st.lists(phrases, max_size=3))) if text else (),
    )


@st.composite
def grounded_images(draw: st.DrawFn, key: st.SearchStrategy[str] | None = None) -> GroundedImage:
    """A photo with regions and queries."""
    size_hw = draw(sizes_hw())
    found = draw(st.lists(regions(size_hw), max_size=4))
    return GroundedImage(
        key=draw(key or keys()),
        image=ImageRef(
            file_name=draw(texts(12)),
            source=draw(st.sampled_from(["coco", "vg", "flickr", "öpen images"])),
            size_hw=size_hw,
            sha256=draw(st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)),
        ),
        regions=tuple(found),
        queries=tuple(draw(st.lists(queries(len(found)), max_size=4))),
    )


def rejects() -> st.SearchStrategy[Rejected]:
    """Rejects."""
    return st.builds(
        Rejected, key=texts(8), unit=texts(8), stage=texts(8), reason=texts(8), detail=texts(8), input_ref=texts(8)
    )


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    """Tallies with any counts, balanced or not."""
    tally = Tally()
    names = st.sampled_from(["photo", "box", "annotation"])
    counts = st.integers(0, 1000)
    for unit, count in draw(st.lists(st.tuples(names, counts), max_size=4)):
        tally.came_in(unit, count)
    for unit, count in draw(st.lists(st.tuples(names, counts), max_size=4)):
        tally.went_out(unit, count)
    reasons: st.SearchStrategy[tuple[Any, ...]] = st.tuples(
        names, st.sampled_from(["split", "merge"]), st.sampled_from(["bad", "lost"]), counts
    )
    for unit, stage, reason, count in draw(st.lists(reasons, max_size=4)):
        tally.rejected(unit, stage, reason, count)
    for what, count in draw(st.lists(st.tuples(st.sampled_from(["clipped", "cut"]), counts), max_size=2)):
        tally.note(what, count)
    return tally
