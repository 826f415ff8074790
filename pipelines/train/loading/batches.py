"""Where shards meet the model: three sources as ``StepBatch``es, in an order that is known before anything is read.

The main process lays down which samples each step takes (``xdetr_data.loading.order``) and where they lie; loader
processes read, decode, augment and collate whole steps, and hand them over in order. The order of keys therefore does
not depend on how many loader processes there are, and to resume is to begin at a later step.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from pipelines.train.differences import differences
from pipelines.train.loading.handover import PREFETCHED_STEPS, RawStep, make_slots, slot_count
from pipelines.train.loading.requests import Requests
from pipelines.train.loading.step_loader import StepLoader, start_worker
from pipelines.train.loading.to_device import ToDevice
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.order import Schedule, Stream
from xdetr_data.loading.sample import LoadCounts, UnreadableSample
from xdetr_data.loading.shard_set import open_shards
from xdetr_data.loading.visits import Visits
from xdetr_model.photos import PhotoTransform
from xdetr_model.train.batch import SOURCE_NAMES, SourceName, StepBatch

STATE_VERSION = 2


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Finished datasets (paths or fsspec addresses), and how many of their photos a process takes in a step.

    ``shares``: of a pass, what each dataset has of it (of any sum); None mixes them in proportion to their visits, so
    that every one of them comes once a pass.
    """

    paths: tuple[str, ...]
    batch_size: int
    shares: tuple[float, ...] | None = None


class TrainBatches:
    """One process's batches of up to three sources, epoch by epoch.

    An epoch goes once over the first of full, pseudo and weak that is there (``data.unit``: over its photos, or over
    their paragraphs); the others cycle: they go on where the epoch before stopped and begin again, in another order,
    when they are through. ``sources`` without an entry, or with
    batch size 0, give nothing. Raises ConfigError or InputError in one line for a set that cannot be trained on.
    """

    def __init__(
        self,
        sources: Mapping[SourceName, SourceConfig],
        data: DataConfig,
        tokenizer: PreTrainedTokenizerBase,
        max_text_tokens: int,
        rank: int = 0,
        world_size: int = 1,
        *,
        device: torch.device | str = "cpu",
        transform: PhotoTransform | None = None,
    ) -> None:
        data.check()
        self._data = data
        transform = transform or PhotoTransform(shortest_px=max(data.shortest_px), longest_px=data.longest_px)
        self._to_device = ToDevice(torch.device(device), transform)
        wanted = {name: sources[name] for name in SOURCE_NAMES if name in sources and sources[name].batch_size}
        if not wanted:
            raise ConfigError("no source to train on: give --full, --pseudo or --weak, with a batch size above 0")
        self._sets = {
            name: Visits(sets=tuple(open_shards(path, name) for path in one.paths), unit=data.unit)
            for name, one in wanted.items()
        }
        _check_classes(self._sets.values(), data)
        streams = [
            Stream(
                source=name,
                sizes=one.sizes,
                shares=wanted[name].shares,
                batch_size=wanted[name].batch_size,
                seed=data.seed,
                rank=rank,
                world_size=world_size,
                buffer=data.buffer,
            )
            for name, one in self._sets.items()
        ]
        self._schedule = Schedule(main=streams[0], others=tuple(streams[1:]))
        self._tokenizer, self._max_text_tokens = tokenizer, max_text_tokens
        self._photos = sum(stream.batch_size for stream in streams)
        self._identity = self._identify(streams, world_size)
        self._epoch = self._step = 0
        self._in_row: dict[SourceName, int] = dict.fromkeys(self._sets, 0)
        self.counts = LoadCounts()
        self.last_unreadable: UnreadableSample | None = None
        self.waited_seconds = 0.0

    def _identify(self, streams: Sequence[Stream], world_size: int) -> dict[str, Any]:
        """All that decides the order of the keys and the pixels."""
        return {
            "data": self._data.identity,
            "world_size": world_size,
            "sources": {
                stream.source: {
                    "batch_size": stream.batch_size,
                    "shares": stream.shares,
                    "visits": [sum(one) for one in stream.sizes],
                    "shards": [len(one) for one in stream.sizes],
                    "config_hash": [one.manifest.config_hash for one in self._sets[name].sets],
                }
                for name, stream in zip(self._sets, streams, strict=True)
            },
        }

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the same on every rank: from the manifests, before anything is read."""
        return self._schedule.steps_per_epoch

    @property
    def samples(self) -> dict[SourceName, int]:
        """Samples of each source, over all its datasets and all ranks."""
        return {name: sum(one.manifest.rows for one in visits.sets) for name, visits in self._sets.items()}

    @property
    def position(self) -> tuple[int, int]:
        """Epoch, and how many of its steps have been handed out."""
        return self._epoch, self._step

    def epoch(self, number: int) -> Iterator[StepBatch]:
        """The steps of an epoch; of the one that was left unfinished, or that a state names, those that are left.

        ``waited_seconds`` grows by the time spent waiting for the loader processes, ``counts`` by what they did.
        Raises InputError where ``max_unreadable`` samples of a source in a row are unreadable.
        """
        self._epoch, self._step = number, self._step if number == self._epoch else 0
        loader, slots = self._open(number)
        steps = iter(loader)
        while True:
            began = time.perf_counter()
            raw = next(steps, None)
            self.waited_seconds += time.perf_counter() - began
            if raw is None:
                break
            self._account(raw)
            self._step += 1
            yield self._to_device(raw, slots[raw.slot])
        self._epoch, self._step = number + 1, 0

    def _open(self, number: int) -> tuple[DataLoader[RawStep], tuple[Tensor, ...]]:
        """The loader processes of an epoch and the buffers that they fill.

        A step is asked for when the one ``PREFETCHED_STEPS × workers`` before it is handed out, and the one before that
        is used up.
        """
        workers = min(self._data.workers, self.steps_per_epoch - self._step)
        slots = make_slots(self._data, self._photos, slot_count(workers))
        requests: Any = Requests(self._schedule, self._sets, number, self._step, len(slots))
        loader = StepLoader(self._sets, self._data, self._tokenizer, self._max_text_tokens, slots)
        steps = DataLoader(
            loader,
            batch_size=None,
            sampler=requests,
            num_workers=workers,
            prefetch_factor=PREFETCHED_STEPS if workers else None,
            worker_init_fn=start_worker,
        )
        return steps, slots

    def _account(self, raw: RawStep) -> None:
        self.counts = self.counts + raw.counts
        for name, problems in raw.unreadable.items():
            for problem in problems:
                self._in_row[name] = 0 if problem is None else self._in_row[name] + 1
                self.last_unreadable = problem or self.last_unreadable
                if problem is not None and (self._in_row[name] >= self._data.max_unreadable or name not in raw.batches):
                    urls = [one.folder.url for one in self._sets[name].sets]
                    raise InputError(
                        f"--{name} {', '.join(urls)}: {self._data.max_unreadable} samples in a row are unreadable "
                        f"(one of them {problem.key}: {problem.detail}); see 'xdetr-data validate {urls[0]}'"
                    )

    def state_dict(self) -> dict[str, Any]:
        """Where the batches that were handed out end, in plain values; the same on every rank but for the counts."""
        return {
            "version": STATE_VERSION,
            "epoch": self._epoch,
            "step": self._step,
            "identity": self._identity,
            "unreadable_in_row": dict(self._in_row),
            "counts": asdict(self.counts),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on there; the number of loader processes may differ, all else that decides the order may not.

        Raises ConfigError naming what differs.
        """
        if state.get("version") != STATE_VERSION:
            raise ConfigError(
                f"the loader's state is of version {state.get('version')}, not {STATE_VERSION}; start anew"
            )
        for key, was, now in differences(state["identity"], self._identity, ""):
            raise ConfigError(f"cannot resume: {key} was {was} and is {now} now; the order of samples would change")
        self._epoch, self._step = int(state["epoch"]), int(state["step"])
        self._in_row = {name: int(state["unreadable_in_row"][name]) for name in self._sets}
        self.counts = LoadCounts(**state["counts"])


def _check_classes(sets: Iterable[Visits], data: DataConfig) -> None:
    """Raises ConfigError where classes are to be sampled that no dataset has."""
    if any(classes is not None for one in sets for classes in one.classes):
        return
    for name in ("absences_per_photo", "unknown_per_photo"):
        if getattr(data, name):
            raise ConfigError(
                f"data.{name} is {getattr(data, name)}, but no dataset has a vocabulary of classes: give one that "
                "'xdetr-data build lvis' made, or say 0"
            )
