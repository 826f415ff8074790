"""Distributions of one to three datasets as bars over the same bins, in shares, so that sizes do not matter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdetr_data.statistics.collect import Statistics
from xdetr_data.statistics.distributions import Binned, Histogram

MAX_BARS = 18
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A dataset's numbers below a chart; quantiles only of whole numbers."""

    count: int
    mean: float | None
    median: int | None = None
    p95: int | None = None
    largest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A chart: ``shares[dataset][bar]``. ``ticks`` are labels of bars, or of their edges (one more) if ``at_edges``.

    ``is_share``: the values are shares and read as per cent.
    """

    name: str
    title: str
    unit: str
    ticks: tuple[str, ...]
    at_edges: bool
    is_share: bool
    shares: tuple[tuple[float, ...], ...]
    summaries: tuple[Summary, ...]


def bars_of(statistics: Sequence[Statistics], agreement: Sequence[Binned]) -> list[Bars]:
    """The report's charts; those that no dataset has a value for are left out."""
    area = [one.box_area for one in statistics]
    charts = [
        _whole("queries-per-photo", "Queries per photo", "queries", [one.queries_per_photo for one in statistics]),
        _whole("boxes-per-photo", "Boxes per photo", "boxes", [one.regions_per_photo for one in statistics]),
        _whole("boxes-per-phrase", "Boxes per phrase", "boxes", [one.boxes_per_phrase for one in statistics]),
        _binned("box-size", "Box size", "share of the photo's area", area, percent=True),
        _whole("words-per-query", "Query length", "words", [one.words_per_query for one in statistics]),
        _whole("words-per-phrase", "Phrase length", "words", [one.words_per_phrase for one in statistics]),
        _binned("scores", "Scores of labels", "score", [one.phrase_score for one in statistics]),
        _binned("trace-agreement", "Agreement with the mouse trace", "agreement", agreement),
    ]
    return [chart for chart in charts if any(summary.count for summary in chart.summaries)]


def _whole(name: str, title: str, unit: str, given: Sequence[Histogram]) -> Bars:
    """Bars of one value or of an even number of them; the last one takes what is beyond the 95 % quantiles' double."""
    smallest = min((one.min for one in given if one.min is not None), default=0)
    largest = max((one.max for one in given if one.max is not None), default=0)
    beyond = min(largest, 2 * max((one.p95 for one in given if one.p95 is not None), default=0) + 1)
    step = _step(beyond - smallest + 1)
    first = smallest // step * step
    begins = list(range(first, beyond + 1, step))
    ticks = [str(begin) if step == 1 else f"{begin}–{begin + step - 1}" for begin in begins]
    if largest >= begins[-1] + step:
        ticks[-1] = f"≥{begins[-1]}"
    return Bars(
        name=name,
        title=title,
        unit=unit,
        ticks=tuple(ticks),
        at_edges=False,
        is_share=False,
        shares=tuple(_shares(one, begins, step) for one in given),
        summaries=tuple(
            Summary(count=one.count, mean=one.mean, median=one.median, p95=one.p95, largest=one.max) for one in given
        ),
    )


def _step(values: int) -> int:
    """The smallest of 1, 2, 5, 10, … that leaves at most ``MAX_BARS`` bars; the first may begin before the values."""
    scale = 1
    while True:
        for step in _STEPS:
            if values / (step * scale) <= MAX_BARS - (step * scale > 1):
                return step * scale
        scale *= 10


def _shares(one: Histogram, begins: Sequence[int], step: int) -> tuple[float, ...]:
    bars = np.zeros(len(begins))
    for value, count in one.counts.items():
        bars[min((value - begins[0]) // step, len(begins) - 1)] += count
    return tuple((bars / max(1, one.count)).tolist())


def _binned(name: str, title: str, unit: str, given: Sequence[Binned], *, percent: bool = False) -> Bars:
    edges = given[0].edges
    return Bars(
        name=name,
        title=title,
        unit=unit,
        ticks=tuple(f"{100 * edge:g} %" if percent else f"{edge:g}" for edge in edges),
        at_edges=True,
        is_share=percent,
        shares=tuple(tuple(count / max(1, one.count) for count in one.counts) for one in given),
        summaries=tuple(Summary(count=one.count, mean=one.mean) for one in given),
    )
