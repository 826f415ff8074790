"""A run of any recipe, as a table of contents: inputs, plan, partition, (model,) shards, manifest."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pipelines import console
from pipelines.empty_plan import check_not_empty
from pipelines.engine.done import PartitionDone, add_up, done_shards, run_partitions, run_shards
from pipelines.engine.partition import PartitionContext, partition_tasks, run_partition
from pipelines.engine.plan import Plan, make_plan
from pipelines.engine.recipe import Recipe, Samples
from pipelines.engine.shards import BuiltSamples, ShardContext, ShardElements, build_shard
from pipelines.execution import Executor, executor
from pipelines.folder import Existing, choice_hash, claim_output, config_hash, finish_output, open_output
from pipelines.inputs import identify_inputs
from pipelines.lock import locked
from pipelines.machine import Mixture, machines_of
from pipelines.recipe_options import deciding
from pipelines.status import telling_status
from xdetr_data.manifest import ExclusionEntry, InputEntry, Manifest, tool_version
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import ShardStats, write_rejects
from xdetr_data.sources.contributions import silent
from xdetr_data.sources.places import NoPhotos
from xdetr_data.storage import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that is ready to start: what will happen, and the hashes that name it (``digest``: the whole of it;
    ``base_digest``: without the options that only choose labels from a model's trail)."""

    recipe: Recipe
    inputs: list[InputEntry]
    plan: Plan
    models: dict[str, str]
    base_digest: str
    digest: str

    @property
    def exclusions(self) -> list[ExclusionEntry]:
        """The excluded-photo ledger: a line for each ``--exclude`` list."""
        hits, asked = self.plan.ledger.hits, self.plan.ledger.looked_for
        return [
            ExclusionEntry(
                path=one.path, format=one.format, ids=one.size, hits=hits[one.path], looked_for=asked[one.path]
            )
            for one in self.recipe.lists or ()
        ]


def run_recipe(
    recipe: Recipe, out: Folder, *, workers: int, existing: Existing, gpus: int = 0, other_machine: bool = False
) -> Manifest:
    """Makes the dataset, or goes on where an earlier run stopped; raises XdetrDataError in one line.

    A model works on ``gpus``, and goes on on another kind of machine only with ``other_machine``.
    """
    if recipe.model is not None:
        recipe.model.check(workers, gpus)
    open_output(out, existing)
    with executor(workers) as run:
        prepared = prepare(recipe, run)
        with locked(out):
            finished = claim_output(out, prepared.digest, existing)
            return make(prepared, out, run, gpus, other_machine) if finished is None else finished


def make(prepared: Prepared, out: Folder, run: Executor, gpus: int, other_machine: bool) -> Manifest:
    """Makes the dataset in a folder that is claimed for it."""
    recipe, plan, digest = prepared.recipe, prepared.plan, prepared.digest
    with telling_status(out):
        partitions, elements = _partition(prepared, out, run)
        trail, samples = _trail(prepared, out, elements, run, gpus, other_machine)
        context = ShardContext(out=out, prefix=recipe.prefix, config_hash=digest, samples=samples, tables=recipe.tables)
        title = "building shards" if recipe.model is None else "choosing labels"
        build = functools.partial(run, build_shard, context)
        shards = run_shards(out, recipe.prefix, digest, build, title=title, photos=plan.per_shard)
        manifest = _manifest(prepared, out, partitions, trail, shards)
        finish_output(out, manifest)
    return manifest


def prepare(recipe: Recipe, run: Executor) -> Prepared:
    """Checks options and models, reads the ids of every input, and plans."""
    models = {} if recipe.model is None else recipe.model.fingerprints()
    lists = recipe.lists or ()
    if recipe.lists is not None and not lists:
        console.warn("no --exclude list: photos of benchmark splits (RefCOCO, LVIS, Flickr30k) may be trained on")
    plan = make_plan(recipe, run)
    task = "build from" if recipe.model is None else "label"
    check_not_empty(plan, task, nothing=recipe.nothing, remedy=recipe.remedy)
    roles = [(source.role, source.path) for source in recipe.sources]
    lists_of = [*(("exclude", one.path) for one in lists), *recipe.options.like_inputs()]
    inputs = identify_inputs([*roles, *lists_of, *recipe.others], run)
    options = deciding(recipe.options)
    chosen_by = None if recipe.model is None else options.pop(recipe.model.chosen_by)
    labels = [source.label for source in recipe.sources]
    base = config_hash([recipe.name, options, labels, models], inputs, plan.digest)
    digest = base if recipe.model is None else choice_hash(base, chosen_by)
    return Prepared(recipe=recipe, inputs=inputs, plan=plan, models=models, base_digest=base, digest=digest)


def _partition(prepared: Prepared, out: Folder, run: Executor) -> tuple[list[PartitionDone], ShardElements]:
    plan = prepared.plan
    tasks = partition_tasks(plan.inputs)
    context = PartitionContext(
        out=out, config_hash=prepared.base_digest, inputs=plan.inputs, shard=plan.shard, index=plan.index
    )
    done = run_partitions(out, tasks, prepared.base_digest, run, run_partition, context)
    spills: dict[int, list[str]] = {}
    for task in tasks:
        spills.setdefault(task.file, []).append(task.spill)
    return done, ShardElements(
        out=out, photos=plan.photos, shard=plan.shard, sources=prepared.recipe.sources, spills=spills
    )


def _trail(
    prepared: Prepared, out: Folder, elements: ShardElements, run: Executor, gpus: int, other_machine: bool
) -> tuple[list[ShardStats], Samples]:
    """The shards of the model's trail and the samples chosen from it; or without a model none, and those built."""
    recipe, model = prepared.recipe, prepared.recipe.model
    if model is None:
        assert recipe.build is not None
        has_photos = not isinstance(recipe.photos, NoPhotos)
        return [], BuiltSamples(elements=elements, build=recipe.build, options=recipe.options, has_photos=has_photos)
    digest, shards = prepared.base_digest, prepared.plan.shards
    begun_on = machines_of(done_shards(out, model.prefix, shards, digest))
    mixture = Mixture(begun_on)
    context = model.context(out, elements, digest, [] if other_machine else begun_on, run.on_a_node(gpus))

    def ground(missing: Sequence[int]) -> Iterator[ShardStats]:
        return map(mixture.watched, run.pool(model.make(), context, missing, gpus=gpus))

    trail = run_shards(out, model.prefix, digest, ground, title=model.title, photos=prepared.plan.per_shard)
    model.say(trail)
    return trail, model.samples(out)


def _manifest(
    prepared: Prepared,
    out: Folder,
    partitions: Sequence[PartitionDone],
    trail: Sequence[ShardStats],
    shards: Sequence[ShardStats],
) -> Manifest:
    """Adds up the accounts; raises XdetrDataError where they do not balance."""
    recipe, plan = prepared.recipe, prepared.plan
    accounting = add_up(plan.tally, [*partitions, *trail, *shards])
    plan_rejects = write_rejects(out, "rejects/plan.parquet", plan.rejects)
    options: dict[str, Any] = msgspec.to_builtins(recipe.options)
    return Manifest(
        schema=SCHEMA_VERSION,
        recipe=recipe.name,
        tool_version=tool_version(),
        prefix=recipe.prefix,
        split=recipe.options.split,
        seed=recipe.options.seed,
        config=options | ({"models": prepared.models} if prepared.models else {}),
        config_hash=prepared.digest,
        inputs=prepared.inputs,
        exclusions=prepared.exclusions,
        accounting=accounting,
        rows=sum(one.rows for one in shards),
        shards=[one.entry for one in shards],
        rejects=[plan_rejects, *(one.rejects for one in partitions)],
        trail_prefix="" if recipe.model is None else recipe.model.prefix,
        trail=[one.entry for one in trail],
        machines=machines_of(trail),
        layers=msgspec.UNSET if recipe.kept is None else recipe.kept.layers_of(plan.shards),
        warnings=silent(plan.inputs, recipe.photos, plan.index, plan.photos, accounting.get("inputs", {})),
    )
