"""What a loader process does: the samples of a whole step are read, decoded, augmented and collated."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from pipelines.train.loading.handover import RawBatch, RawStep
from pipelines.train.loading.requests import Request
from xdetr_data.errors import InputError
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.order import Place
from xdetr_data.loading.sample import LoadCounts, LoadedPhoto, UnreadableSample, load_sample
from xdetr_data.loading.visits import Visit, Visits
from xdetr_model.losses.targets import PhotoTarget, PhraseTarget, QueryTarget, Targets, collate_targets
from xdetr_model.train.batch import SourceName

CAPTIONS: frozenset[SourceName] = frozenset({"weak"})


class StepLoader(Dataset[RawStep]):
    """Reads, decodes, augments and collates the samples of a step; runs in the loader processes."""

    def __init__(
        self,
        sets: Mapping[SourceName, Visits],
        data: DataConfig,
        tokenizer: PreTrainedTokenizerBase,
        max_text_tokens: int,
        slots: Sequence[Tensor],
    ) -> None:
        self._sets = dict(sets)
        self._classes = {name: one.classes for name, one in sets.items()}
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
            for place, visit in wanted:
                photo, problem = self._load(name, place, visit)
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

    def _load(self, name: SourceName, place: Place, visit: Visit) -> tuple[LoadedPhoto | None, UnreadableSample | None]:
        """The sample, or the one that stands in for it and the problem; no photo where that many fail in a row."""
        loaded = self._try(name, place, visit)
        if isinstance(loaded, LoadedPhoto):
            return loaded, None
        for trial in range(1, self._data.max_unreadable):
            other = self._try(name, place, self._sets[name].stand_in(place.shard, visit, trial))
            if isinstance(other, LoadedPhoto):
                return other, loaded
        return None, loaded

    def _try(self, name: SourceName, place: Place, visit: Visit) -> LoadedPhoto | UnreadableSample:
        location = visit.location
        try:
            labels, photo = self._sets[name].read(visit)
        except OSError as error:
            return UnreadableSample(key=location.key, detail=f"{location.tar}: {error.strerror or error}")
        except InputError as error:
            return UnreadableSample(key=location.key, detail=str(error))
        classes = self._classes[name][visit.dataset]
        return load_sample(location.key, labels, photo, place.number, self._data, visit.paragraph, classes)

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
    if is_caption:
        return PhotoTarget(boxes_xyxy_norm=None, queries=queries)
    boxes, crowds = photo.boxes_xyxy_norm.tolist(), photo.crowds_xyxy_norm.tolist()
    return PhotoTarget(boxes_xyxy_norm=boxes, queries=queries, ignored_xyxy_norm=crowds, known_texts=photo.known_texts)


def start_worker(_: int) -> None:
    """What a loader process does first."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a job at once; the trainer saves, then ends these
        signal.signal(number, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads do not survive a fork, and a process is one core
    torch.set_num_threads(1)
