"""Narratives are read in a process of their own: spaCy and the model would take turns with one interpreter's lock.

The process is started when a run first needs it, serves all shards of its parent, and ends with it.
"""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import NamedTuple

from xdetr_data.errors import XdetrDataError
from xdetr_data.readers.json_stream import Unreadable
from xdetr_data.readers.localized_narratives import Narrative, parse_narrative
from xdetr_data.stages.noun_phrases import NarrativeSentence, NounPhrases
from xdetr_data.stages.trace_agreement import TraceClock


class Line(NamedTuple):
    """One line of a narratives file: where it stands, and its bytes."""

    where: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A narrative that can be read: where it stands, its sentences with their mentions, its words and path in time."""

    group: str
    sentences: tuple[NarrativeSentence, ...]
    clock: TraceClock


@dataclass(frozen=True, slots=True)
class NotTold:
    """A line that tells nothing, and why."""

    where: str
    reason: str
    detail: str


def start(spacy_model: str | None) -> None:
    """Starts the process, and has it load the language pipeline while the caller does something else."""
    _process().submit(_tell, spacy_model, ())


def tell(spacy_model: str | None, photos: Sequence[Sequence[Line]]) -> list[list[Told | NotTold]]:
    """What the lines of each photo say, in their order.

    Raises ConfigError where the language pipeline is not installed, XdetrDataError where the process was killed.
    """
    try:
        return _process().submit(_tell, spacy_model, photos).result()
    except BrokenProcessPool as error:
        _process.cache_clear()
        raise XdetrDataError(
            "the process that reads narratives ended unexpectedly; go on with --resume, with fewer --workers where "
            "memory ran out"
        ) from error


@functools.cache
def _process() -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of the model's threads
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_leave_signals_to_parent)


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@functools.cache
def _nouns(spacy_model: str | None) -> NounPhrases:
    nouns = NounPhrases(spacy_model)
    nouns.load()
    return nouns


def _tell(spacy_model: str | None, photos: Sequence[Sequence[Line]]) -> list[list[Told | NotTold]]:
    """All narratives of the photos are tagged in one batch."""
    read = [[_read(line) for line in lines] for lines in photos]
    captions = [one.caption for lines in read for one in lines if isinstance(one, Narrative)]
    sentences = iter(_nouns(spacy_model)(captions))
    return [
        [
            Told(line.where, next(sentences), TraceClock(one)) if isinstance(one, Narrative) else one
            for line, one in zip(lines, narratives, strict=True)
        ]
        for lines, narratives in zip(photos, read, strict=True)
    ]


def _read(line: Line) -> Narrative | NotTold:
    narrative = parse_narrative(line.data)
    if isinstance(narrative, Unreadable):
        return NotTold(line.where, "unreadable-narrative", narrative.problem)
    if not narrative.caption.strip():
        return NotTold(line.where, "empty-caption", "the caption holds no words")
    return narrative
