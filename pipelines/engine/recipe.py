"""A recipe: a dataset said as values. It reads like a table of contents, and the engine does the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from pipelines.engine.outcome import Ledger, Outcome, PhotoToBuild
from pipelines.machine import Machine
from pipelines.recipe_options import BuildOptions
from xdetr_data.shards.plan import Kept
from xdetr_data.shards.writer import Sample, ShardStats
from xdetr_data.sources.elements import PhotoElements
from xdetr_data.sources.exclusion_list import ExclusionList
from xdetr_data.sources.places import Places
from xdetr_data.sources.protocol import Source
from xdetr_data.storage import Folder

Build = Callable[[PhotoToBuild, PhotoElements, Any], Outcome]
Samples = Callable[[int, Ledger], Iterator[Sample]]  # of any shard, ordered by key; travels to other processes


class ModelStep(Protocol):
    """The step of a recipe that needs a model: between partition and shards, on a pool of processes.

    It writes the trail, shards of its own (``prefix``), from which samples are chosen without the model by the part
    of the options called ``chosen_by``, on which the trail does not depend.
    """

    prefix: str
    title: str
    chosen_by: str

    def check(self, workers: int, gpus: int) -> None:
        """Raises ConfigError for options that contradict each other or the machine."""

    def fingerprints(self) -> dict[str, str]:
        """Loads the models once, so that a wrong name ends the run before its work begins."""

    def context(
        self, out: Folder, elements: Any, config_hash: str, begun_on: Sequence[Machine], processes: int
    ) -> object:
        """What ``make`` gets: the run's ``ShardElements``, the kinds of machine of which only one may go on, and how
        many processes share a machine's cores."""

    def make(self) -> Callable[..., Callable[[int], ShardStats]]:
        """The function that makes, once a process and of the context, what writes a shard's trail."""

    def samples(self, out: Folder) -> Samples:
        """The samples, chosen from the trail."""

    def say(self, trail: Sequence[ShardStats]) -> None:
        """Tells people how the step went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a dataset is made.

    Attributes:
        name: its command, ``build captions``; the manifest's ``recipe``.
        prefix: what the names of the shards begin with.
        sources: its inputs, in the order in which they count.
        photos: where the photos are.
        build: what becomes of one photo, a function of a module; of a recipe with a model, the model's step says it.
        nothing, remedy: what is said where no photo is left.
        lists: photos to leave out; None where the recipe has no such option.
        tables: schemas of further tables that a shard writes, by name.
        others: further inputs, (role, path), which the manifest names.
        kept: where the photos of a finished dataset are that more is added to (``pipelines.growing``).
        seconds: what an element takes besides its photo, by unit, for the estimate; None where none can be given.
    """

    name: str
    prefix: str
    options: BuildOptions
    sources: Sequence[Source]
    photos: Places
    nothing: str
    remedy: str
    build: Build | None = None
    lists: Sequence[ExclusionList] | None = None
    tables: Mapping[str, pa.Schema] = field(default_factory=dict)
    others: Sequence[tuple[str, str]] = ()
    seconds: Mapping[str, float] | None = None
    model: ModelStep | None = None
    kept: Kept | None = None
