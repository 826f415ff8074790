"""Distributions that are counted exactly, so that the counts of two batches add up to the counts of both."""

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of whole numbers. ``counts`` says how often each value occurs, smallest value first."""

    count: int
    mean: float | None
    min: int | None
    median: int | None
    p95: int | None
    max: int | None
    counts: dict[int, int]


class Binned(msgspec.Struct, frozen=True, kw_only=True):
    """Real numbers: ``counts[i]`` of them lie in ``[edges[i], edges[i + 1])``; the last bin is closed."""

    count: int
    mean: float | None
    edges: list[float]
    counts: list[int]


class Sums:
    """What has been counted so far."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.names: dict[str, Counter[str]] = {}
        self.values: dict[str, Counter[int]] = {}
        self.bins: dict[str, Ints] = {}
        self.sums: dict[str, float] = {}

    def names_of(self, what: str, names: pd.Series) -> None:
        """Counts strings."""
        self.names.setdefault(what, Counter()).update(names.value_counts().to_dict())

    def whole(self, what: str, values: NDArray[Any]) -> None:
        """Counts whole numbers."""
        self.values.setdefault(what, Counter()).update(pd.Series(values).value_counts().to_dict())

    def real(self, what: str, values: NDArray[np.float64], edges: tuple[float, ...]) -> None:
        """Counts real numbers by bin; those outside all bins join the first or the last."""
        bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        counts = np.bincount(bins, minlength=len(edges) - 1).astype(np.int64)
        self.bins[what] = counts + self.bins.get(what, 0)
        self.sums[what] = self.sums.get(what, 0.0) + float(values.sum())

    def histogram(self, what: str) -> Histogram:
        """The distribution of whole numbers that was counted under a name."""
        return histogram(self.values.get(what, Counter()))

    def binned(self, what: str, edges: tuple[float, ...]) -> Binned:
        """The distribution of real numbers that was counted under a name."""
        counts: list[int] = self.bins.get(what, np.zeros(len(edges) - 1, np.int64)).tolist()
        total = sum(counts)
        mean = round(self.sums.get(what, 0.0) / total, 9) if total else None
        return Binned(count=total, mean=mean, edges=list(edges), counts=counts)


def histogram(counts: Counter[int]) -> Histogram:
    """Mean and quantiles of counted values; the q-quantile is the smallest value that a share q does not exceed."""
    values = sorted(counts)
    total = counts.total()
    if not total:
        return Histogram(count=0, mean=None, min=None, median=None, p95=None, max=None, counts={})
    below = np.cumsum([counts[value] for value in values])
    median, p95 = (values[int(np.searchsorted(below, share * total))] for share in (0.5, 0.95))
    return Histogram(
        count=total,
        mean=round(sum(value * count for value, count in counts.items()) / total, 9),
        min=values[0],
        median=median,
        p95=p95,
        max=values[-1],
        counts={value: counts[value] for value in values},
    )
