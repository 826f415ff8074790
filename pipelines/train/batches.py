"""Where shards meet the model: three sources as ``StepBatch``es, in an order that is known before anything is read.

The main process lays down which samples each step takes (``xdetr_data.loading.order``) and where they lie; loader
processes read, decode, augment and collate whole steps, and hand them over in order. The order of keys therefore does
not depend on how many loader processes there are, and to resume is to begin at a later step.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from xdetr_data.errors import ConfigError, InputError
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.order import Place, Schedule, Stream
from xdetr_data.loading.sample import LoadCounts, LoadedPhoto, UnreadableSample, load_sample
from xdetr_data.loading.shard_set import Location, ShardSet, open_shards
from xdetr_model.photos import PhotoTransform
from xdetr_model.targets import PhotoTarget, PhraseTarget, QueryTarget, Targets, collate_targets
from xdetr_model.train.batch import SOURCE_NAMES, SourceBatch, SourceName, StepBatch

CAPTIONS: frozenset[SourceName] = frozenset({"weak"})
STATE_VERSION = 1
PREFETCHED_STEPS = 2  # of each loader process

Request = dict[SourceName, list[tuple[Place, Location]]]


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finished dataset (path or fsspec address), and how many of its photos a process takes in a step."""

    path: str
    batch_size: int


@dataclass(slots=True, kw_only=True)
class RawBatch:
    """A source's batch as a loader process hands it over: ``pixels [B, H, W, 3]`` uint8, else as in SourceBatch."""

    keys: tuple[str, ...]
    pixels: Tensor
    mask: Tensor | None
    targets: Targets

    def pin_memory(self) -> "RawBatch":
        """The pixels in memory that a GPU reads from directly; the DataLoader calls this."""
        self.pixels = self.pixels.pin_memory()
        return self


@dataclass(slots=True, kw_only=True)
class RawStep:
    """A step as a loader process hands it over; ``unreadable`` is, by source, what was wrong with which position."""

    batches: dict[SourceName, RawBatch] = field(default_factory=dict)
    counts: LoadCounts = field(default_factory=LoadCounts)
    unreadable: dict[SourceName, list[UnreadableSample | None]] = field(default_factory=dict)

    def pin_memory(self) -> "RawStep":
        """The same with pinned pixels."""
        for batch in self.batches.values():
            batch.pin_memory()
        return self


class StepLoader(Dataset[RawStep]):
    """Reads, decodes, augments and collates the samples of a step; runs in the loader processes."""

    def __init__(
        self,
        sets: Mapping[SourceName, ShardSet],
        data: DataConfig,
        tokenizer: PreTrainedTokenizerBase,
        max_text_tokens: int,
    ) -> None:
        self._sets = dict(sets)
        self._data = data
        self._tokenizer = tokenizer
        self._max_text_tokens = max_text_tokens

    def __getitem__(self, request: Request) -> RawStep:
        """One step. A source of which a whole row of samples is unreadable is left out of ``batches``."""
        step = RawStep()
        for name, wanted in request.items():
            found = [self._load(name, place, location) for place, location in wanted]
            photos = [photo for photo, _ in found if photo is not None]
            step.unreadable[name] = [problem for _, problem in found]
            lost = sum(problem is not None for _, problem in found)
            step.counts = sum((photo.counts for photo in photos), step.counts + LoadCounts(photos_unreadable=lost))
            if len(photos) == len(wanted):
                step.batches[name] = self._collate(name, photos)
        return step

    def _load(
        self, name: SourceName, place: Place, location: Location
    ) -> tuple[LoadedPhoto | None, UnreadableSample | None]:
        """The sample, or the one that stands in for it and the problem; no photo where that many fail in a row."""
        loaded = self._try(name, place, location)
        if isinstance(loaded, LoadedPhoto):
            return loaded, None
        rows = self._sets[name].rows_per_shard[place.shard]
        for trial in range(1, self._data.max_unreadable):
            row = (place.row + rows // 2 + trial) % rows  # of the same shard, which is indexed, but not its neighbour
            other = self._try(name, place, self._sets[name].locate(place.shard, row))
            if isinstance(other, LoadedPhoto):
                return other, loaded
        return None, loaded

    def _try(self, name: SourceName, place: Place, location: Location) -> LoadedPhoto | UnreadableSample:
        try:
            labels, photo = self._sets[name].read(location)
        except OSError as error:
            return UnreadableSample(key=location.key, detail=f"{location.tar}: {error.strerror or error}")
        return load_sample(location.key, labels, photo, place.number, self._data)

    def _collate(self, name: SourceName, photos: Sequence[LoadedPhoto]) -> RawBatch:
        pixels, mask = collate_pixels(photos)
        targets = [photo_target(photo, is_caption=name in CAPTIONS) for photo in photos]
        return RawBatch(
            keys=tuple(photo.key for photo in photos),
            pixels=pixels,
            mask=mask,
            targets=collate_targets(targets, self._tokenizer, self._max_text_tokens),
        )


def collate_pixels(photos: Sequence[LoadedPhoto]) -> tuple[Tensor, Tensor | None]:
    """Photos in the upper left corners of ``[B, H, W, 3]`` uint8, and the mask ``[B, H, W]`` or None if it is all."""
    sizes = [photo.pixels.shape[:2] for photo in photos]
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    pixels = torch.zeros(len(photos), height, width, 3, dtype=torch.uint8)
    view = pixels.numpy()
    for index, (photo, (h, w)) in enumerate(zip(photos, sizes, strict=True)):
        view[index, :h, :w] = photo.pixels
    if len(set(sizes)) == 1:
        return pixels, None
    mask = torch.zeros(len(photos), height, width, dtype=torch.bool)
    for index, (h, w) in enumerate(sizes):
        mask[index, :h, :w] = True
    return pixels, mask


def photo_target(photo: LoadedPhoto, *, is_caption: bool) -> PhotoTarget:
    """What the losses want of a photo; of a captioned one, whose boxes nobody drew, the texts alone."""
    queries = tuple(
        QueryTarget(
            text=query.text,
            phrases=()
            if is_caption
            else tuple(PhraseTarget(spans_char=one.spans, regions=one.regions) for one in query.phrases),
            is_caption=is_caption,
        )
        for query in photo.queries
    )
    return PhotoTarget(boxes_xyxy_norm=None if is_caption else photo.boxes_xyxy_norm.tolist(), queries=queries)


class _Requests:
    """What the loader processes are asked for, step by step; shards are walked here, once, as their turn comes."""

    def __init__(self, schedule: Schedule, sets: Mapping[SourceName, ShardSet], epoch: int, first: int) -> None:
        self._schedule, self._sets, self._epoch, self._first = schedule, sets, epoch, first

    def __len__(self) -> int:
        return self._schedule.steps_per_epoch - self._first

    def __iter__(self) -> Iterator[Request]:
        for step in range(self._first, self._schedule.steps_per_epoch):
            places = self._schedule.step(self._epoch, step)
            yield {
                name: [(place, one.locate(place.shard, place.row)) for place in places[name]]
                for name, one in self._sets.items()
            }


class TrainBatches:
    """One process's batches of up to three sources, epoch by epoch.

    An epoch goes once over the first of full, pseudo and weak that is there; the others cycle: they go on where the
    epoch before stopped and begin again, in another order, when they are through. ``sources`` without an entry, or with
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
        self._device = torch.device(device)
        self._transform = transform or PhotoTransform(shortest_px=max(data.shortest_px), longest_px=data.longest_px)
        self._paths = {
            name: sources[name].path for name in SOURCE_NAMES if name in sources and sources[name].batch_size
        }
        if not self._paths:
            raise ConfigError("no source to train on: give --full, --pseudo or --weak, with a batch size above 0")
        self._sets = {name: open_shards(path, name) for name, path in self._paths.items()}
        streams = [
            Stream(
                source=name,
                rows_per_shard=one.rows_per_shard,
                batch_size=sources[name].batch_size,
                seed=data.seed,
                rank=rank,
                world_size=world_size,
                buffer=data.buffer,
            )
            for name, one in self._sets.items()
        ]
        self._schedule = Schedule(main=streams[0], others=tuple(streams[1:]))
        self._loader = StepLoader(self._sets, data, tokenizer, max_text_tokens)
        self._identity = self._identify(streams, world_size)
        self._epoch = self._step = 0
        self._in_row: dict[SourceName, int] = dict.fromkeys(self._sets, 0)
        self.counts = LoadCounts()
        self.waited_seconds = 0.0

    def _identify(self, streams: Sequence[Stream], world_size: int) -> dict[str, Any]:
        """All that decides the order of the keys and the pixels."""
        return {
            "data": self._data.identity,
            "world_size": world_size,
            "sources": {
                stream.source: {
                    "batch_size": stream.batch_size,
                    "samples": sum(stream.rows_per_shard),
                    "shards": len(stream.rows_per_shard),
                    "config_hash": self._sets[name].manifest.config_hash,
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
        """Samples of each source, over all ranks."""
        return {name: one.manifest.rows for name, one in self._sets.items()}

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
        steps = iter(self._open(number))
        while True:
            began = time.perf_counter()
            raw = next(steps, None)
            self.waited_seconds += time.perf_counter() - began
            if raw is None:
                break
            self._account(raw)
            self._step += 1
            yield StepBatch(**{name: self._finish(name, one) for name, one in raw.batches.items()})
        self._epoch, self._step = number + 1, 0

    def _open(self, number: int) -> DataLoader[RawStep]:
        requests: Any = _Requests(self._schedule, self._sets, number, self._step)
        workers = min(self._data.workers, len(requests))
        return DataLoader(
            self._loader,
            batch_size=None,
            sampler=requests,
            num_workers=workers,
            prefetch_factor=PREFETCHED_STEPS if workers else None,
            pin_memory=self._device.type == "cuda",
            worker_init_fn=_start_worker,
        )

    def _account(self, raw: RawStep) -> None:
        self.counts = self.counts + raw.counts
        for name, problems in raw.unreadable.items():
            for problem in problems:
                self._in_row[name] = 0 if problem is None else self._in_row[name] + 1
                if problem is not None and (self._in_row[name] >= self._data.max_unreadable or name not in raw.batches):
                    raise InputError(
                        f"--{name} {self._paths[name]}: {self._data.max_unreadable} samples in a row are unreadable "
                        f"(one of them {problem.key}: {problem.detail}); see 'xdetr-data validate {self._paths[name]}'"
                    )

    def _finish(self, name: SourceName, raw: RawBatch) -> SourceBatch:
        """Onto the device as bytes, and normalised there."""
        mask = None if raw.mask is None else raw.mask.to(self._device, non_blocking=True)
        pixels = raw.pixels.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
        return SourceBatch(
            source=name,
            keys=raw.keys,
            pixel_values=self._transform.normalise(pixels, mask, torch.float32).contiguous(),
            pixel_mask=mask,
            targets=raw.targets.to(self._device),
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
        for key, was, now in _differences(state["identity"], self._identity, ""):
            raise ConfigError(f"cannot resume: {key} was {was} and is {now} now; the order of samples would change")
        self._epoch, self._step = int(state["epoch"]), int(state["step"])
        self._in_row = {name: int(state["unreadable_in_row"][name]) for name in self._sets}
        self.counts = LoadCounts(**state["counts"])


def _differences(was: Any, now: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in [*was, *(key for key in now if key not in was)]:
            yield from _differences(was.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    elif _plain(was) != _plain(now):
        yield place, was, now


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _start_worker(_: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a job at once; the trainer saves, then ends these
        signal.signal(number, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads do not survive a fork, and a process is one core
    torch.set_num_threads(1)
