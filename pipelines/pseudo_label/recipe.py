"""``pseudo-label locnar`` as a table of contents: inputs, plan, partition, ground, label, manifest."""

from dataclasses import dataclass, replace

import msgspec

from pipelines import console
from pipelines.build import check_not_empty, finish_build, ledger_entries
from pipelines.dataset import Existing, claim_output, close_output, config_hash, open_output
from pipelines.execution import Executor, executor
from pipelines.job import done_shards, exclusion_source, identify_inputs, run_partitions, run_pool, run_shards
from pipelines.machine import DescribeMachine, Mixture, machines_of, this_machine
from pipelines.pseudo_label.config import PseudoLabelConfig, label_digest
from pipelines.pseudo_label.ground_shard import GROUND_PREFIX, GroundContext, make_ground_worker
from pipelines.pseudo_label.grounding import LoadGrounder
from pipelines.pseudo_label.label_shard import LabelContext, label_shard
from pipelines.pseudo_label.models import load_grounder
from pipelines.pseudo_label.partition import (
    box_spills,
    narrative_spills,
    partition_context,
    partition_tasks,
    run_partition,
)
from pipelines.pseudo_label.plan import Plan, make_plan
from pipelines.sources import licence_of
from xdetr_data.errors import ConfigError
from xdetr_data.manifest import InputEntry, Manifest
from xdetr_data.readers.exclusions import ExclusionList, read_exclusion
from xdetr_data.readers.openimages import read_class_names
from xdetr_data.shards.writer import ShardStats
from xdetr_data.stages.noun_phrases import NounPhrases
from xdetr_data.storage import Folder

RECIPE = "pseudo-label locnar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that is ready to start. ``models``: fingerprints of the language pipeline and of the checkpoint."""

    config: PseudoLabelConfig
    inputs: list[InputEntry]
    lists: list[ExclusionList]
    plan: Plan
    models: dict[str, str]
    ground_digest: str

    @property
    def digest(self) -> str:
        """Hash of the whole configuration."""
        return label_digest(self.ground_digest, self.config.labels)


def pseudo_label(
    config: PseudoLabelConfig,
    out: Folder,
    *,
    workers: int,
    gpus: int,
    existing: Existing,
    other_machine: bool = False,
    load: LoadGrounder = load_grounder,
    machine: DescribeMachine = this_machine,
) -> Manifest:
    """Labels the narratives' photos, or goes on where an earlier run stopped; raises XdetrDataError in one line.

    ``load`` gives each process its grounder, ``machine`` the kind of machine that it runs on; a run goes on on another
    kind only with ``other_machine``.
    """
    _check_gpus(config, workers=workers, gpus=gpus)
    open_output(out, existing)
    with executor(workers) as run:
        prepared = prepare(config, run, load)
        if (finished := claim_output(out, prepared.digest, existing)) is not None:
            return finished
        plan, ground_digest = prepared.plan, prepared.ground_digest
        tasks = partition_tasks(plan)
        work = partition_context(plan, out, ground_digest)
        partitions = run_partitions(out, tasks, ground_digest, run, run_partition, work)
        context = GroundContext(
            out=out,
            config=config,
            config_hash=ground_digest,
            photos=plan.photos,
            labels=plan.labels,
            narrative_spills=narrative_spills(plan, tasks),
            box_spills=box_spills(plan, tasks),
            class_names={} if config.class_descriptions is None else read_class_names(config.class_descriptions),
            load=load,
            machine=machine,
        )
        grounded = _ground(context, plan.shards, run, gpus=gpus, other_machine=other_machine)
        _say_speed(grounded)
        labels = LabelContext(
            out=out, prefix=config.prefix, config_hash=prepared.digest, rule=config.labels.rule(), photos_from=None
        )
        labelled = run_shards(
            out, config.prefix, plan.shards, prepared.digest, run, label_shard, labels, title="choosing labels"
        )
    manifest = finish_build(
        out,
        recipe=RECIPE,
        config=config,
        prefix=config.prefix,
        digest=prepared.digest,
        inputs=prepared.inputs,
        exclusions=ledger_entries(prepared.lists, plan.ledger),
        tally=plan.tally,
        rejects=plan.rejects,
        partitions=partitions,
        shards=labelled,
        models=prepared.models,
        trail_prefix=GROUND_PREFIX,
        trail=grounded,
    )
    close_output(out)
    return manifest


def _ground(context: GroundContext, shards: int, run: Executor, *, gpus: int, other_machine: bool) -> list[ShardStats]:
    """The audit trail of every shard. Raises ConfigError where some are done, and this is another kind of machine."""
    out, digest = context.out, context.config_hash
    begun_on = machines_of(done_shards(out, GROUND_PREFIX, shards, digest))
    return run_pool(
        out,
        GROUND_PREFIX,
        shards,
        digest,
        run,
        make_ground_worker,
        context if other_machine else replace(context, begun_on=begun_on),
        gpus=gpus,
        title="grounding",
        watch=Mixture(begun_on).watch,
    )


def _check_gpus(config: PseudoLabelConfig, *, workers: int, gpus: int) -> None:
    """Raises ConfigError where ``gpus`` contradicts another option."""
    if gpus and workers == 0:
        raise ConfigError(f"--gpus {gpus} needs processes of their own: leave --workers 0 out")
    if gpus and config.device == "cpu":
        raise ConfigError(f"--gpus {gpus} and --device cpu contradict each other")


def prepare(config: PseudoLabelConfig, run: Executor, load: LoadGrounder = load_grounder) -> Prepared:
    """Checks options and models, reads the ids of every input, and plans."""
    config.check()
    models = _models(config, load)
    lists = [read_exclusion(*exclusion_source(text)) for text in config.exclude]
    if not lists:
        console.warn("no --exclude list: photos of benchmark splits may be trained on")
    roles = [
        *(("narratives", path) for path in config.narratives),
        *(("boxes", path) for path in config.boxes),
        *(("exclude", one.path) for one in lists),
    ]
    if config.class_descriptions is not None:
        roles.append(("class-descriptions", config.class_descriptions))
    with console.progress("reading ids", 1) as advance:
        plan = make_plan(
            narratives=config.narratives,
            boxes=config.boxes,
            image_roots=config.images,
            lists=lists,
            seed=config.seed,
            limit=config.limit,
            shard_bytes=config.shard_bytes,
            run=run,
        )
        advance(1)
    check_not_empty(
        plan.photos.num_rows,
        plan.tally,
        task="label",
        nothing="the inputs hold no narrative",
        remedy="check --narratives, --images, --exclude and --limit",
    )
    inputs = identify_inputs(roles, run, licence_of)
    unplaced = msgspec.structs.replace(
        config, ckpt="", narratives=(), images={}, boxes=(), class_descriptions=None, exclude=(), labels=None
    )
    digest = config_hash([unplaced, plan.labels, models], inputs, plan.digest)
    return Prepared(config=config, inputs=inputs, lists=lists, plan=plan, models=models, ground_digest=digest)


def _models(config: PseudoLabelConfig, load: LoadGrounder) -> dict[str, str]:
    """Loads both models once here, so that a wrong name ends the run before its work begins."""
    nouns = NounPhrases(config.spacy_model)
    nouns.load()
    grounder = load(config.ckpt, device="cpu", precision=config.precision, batch_size=1)
    return {"language": nouns.fingerprint, "grounder": grounder.fingerprint()}


def _say_speed(grounded: list[ShardStats]) -> None:
    """How fast the model was, and how long it waited for its input; each shard's own figures are in its stats.json."""
    seconds = sum(one.seconds for one in grounded)
    if seconds:
        photos = sum((one.photos_per_second or 0.0) * one.seconds for one in grounded)
        waiting = sum((one.waiting_share or 0.0) * one.seconds for one in grounded)
        share = f"{waiting / seconds:.1%} of the time waiting for photos and narratives"
        console.say(f"grounding: {photos / seconds:.1f} photos a second and process, {share}")
