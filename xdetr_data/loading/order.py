"""The order of samples: a function of (seed, source, pass) and of the shards' sizes, known before anything is read.

A pass goes once over a source. Shards are shuffled, every rank takes an equal run of the samples behind one another, so
that it reads few shards at a time, and shuffles them within a buffer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from xdetr_data.errors import ConfigError

Order = NDArray[np.int32]


def pass_order(
    rows_per_shard: Sequence[int], *, seed: int, source: str, number: int, rank: int, world_size: int, buffer: int
) -> Order:
    """One rank's samples of one pass as (position of the shard, row) ``[N, 2]``; N is the same on every rank.

    Ranks are disjoint. The remainder, fewer samples than there are ranks, sits out a pass: another one each time.
    """
    rows = np.asarray(rows_per_shard, dtype=np.int64)
    total = int(rows.sum())
    entropy = [seed, crc32(source.encode()), number]
    rng = np.random.default_rng([*entropy, 0])
    shards = rng.permutation(len(rows))
    counts = rows[shards]
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    samples = np.stack([np.repeat(shards, counts), np.arange(total) - starts], axis=1).astype(np.int32)
    share = total // world_size
    first = int(rng.integers(max(1, total))) + rank * share
    mine = samples[np.arange(first, first + share) % max(1, total)]
    return mine[shuffled_within(share, buffer, np.random.default_rng([*entropy, 1 + rank]))]


def shuffled_within(count: int, buffer: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation ``[count]`` that moves nothing by more than ``buffer`` places, any one if the buffer holds all.

    Every element draws a time up to ``buffer`` later than its own: a shuffle buffer that needs no samples to fill it.
    """
    if buffer >= count:
        return rng.permutation(count)
    return np.argsort(np.arange(count) + rng.random(count) * buffer, kind="stable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A sample of a source: the position of its shard, its row there, and the pass that it is taken in."""

    shard: int
    row: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One rank's endless stream of one source, pass after pass."""

    source: str
    rows_per_shard: tuple[int, ...]
    batch_size: int
    seed: int
    rank: int
    world_size: int
    buffer: int

    def __post_init__(self) -> None:
        """Raises ConfigError where there is not a sample for every rank."""
        if self.length < 1:
            raise ConfigError(
                f"source {self.source}: {sum(self.rows_per_shard)} samples for {self.world_size} processes; "
                "start fewer processes or build a larger set"
            )

    @property
    def length(self) -> int:
        """Samples of one pass on each rank."""
        return sum(self.rows_per_shard) // self.world_size

    @property
    def steps(self) -> int:
        """Whole batches of one pass on each rank, at least one (which then repeats samples)."""
        return max(1, self.length // self.batch_size)

    def places(self, first: int) -> list[Place]:
        """The batch that begins at this position of the stream."""
        found = []
        for position in range(first, first + self.batch_size):
            number, offset = divmod(position, self.length)
            shard, row = _order(self, number)[offset].tolist()
            found.append(Place(shard=shard, row=row, number=number))
        return found


@lru_cache(maxsize=6)
def _order(stream: Stream, number: int) -> Order:
    return pass_order(
        stream.rows_per_shard,
        seed=stream.seed,
        source=stream.source,
        number=number,
        rank=stream.rank,
        world_size=stream.world_size,
        buffer=stream.buffer,
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Which samples each step takes of each source; ``main`` is the source whose pass makes an epoch.

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
        """The samples of one step by source."""
        taken = self.steps_per_epoch * self.main.batch_size
        passes = -(-taken // self.main.length)
        batches = {self.main.source: self.main.places(epoch * passes * self.main.length + step * self.main.batch_size)}
        for other in self.others:
            batches[other.source] = other.places((epoch * self.steps_per_epoch + step) * other.batch_size)
        return batches
