"""Where shards meet the model: three sources as ``StepBatch``es, in an order that is known before anything is read.

The main process lays down which samples each step takes (``xdetr_data.loading.order``) and where they lie; loader
processes read, decode, augment and collate whole steps, and hand them over in order. The order of keys therefore does
not depend on how many loader processes there are, and to resume is to begin at a later step.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from pipelines.train.differences import differences
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.order import Place, Schedule, Stream
from xdetr_data.loading.pixels import Recolour
from xdetr_data.loading.sample import LoadCounts, LoadedPhoto, UnreadableSample, load_sample
from xdetr_data.loading.shard_set import Location, ShardSet, open_shards
from xdetr_model.losses.targets import PhotoTarget, PhraseTarget, QueryTarget, Targets, collate_targets
from xdetr_model.photos import PhotoTransform
from xdetr_model.train.batch import SOURCE_NAMES, SourceBatch, SourceName, StepBatch

CAPTIONS: frozenset[SourceName] = frozenset({"weak"})
STATE_VERSION = 1
PREFETCHED_STEPS = 2  # of each loader process

CHANNELS = 4  # red, green, blue and one without meaning

Wanted = dict[SourceName, list[tuple[Place, Location]]]
Request = tuple[int, Wanted]  # the slot to fill, and the samples to fill it with


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finished dataset (path or fsspec address), and how many of its photos a process takes in a step."""

    path: str
    batch_size: int


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


class StepLoader(Dataset[RawStep]):
    """Reads, decodes, augments and collates the samples of a step; runs in the loader processes."""

    def __init__(
        self,
        sets: Mapping[SourceName, ShardSet],
        data: DataConfig,
        tokenizer: PreTrainedTokenizerBase,
        max_text_tokens: int,
        slots: Sequence[Tensor],
    ) -> None:
        self._sets = dict(sets)
        self._slots = slots
        self._data = data
        self._tokenizer = tokenizer
        self._max_text_tokens = max_text_tokens

    def __getitem__(self, request: Request) -> RawStep:
        """One step. A source of which a whole row of samples is unreadable is left out of ``batches``."""
        slot, step = request
        room = self._slots[slot].numpy()
        batches: dict[SourceName, RawBatch] = {}
        unreadable: dict[SourceName, list[UnreadableSample | None]] = {}
        counts, begin = LoadCounts(), 0
        for name, wanted in step.items():
            unreadable[name] = []
            photos: list[LoadedPhoto] = []
            end = begin
            for place, location in wanted:
                photo, problem = self._load(name, place, location)
                unreadable[name].append(problem)
                counts += LoadCounts(photos_unreadable=int(problem is not None))
                if photo is not None:  # into the slot at once: memory that is free again is there for the next photo
                    pixels = room[end : end + photo.pixels.size].reshape(photo.pixels.shape)
                    pixels[:] = photo.pixels
                    end += pixels.size
                    counts += photo.counts
                    photos.append(replace(photo, pixels=pixels))
            if len(photos) == len(wanted):
                batches[name] = self._collate(name, photos, begin)
                begin = end
        return RawStep(slot=slot, batches=batches, counts=counts, unreadable=unreadable)

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

    def _collate(self, name: SourceName, photos: Sequence[LoadedPhoto], begin: int) -> RawBatch:
        wanted = [photo_target(photo, is_caption=name in CAPTIONS) for photo in photos]
        targets = collate_targets(wanted, self._tokenizer, self._max_text_tokens)
        values = ((one.name, getattr(targets, one.name)) for one in fields(Targets))
        return RawBatch(
            keys=tuple(photo.key for photo in photos),
            sizes_hw=tuple(photo.pixels.shape[:2] for photo in photos),
            recolours=tuple(photo.recolour for photo in photos),
            begin=begin,
            targets={name: value.numpy() if isinstance(value, Tensor) else value for name, value in values},
        )


def pad_photos(pixels: Tensor, raw: RawBatch, transform: PhotoTransform) -> tuple[Tensor, Tensor | None]:
    """A batch's photos, recoloured and normalised, in the upper left corners of ``[B, 3, H, W]`` float32.

    ``pixels`` are the whole step's, on the device. The mask ``[B, H, W]`` is True on the photos, None if that is all.
    """
    height, width = (max(side) for side in zip(*raw.sizes_hw, strict=True))
    shape = (len(raw.sizes_hw), 3, height, width)
    is_padded = len(set(raw.sizes_hw)) > 1
    values = (torch.zeros if is_padded else torch.empty)(shape, device=pixels.device)
    mask = torch.zeros(shape[0], height, width, dtype=torch.bool, device=pixels.device) if is_padded else None
    mean, std = (torch.tensor(one, device=pixels.device)[:, None, None] for one in (transform.mean, transform.std))
    begin = raw.begin
    for index, ((h, w), recolour) in enumerate(zip(raw.sizes_hw, raw.recolours, strict=True)):
        photo = pixels[begin : begin + h * w * CHANNELS].view(h, w, CHANNELS)
        colours = photo[..., :3] if recolour is None else _recoloured(photo, recolour)
        values[index, :, :h, :w].copy_(colours.permute(2, 0, 1)).sub_(255 * mean).div_(255 * std)
        if mask is not None:
            mask[index, :h, :w] = True
        begin += h * w * CHANNELS
    return values, mask


def _recoloured(photo: Tensor, recolour: Recolour) -> Tensor:
    """``[H, W, 4]`` bytes → ``[H, W, 3]`` floats, still from 0 to 255."""
    matrix = torch.tensor(recolour, device=photo.device).view(3, 4)
    weights = torch.cat([matrix[:, :3], torch.zeros_like(matrix[:, :1])], dim=1)  # nothing of the fourth channel
    return (photo.float() @ weights.T).add_(matrix[:, 3]).clamp_(0, 255)


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

    def __init__(
        self, schedule: Schedule, sets: Mapping[SourceName, ShardSet], epoch: int, first: int, slots: int
    ) -> None:
        self._schedule, self._sets, self._epoch, self._first, self._slots = schedule, sets, epoch, first, slots

    def __len__(self) -> int:
        return self._schedule.steps_per_epoch - self._first

    def __iter__(self) -> Iterator[Request]:
        for step in range(self._first, self._schedule.steps_per_epoch):
            places = self._schedule.step(self._epoch, step)
            wanted: Wanted = {
                name: [(place, one.locate(place.shard, place.row)) for place in places[name]]
                for name, one in self._sets.items()
            }
            yield step % self._slots, wanted


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
        self._tokenizer, self._max_text_tokens = tokenizer, max_text_tokens
        self._photos = sum(stream.batch_size for stream in streams)
        self._copies = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
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
            yield self._finish(raw, slots[raw.slot][: raw.pixel_bytes])
        self._epoch, self._step = number + 1, 0

    def _open(self, number: int) -> tuple[DataLoader[RawStep], tuple[Tensor, ...]]:
        """The loader processes of an epoch and the buffers that they fill.

        A step is asked for when the one ``PREFETCHED_STEPS × workers`` before it is handed out, and the one before that
        is used up.
        """
        workers = min(self._data.workers, self.steps_per_epoch - self._step)
        slots = make_slots(self._data, self._photos, slot_count(workers))
        requests: Any = _Requests(self._schedule, self._sets, number, self._step, len(slots))
        loader = StepLoader(self._sets, self._data, self._tokenizer, self._max_text_tokens, slots)
        steps = DataLoader(
            loader,
            batch_size=None,
            sampler=requests,
            num_workers=workers,
            prefetch_factor=PREFETCHED_STEPS if workers else None,
            worker_init_fn=_start_worker,
        )
        return steps, slots

    def _account(self, raw: RawStep) -> None:
        self.counts = self.counts + raw.counts
        for name, problems in raw.unreadable.items():
            for problem in problems:
                self._in_row[name] = 0 if problem is None else self._in_row[name] + 1
                self.last_unreadable = problem or self.last_unreadable
                if problem is not None and (self._in_row[name] >= self._data.max_unreadable or name not in raw.batches):
                    raise InputError(
                        f"--{name} {self._paths[name]}: {self._data.max_unreadable} samples in a row are unreadable "
                        f"(one of them {problem.key}: {problem.detail}); see 'xdetr-data validate {self._paths[name]}'"
                    )

    def _finish(self, raw: RawStep, pixels: Tensor) -> StepBatch:
        """Onto the device as bytes, in one piece, and normalised and padded there; then the slot is free again."""
        moved = self._move(pixels)
        batches = {}
        for name, one in raw.batches.items():
            values, mask = pad_photos(moved, one, self._transform)
            targets: dict[str, Any] = {
                key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
                for key, value in one.targets.items()
            }
            batches[name] = SourceBatch(
                source=name,
                keys=one.keys,
                pixel_values=values,
                pixel_mask=mask,
                targets=Targets(**targets).to(self._device),
            )
        return StepBatch(**batches)

    def _move(self, pixels: Tensor) -> Tensor:
        """The bytes on the device, copied to the end; on a GPU beside the step that it still works on."""
        if self._copies is None:
            return pixels.to(self._device)
        with torch.cuda.stream(self._copies):
            moved = pixels.to(self._device)
        self._copies.synchronize()
        moved.record_stream(torch.cuda.current_stream(self._device))
        return moved

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


def _start_worker(_: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a job at once; the trainer saves, then ends these
        signal.signal(number, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads do not survive a fork, and a process is one core
    torch.set_num_threads(1)
