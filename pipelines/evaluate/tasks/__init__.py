"""One file a task: what a photo is asked for, and what figures come of the answers."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Protocol

from pipelines.evaluate.predictions import Answer
from pipelines.evaluate.result import Result
from pipelines.labelling.grounding import Phrase
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage

TASKS = ("boxes", "lvis", "flickr30k", "refcoco", "presence")
Answered = Iterable[tuple[GroundedImage, Mapping[int, Answer]]]


class Task(Protocol):
    """A task on one dataset; travels to other processes."""

    asks_proposals: bool  # of whatever there is, instead of phrases

    def questions(self, record: GroundedImage) -> Sequence[tuple[int, Phrase]]:
        """What a photo is asked for, each with its number."""

    def check(self, records: Iterable[GroundedImage]) -> None:
        """Raises InputError where a dataset has nothing that the figures could be measured on; before any prediction,
        so it reads no more records than it needs."""

    def score(self, answered: Answered) -> Result:
        """The figures. Raises InputError where the dataset has nothing that they could be measured on."""


def task_of(name: str, manifest: Manifest) -> Task:
    """A task for a dataset; raises InputError where the dataset does not fit."""
    if name not in TASKS:
        raise InputError(f"predictions of {name!r}: this tool measures {', '.join(TASKS)}")
    made: Task = import_module(f"pipelines.evaluate.tasks.{name}").of(manifest)
    return made


def all_phrases(record: GroundedImage) -> list[tuple[int, Phrase]]:
    """Every phrase of a photo with its number: in the order of the queries, and of the phrases in a query."""
    phrases = [(query, phrase) for query in record.queries for phrase in query.phrases]
    return [(number, Phrase(query.text, tuple(phrase.spans))) for number, (query, phrase) in enumerate(phrases)]
