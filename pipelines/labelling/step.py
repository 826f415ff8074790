"""The step of a recipe that needs a model: a pool of processes grounds phrases, labels are chosen from the trail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pipelines import console
from pipelines.engine.recipe import Samples
from pipelines.engine.shards import ShardElements
from pipelines.labelling.answers import check_trail
from pipelines.labelling.class_list import ClassPrompts
from pipelines.labelling.grounding import LoadGrounder
from pipelines.labelling.options import LabelOptions, ModelOptions
from pipelines.labelling.teachers import all_of, check_consensus, teachers_of
from pipelines.labelling.telling import NARRATIVES, Telling
from pipelines.labelling.trail import TRAIL_PREFIX, TrailSamples
from pipelines.machine import DescribeMachine, Machine, this_machine
from xdetr_data.errors import ConfigError
from xdetr_data.shards.writer import ShardStats
from xdetr_data.sources.openimages import read_class_names
from xdetr_data.stages.place_openimages import FlagPolicy
from xdetr_data.storage import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingStep:
    """Grounds the noun phrases of what ``telling`` says of photos: narratives, or captions.

    Where ``classes`` are given, photos are asked for their prompts instead. ``ckpt`` are the teachers; ``load`` gives
    each process its grounders, ``machine`` the kind of machine that it runs on.
    """

    ckpt: Sequence[str]
    model: ModelOptions
    labels: LabelOptions
    load: LoadGrounder
    telling: Telling = NARRATIVES
    flags: FlagPolicy = field(default_factory=FlagPolicy)
    class_descriptions: str | None = None
    classes: tuple[ClassPrompts, ...] = ()
    exclude_like: Sequence[str] = ()
    machine: DescribeMachine = this_machine
    prefix: ClassVar[str] = TRAIL_PREFIX
    title: ClassVar[str] = "grounding"
    chosen_by: ClassVar[str] = "labels"

    def check(self, workers: int, gpus: int) -> None:
        """Raises ConfigError where ``gpus`` contradicts another option, or teachers cannot agree as is asked."""
        check_consensus(self.labels.consensus, [one.name for one in teachers_of(self.ckpt)])
        if gpus and workers == 0:
            raise ConfigError(f"--gpus {gpus} needs processes of their own: leave --workers 0 out")
        if gpus and self.model.device == "cpu":
            raise ConfigError(f"--gpus {gpus} and --device cpu contradict each other")

    def fingerprints(self) -> dict[str, str]:
        """Loads all models once, so that a wrong name ends the run before its work begins."""
        found = {} if self.classes else {"language": self._language()}
        several = teachers_of(self.ckpt)
        for number, (name, ckpt) in enumerate(several):
            grounder = self.load(
                ckpt, device="cpu", precision=self.model.precision, batch_size=1, **self.model.asking()
            )
            found["grounder" if len(several) == 1 else f"grounder {number} {name}"] = grounder.fingerprint()
        return found

    def _language(self) -> str:
        from xdetr_data.stages.noun_phrases.noun_phrases import NounPhrases

        nouns = NounPhrases(self.model.spacy_model)
        nouns.load()
        return nouns.fingerprint

    def context(
        self, out: Folder, elements: ShardElements, config_hash: str, begun_on: Sequence[Machine], processes: int
    ) -> object:
        """What every shard of the run shares."""
        from pipelines.labelling.ground_shard import GroundContext

        return GroundContext(
            out=out,
            elements=elements,
            config_hash=config_hash,
            telling=self.telling,
            teachers=teachers_of(self.ckpt),
            model=self.model,
            flags=self.flags,
            class_names={} if self.class_descriptions is None else read_class_names(self.class_descriptions),
            load=self.load,
            machine=self.machine,
            begun_on=begun_on,
            processes=processes,
            exclude_like=self.exclude_like,
        )

    def make(self) -> Callable[..., Callable[[int], ShardStats]]:
        """What loads the models, once a process."""
        from pipelines.labelling.ground_shard import make_ground_worker  # spaCy takes a second: not for --help

        return make_ground_worker

    def samples(self, out: Folder) -> Samples:
        """Labels chosen from the trail; photos are read from their own files."""
        names = tuple(one.name for one in teachers_of(self.ckpt))
        return TrailSamples(out=out, rule=self.labels, teachers=names, classes=self.classes)

    def say(self, trail: Sequence[ShardStats]) -> None:
        """How fast the model was, and how long it waited for its input; each shard's figures are in its stats.json.

        Raises InputError where the model left too many photos without an answer.
        """
        check_trail(trail, all_of(teachers_of(self.ckpt)), self.model.precision)
        seconds = sum(one.seconds for one in trail)
        if seconds:
            photos = sum((one.photos_per_second or 0.0) * one.seconds for one in trail)
            waiting = sum((one.waiting_share or 0.0) * one.seconds for one in trail)
            share = f"{waiting / seconds:.1%} of the time waiting for photos and {self.telling.unit}s"
            padding = [(one.padding_share, one.rows) for one in trail if one.padding_share is not None and one.rows]
            if padding:
                mean = sum(part * rows for part, rows in padding) / sum(rows for _, rows in padding)
                share += f"; {mean:.1%} of what the model saw is padding"
            console.say(f"grounding: {photos / seconds:.1f} photos a second and process, {share}")
