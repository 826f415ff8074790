"""What an evaluation found: figures that say how they were measured, tables, curves and the worst mistakes."""

import heapq
import math
from typing import Literal

import msgspec

MOST_MISTAKES = 24  # of each kind

Kind = Literal["missed", "wrong box", "wrong attribute", "invented"]
NOT_PUBLISHED = "with nothing published: this tool's own measure"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """``value`` is None where there is nothing to measure. ``comparable``: with which published figures, or why not."""

    name: str
    value: float | None
    protocol: str
    comparable: str = NOT_PUBLISHED


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a page; the first column is a name."""

    title: str
    columns: list[str]
    rows: list[list[str | float | None]]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A line through points of the unit square, or of scores."""

    title: str
    x_label: str
    y_label: str
    x: list[float]
    y: list[float]


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake on a photo: the words, the model's best box for them (none where it found nothing) and the truth."""

    kind: Kind
    key: str
    text: str
    score: float
    found_xyxy: list[list[float]]
    true_xyxy: list[list[float]]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``measured`` says on what, as counts."""

    task: str
    measured: dict[str, int]
    figures: list[Figure]
    tables: list[Table] = []
    curves: list[Curve] = []
    mistakes: list[Mistake] = []


def figure(name: str, value: float, protocol: str, comparable: str = NOT_PUBLISHED) -> Figure:
    """A figure; NaN is nothing to measure."""
    return Figure(name=name, value=None if math.isnan(value) else value, protocol=protocol, comparable=comparable)


class Worst:
    """Keeps the mistakes that the model was surest of, some of each kind; equal ones by key and words."""

    def __init__(self, most: int = MOST_MISTAKES) -> None:
        self._most = most
        self._kept: dict[str, list[tuple[float, str, str, int, Mistake]]] = {}
        self._count = 0

    def add(self, mistake: Mistake) -> None:
        """Takes one into account."""
        self._count += 1
        kept = self._kept.setdefault(mistake.kind, [])
        heapq.heappush(kept, (mistake.score, mistake.key, mistake.text, self._count, mistake))
        if len(kept) > self._most:
            heapq.heappop(kept)

    def mistakes(self) -> list[Mistake]:
        """The worst of each kind, worst first."""
        return [row[-1] for kind in sorted(self._kept) for row in sorted(self._kept[kind], reverse=True)]
