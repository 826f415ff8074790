"""The order of visits: a function of (seed, source, pass) and of the shards' sizes, known before anything is read.

A visit is a photo or one of its paragraphs. A pass goes once over a source. Its shards are shuffled, several datasets
are interleaved, every rank takes an equal run of the visits behind one another, so that it reads few shards at a time,
and shuffles them within a buffer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from xdetr_data.errors import ConfigError

Order = NDArray[np.int32]
Sizes = Sequence[Sequence[int]]  # visits by dataset and shard
Shares = Sequence[float] | None

_SHARDS, _START, _BUFFER = 0, 1, 2  # what a draw is for


def visits_of_a_pass(sizes: Sizes, shares: Shares = None) -> tuple[int, ...]:
    """How many visits of each dataset a pass takes: all of them, or ``shares`` (of any sum) of as many in all."""
    totals = [sum(dataset) for dataset in sizes]
    if shares is None:
        return tuple(totals)
    weights = np.asarray(shares, dtype=np.float64) / max(shares)  # first, as large ones would have no sum
    wanted = weights / weights.sum() * sum(totals)
    taken = np.floor(wanted).astype(np.int64)
    taken[np.argsort(taken - wanted, kind="stable")[: sum(totals) - int(taken.sum())]] += 1
    return tuple(taken.tolist())


def pass_order(
    sizes: Sizes,
    *,
    shares: Shares = None,
    seed: int,
    source: str,
    number: int,
    rank: int,
    world_size: int,
    buffer: int,
) -> Order:
    """One rank's visits of one pass, ``[N, 3]``: position of the shard among all datasets', visit in it, and the pass
    over its own dataset, which is ``number`` unless ``shares`` are given; N is the same on every rank.

    Ranks are disjoint. The remainder, fewer visits than there are ranks, sits out a pass: another one each time. With
    ``shares`` a dataset goes on in the next pass where this one leaves it.
    """
    entropy = [seed, crc32(source.encode())]
    firsts = np.cumsum([0, *map(len, sizes)])
    parts = [
        _stretch(dataset, int(firsts[index]), number * count, count, [*entropy, _SHARDS, index])
        for index, (dataset, count) in enumerate(zip(sizes, visits_of_a_pass(sizes, shares), strict=True))
    ]
    visits = _interleaved(parts)
    total = len(visits)
    share = total // world_size
    start = int(np.random.default_rng([*entropy, _START, number]).integers(max(1, total)))
    mine = visits[(start + rank * share + np.arange(share)) % max(1, total)]
    return mine[shuffled_within(share, buffer, np.random.default_rng([*entropy, _BUFFER, number, rank]))]


def _stretch(shards: Sequence[int], first_shard: int, begin: int, count: int, entropy: Sequence[int]) -> Order:
    """``count`` visits of a dataset's endless passes from the visit ``begin`` on, ``[count, 3]``."""
    total = sum(shards)
    passes = range(begin // total, -(-(begin + count) // total)) if total else range(0)
    parts = [
        _one_pass(shards, first_shard, number, entropy)[max(0, begin - number * total) : begin + count - number * total]
        for number in passes
    ]
    return np.concatenate([np.zeros((0, 3), dtype=np.int32), *parts])


def _one_pass(shards: Sequence[int], first_shard: int, number: int, entropy: Sequence[int]) -> Order:
    order = np.random.default_rng([*entropy, number]).permutation(len(shards))
    counts = np.asarray(shards, dtype=np.int64)[order]
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    columns = [np.repeat(order + first_shard, counts), np.arange(counts.sum()) - starts, np.full(counts.sum(), number)]
    return np.stack(columns, axis=1).astype(np.int32)


def _interleaved(parts: Sequence[Order]) -> Order:
    """All visits, those of each part in their order and evenly spread."""
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([(np.arange(len(part)) + 0.5) / max(1, len(part)) for part in parts])
    return np.concatenate(parts)[np.argsort(times, kind="stable")]


def shuffled_within(count: int, buffer: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation ``[count]`` that moves nothing by more than ``buffer`` places, any one if the buffer holds all.

    Every element draws a time up to ``buffer`` later than its own: a shuffle buffer that needs no samples to fill it.
    """
    if buffer >= count:
        return rng.permutation(count)
    return np.argsort(np.arange(count) + rng.random(count) * buffer, kind="stable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A visit of a source: the position of its shard, which visit of that shard, and the pass that it is taken in."""

    shard: int
    visit: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One rank's endless stream of one source, pass after pass; ``sizes`` and ``shares`` as for :func:`pass_order`."""

    source: str
    sizes: tuple[tuple[int, ...], ...]
    batch_size: int
    seed: int
    rank: int
    world_size: int
    buffer: int
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError where there is not a visit for every rank, or where shares leave a dataset without any."""
        if self.length < 1:
            raise ConfigError(
                f"source {self.source}: {self.visits} samples for {self.world_size} processes; "
                "start fewer processes or build a larger set"
            )
        if self.shares is not None and not all(visits_of_a_pass(self.sizes, self.shares)):
            number = visits_of_a_pass(self.sizes, self.shares).index(0) + 1
            raise ConfigError(
                f"source {self.source}: with these shares no pass of {self.visits} samples has one of dataset {number} "
                "of it; give it a larger share (--mix), or leave it out"
            )

    @property
    def visits(self) -> int:
        """Visits of one pass, over all ranks."""
        return sum(map(sum, self.sizes))

    @property
    def length(self) -> int:
        """Visits of one pass on each rank."""
        return self.visits // self.world_size

    @property
    def steps(self) -> int:
        """Whole batches of one pass on each rank, at least one (which then repeats samples)."""
        return steps_of_a_pass(self.visits, self.world_size, self.batch_size)

    def places(self, first: int) -> list[Place]:
        """The batch that begins at this position of the stream."""
        found = []
        for position in range(first, first + self.batch_size):
            number, offset = divmod(position, self.length)
            shard, visit, own = _order(self, number)[offset].tolist()
            found.append(Place(shard=shard, visit=visit, number=own))
        return found


def steps_of_a_pass(visits: int, world_size: int, batch_size: int) -> int:
    """Whole batches of so many visits on each rank, at least one."""
    return max(1, visits // world_size // batch_size)


@lru_cache(maxsize=6)
def _order(stream: Stream, number: int) -> Order:
    return pass_order(
        stream.sizes,
        shares=stream.shares,
        seed=stream.seed,
        source=stream.source,
        number=number,
        rank=stream.rank,
        world_size=stream.world_size,
        buffer=stream.buffer,
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Which visits each step takes of each source; ``main`` is the source whose pass makes an epoch.

    The main source begins every epoch anew, and what does not fill a last batch sits it out; the others go on where the
    epoch before stopped, and begin again whenever they are through.
    """

    main: Stream
    others: tuple[Stream, ...] = ()

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch: the same on every rank, whatever the sizes of the shards."""
        return self.main.steps

    def step(self, epoch: int, step: int) -> dict[str, list[Place]]:
        """The visits of one step by source."""
        taken = self.steps_per_epoch * self.main.batch_size
        passes = -(-taken // self.main.length)
        batches = {self.main.source: self.main.places(epoch * passes * self.main.length + step * self.main.batch_size)}
        for other in self.others:
            batches[other.source] = other.places((epoch * self.steps_per_epoch + step) * other.batch_size)
        return batches
