"""``build-mixed-star`` as a table of contents: inputs, plan, partition, shards, manifest."""

from dataclasses import dataclass

import msgspec

from pipelines import console
from pipelines.build import check_not_empty, finish_build, ledger_entries
from pipelines.dataset import Existing, claim_output, close_output, config_hash, open_output
from pipelines.execution import Executor, executor
from pipelines.job import exclusion_source, identify_inputs, run_partitions, run_shards
from pipelines.mixed_star.config import MixedStarConfig
from pipelines.mixed_star.partition import PartitionContext, partition_tasks, run_partition
from pipelines.mixed_star.plan import Plan, make_plan
from pipelines.mixed_star.shard import ShardContext, build_shard
from pipelines.sources import licence_of
from xdetr_data.manifest import InputEntry, Manifest
from xdetr_data.sources.exclusions import ExclusionList, read_exclusion
from xdetr_data.sources.framing.json_stream import input_bytes, is_compressed
from xdetr_data.storage import Folder

RECIPE = "build-mixed-star"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A build that is ready to start: what will happen, and the hash that names it."""

    config: MixedStarConfig
    inputs: list[InputEntry]
    lists: list[ExclusionList]
    plan: Plan
    digest: str


def build_mixed_star(config: MixedStarConfig, out: Folder, *, workers: int, existing: Existing) -> Manifest:
    """Builds the dataset, or goes on where an earlier run stopped; raises XdetrDataError in one line."""
    open_output(out, existing)
    with executor(workers) as run:
        prepared = prepare(config, run)
        if (finished := claim_output(out, prepared.digest, existing)) is not None:
            return finished
        tasks = partition_tasks(prepared.plan)
        context = _partition_context(prepared, out)
        partitions = run_partitions(out, tasks, prepared.digest, run, run_partition, context)
        shards = run_shards(
            out,
            config.prefix,
            prepared.plan.shards,
            prepared.digest,
            run,
            build_shard,
            _shard_context(prepared, out, [task.spill for task in tasks]),
            title="building shards",
        )
    manifest = finish_build(
        out,
        recipe=RECIPE,
        config=config,
        prefix=config.prefix,
        digest=prepared.digest,
        inputs=prepared.inputs,
        exclusions=ledger_entries(prepared.lists, prepared.plan.ledger),
        tally=prepared.plan.tally,
        rejects=prepared.plan.rejects,
        partitions=partitions,
        shards=shards,
    )
    close_output(out)
    return manifest


def prepare(config: MixedStarConfig, run: Executor) -> Prepared:
    """Checks the options, reads the ids of every input, and plans."""
    config.check()
    lists = [read_exclusion(*exclusion_source(text)) for text in config.exclude]
    if not lists:
        console.warn("no --exclude list: photos of benchmark splits (RefCOCO, LVIS, Flickr30k) may be trained on")
    roles = [
        *(("mdetr", path) for path in config.mdetr),
        *(("coco-instances", path) for path in config.coco_instances),
        *(("exclude", one.path) for one in lists),
    ]
    sizes = {path: input_bytes(path) for role, path in roles if role != "exclude"}
    total = 0 if any(map(is_compressed, sizes)) else sum(sizes.values())
    with console.progress("reading ids", total, is_bytes=True) as advance:
        plan = make_plan(config, lists, advance)
    check_not_empty(
        plan.photos.num_rows,
        plan.tally,
        task="build from",
        nothing="the inputs hold no paragraph",
        remedy="check --mdetr, --exclude and --limit",
    )
    inputs = identify_inputs(roles, run, licence_of)
    unplaced = msgspec.structs.replace(config, mdetr=(), coco_instances=(), image_roots={}, exclude=())
    digest = config_hash([unplaced, [one.label for one in plan.inputs]], inputs, plan.digest)
    return Prepared(config=config, inputs=inputs, lists=lists, plan=plan, digest=digest)


def _partition_context(prepared: Prepared, out: Folder) -> PartitionContext:
    plan = prepared.plan
    return PartitionContext(
        out=out,
        config_hash=prepared.digest,
        inputs=plan.inputs,
        shard=plan.shard,
        coco_ids=plan.coco_ids,
        coco_rows=plan.coco_rows,
    )


def _shard_context(prepared: Prepared, out: Folder, spills: list[str]) -> ShardContext:
    return ShardContext(
        out=out,
        config=prepared.config,
        config_hash=prepared.digest,
        photos=prepared.plan.photos,
        labels=[one.label for one in prepared.plan.inputs],
        spills=spills,
    )
