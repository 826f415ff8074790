"""What loader processes hand to the one that trains: photos in buffers that both share, all the rest by value."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xdetr_data.errors import ConfigError
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.pixels import Recolour
from xdetr_data.loading.sample import LoadCounts, UnreadableSample
from xdetr_model.train.batch import SourceName

CHANNELS = 4  # red, green, blue and one without meaning
PREFETCHED_STEPS = 2  # of each loader process


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBatch:
    """A source's batch as a loader process hands it over: numpy arrays, which travel by value, and the photos' places.

    ``begin``: where the first photo begins in the step's pixels; the others follow.
    """

    keys: tuple[str, ...]
    sizes_hw: tuple[tuple[int, int], ...]
    recolours: tuple[Recolour | None, ...]
    begin: int
    targets: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawStep:
    """A step as a loader process hands it over. ``slot``: which buffer holds the photos of all its sources behind one
    another, each ``[H, W, 4]`` uint8. ``unreadable``: by source, what was wrong with which position."""

    slot: int
    batches: dict[SourceName, RawBatch]
    counts: LoadCounts
    unreadable: dict[SourceName, list[UnreadableSample | None]]

    @property
    def pixel_bytes(self) -> int:
        """How much of the buffer is filled."""
        return sum(h * w * CHANNELS for one in self.batches.values() for h, w in one.sizes_hw)


def slot_bytes(data: DataConfig, photos: int) -> int:
    """Bytes of the largest step of ``photos`` photos."""
    return photos * max(data.shortest_px) * data.longest_px * CHANNELS


def slot_count(workers: int) -> int:
    """Buffers of a process whose loader has so many processes: the steps read ahead, and the one that is used."""
    return PREFETCHED_STEPS * workers + 1


def make_slots(data: DataConfig, photos: int, count: int) -> tuple[Tensor, ...]:
    """``count`` buffers in shared memory that hold the largest step of ``photos`` photos.

    They are used in turn for a whole epoch: memory that is new in every step costs as much as decoding does.
    Raises ConfigError where shared memory has no room for them.
    """
    size = slot_bytes(data, photos)
    try:  # as torch's own default_collate does
        storages = [torch.UntypedStorage._new_shared(size) for _ in range(count)]
    except RuntimeError as error:
        raise ConfigError(
            f"no room in shared memory (/dev/shm) for the loader: {count} buffers of {size / 2**20:,.0f} MiB in each "
            f"process; lower data.workers (now {data.workers}), or give a container more: docker run --shm-size"
        ) from error
    return tuple(torch.empty(0, dtype=torch.uint8).set_(one, 0, (size,)) for one in storages)
