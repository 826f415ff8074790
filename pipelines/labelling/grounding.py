"""Photos through a grounder: read ahead and asked about in threads, grounded in batches, given back in order.

The model is a value that is passed in (``xdetr_model.grounders.protocol.Grounder`` or anything that behaves like it).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from PIL import Image

from pipelines.cores import cores
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.photo import BadPhoto, Photo, read_photo
from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates, PhraseQuery

READ_AHEAD_BATCHES = 8  # sorted by shape, so that little of a batch is padding
MOST_READERS = 32

Precision = Literal["float32", "bfloat16", "float16"]


class Grounder(Protocol):
    """The part of ``xdetr_model.grounders.protocol.Grounder`` that labelling needs."""

    def prepare(self, photo: Image.Image) -> Any:
        """What needs no device, of a photo in RGB; safe in threads."""

    def ground_prepared(
        self, photos: Sequence[Any], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> Sequence[Sequence[PhraseCandidates]]:
        """At most ``keep`` candidates of every phrase of every photo."""

    def forget(self) -> None:
        """Drops what earlier calls left behind, so that results depend on the calls since alone."""

    def fingerprint(self) -> str:
        """Hash of all that decides results."""


class LoadGrounder(Protocol):
    """How a process of the run gets its grounder; travels to other processes, so it is a function of a module."""

    def __call__(self, name: str, *, device: str, precision: Precision, batch_size: int, **asking: Any) -> Grounder:
        """Loads a checkpoint; raises InputError where there is none that can ground. ``asking`` is what the run says
        of how phrases are read (``ModelOptions.asking``), nothing where it is all as the grounder does of itself."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase in its sentence."""

    text: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A photo to ground: its number among the jobs, and where its file is, or the place of its bytes in a container."""

    number: int
    address: str
    offset: int | None = None
    size: int = -1


Ask = Callable[[Sequence[Job]], Sequence[Sequence[Phrase]]]  # the phrases of each photo of a window


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """A photo that was grounded, without its bytes; or why it could not be read."""

    job: Job
    photo: Photo | BadPhoto
    candidates: Sequence[PhraseCandidates]


@dataclass(slots=True)
class Clock:
    """Where the time of a grounding loop goes, in seconds, and how much of a batch is padding."""

    grounding_s: float = 0.0
    waiting_s: float = 0.0
    photos: int = field(default=0)
    pixels: int = field(default=0)  # that the network saw, padding among them
    padding: int = field(default=0)

    @property
    def padding_share(self) -> float | None:
        """Share of the network's pixels that are padding; None of a grounder that does not say how large photos are."""
        return self.padding / self.pixels if self.pixels else None

    def saw(self, sizes_hw: Sequence[tuple[int, int]]) -> None:
        """A batch of photos of these sizes, each padded to the largest height and width."""
        padded = len(sizes_hw) * max(h for h, _ in sizes_hw) * max(w for _, w in sizes_hw)
        self.pixels += padded
        self.padding += padded - sum(h * w for h, w in sizes_hw)


def readers(processes: int) -> int:
    """Threads of one process that read photos ahead: its share of the cores, 2 or more."""
    return min(max(2, cores() // max(1, processes)), MOST_READERS)


def ground(
    jobs: Sequence[Job], ask: Ask, grounder: Grounder, *, batch_size: int, keep: int, threads: int, clock: Clock
) -> Iterator[Grounded]:
    """Grounds photos in the order of the jobs.

    Windows of ``READ_AHEAD_BATCHES`` batches pass through three stations that work at the same time: threads read and
    prepare photos, one thread asks for phrases, one runs the model; what is yielded is the caller's to work on while
    the model goes on. Two windows have their pixels in memory, one being read and one with the model; the caller's has
    the files' bytes alone. Batches within a window hold photos of like shape. What is in a batch depends on the jobs
    alone, not on the threads. What a thread raises, is raised here.
    """
    size = batch_size * READ_AHEAD_BATCHES
    with _threads(threads, "read-ahead") as readers, _threads(1, "ask") as asker, _threads(1, "model") as model:
        stopped = threading.Event()

        def run(photos: Sequence["Future[_Ready]"], phrases: "Future[Sequence[Sequence[Phrase]]]") -> list[Grounded]:
            started = time.monotonic()
            ready = [future.result() for future in photos]
            asked = phrases.result()
            begun = time.monotonic()
            results = _ground_window(ready, asked, grounder, batch_size, keep, stopped, clock)
            clock.waiting_s += begun - started
            clock.grounding_s += time.monotonic() - begun
            clock.photos += len(results)
            return results

        in_flight: deque[Future[list[Grounded]]] = deque()
        results: list[Grounded] = []
        try:
            for begin in range(0, len(jobs), size):
                window = jobs[begin : begin + size]
                photos = [readers.submit(_prepare, job, grounder) for job in window]
                in_flight.append(model.submit(run, photos, asker.submit(ask, window)))
                yield from results
                results = in_flight.popleft().result() if len(in_flight) == 2 else []
            yield from results
            while in_flight:
                yield from in_flight.popleft().result()
        finally:
            stopped.set()


@contextmanager
def _threads(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads that leave what they have not begun, when the caller is interrupted or fails."""
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Ready:
    job: Job
    photo: Photo | BadPhoto
    prepared: Any


def _prepare(job: Job, grounder: Grounder) -> _Ready:
    photo = read_photo(job.address, offset=job.offset, size=job.size)
    if isinstance(photo, BadPhoto):
        return _Ready(job, photo, None)
    try:
        prepared = grounder.prepare(decode_photo(photo.data))
    except ValueError as error:
        problem = BadPhoto(reason="unreadable-photo", detail=f"{job.address}: {error}")
        return _Ready(job, problem, None)
    return _Ready(job, photo, prepared)


def _ground_window(
    ready: Sequence[_Ready],
    phrases: Sequence[Sequence[Phrase]],
    grounder: Grounder,
    batch_size: int,
    keep: int,
    stopped: threading.Event,
    clock: Clock,
) -> list[Grounded]:
    """Batch by batch, as long as somebody wants the results."""
    found: list[Sequence[PhraseCandidates]] = [[] for _ in ready]
    able = [i for i, one in enumerate(ready) if one.prepared is not None and phrases[i]]
    able.sort(key=lambda i: (_shape(ready[i]), i))
    for begin in range(0, len(able), batch_size):
        if stopped.is_set():
            break
        batch = able[begin : begin + batch_size]
        sizes_hw = [size_hw for i in batch if (size_hw := _input_hw(ready[i].prepared)) is not None]
        if len(sizes_hw) == len(batch):
            clock.saw(sizes_hw)
        results = grounder.ground_prepared([ready[i].prepared for i in batch], [phrases[i] for i in batch], keep)
        for i, candidates in zip(batch, results, strict=True):
            found[i] = candidates
    return [
        Grounded(job=one.job, photo=one.photo, candidates=candidates)
        for one, candidates in zip(ready, found, strict=True)
    ]


def _input_hw(prepared: Any) -> tuple[int, int] | None:
    """Height and width that the network sees, of several networks the first; None where nobody says."""
    first = prepared[0] if isinstance(prepared, tuple) else prepared
    size_hw: tuple[int, int] | None = getattr(first, "input_hw", None)
    return size_hw


def _shape(one: _Ready) -> tuple[int, int]:
    assert isinstance(one.photo, Photo)
    height, width = one.photo.size_hw
    return (round(100 * width / height), width * height)
