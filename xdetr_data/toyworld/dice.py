"""Chance that depends on what is drawn, never on when: one stream of uniforms per (world seed, photo, purpose).

A photo takes hundreds of small decisions; asking a numpy generator for each costs more than drawing the photo, so
the uniforms are drawn in blocks and handed out one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import accumulate
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
_BLOCK = 512


class Purpose(IntEnum):
    """Why a stream is drawn: adding words to one format must not move a pixel or another format's words."""

    SCENE = 0
    PIXELS = 1
    MIXED = 2
    FLICKR = 3
    CAPTIONS = 4
    COCO = 5
    OPENIMAGES = 6
    NARRATIVE = 7
    TRACE = 8
    REFERRING = 9
    LVIS = 10
    WEB = 11
    REFEXP = 12
    GOOGLE = 13


class Dice:
    """Decisions from the stream of (seed, photo index, purpose)."""

    def __init__(self, seed: int, photo: int, purpose: Purpose) -> None:
        self.rng = np.random.default_rng([seed, photo, int(purpose)])
        self._uniforms: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A float in [low, high)."""
        if not self._uniforms:
            self._uniforms = self.rng.random(_BLOCK).tolist()
        return low + (high - low) * self._uniforms.pop()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high], both ends included."""
        return low + int(self.uniform() * (high - low + 1))

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items, all alike."""
        return items[int(self.uniform() * len(items))]

    def weighted(self, items: Sequence[Item], weights: Sequence[float]) -> Item:
        """One of the items in proportion to its weight."""
        sums = list(accumulate(weights))
        threshold = self.uniform(0.0, sums[-1])
        return next(item for item, total in zip(items, sums, strict=True) if threshold < total)

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """A copy in a random order."""
        rest = list(items)
        for last in range(len(rest) - 1, 0, -1):
            other = int(self.uniform() * (last + 1))
            rest[last], rest[other] = rest[other], rest[last]
        return rest

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """At most `count` different items."""
        return self.shuffled(items)[:count]
