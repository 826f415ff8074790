"""``build-mixed-star`` as a table of contents: inputs, plan, partition, shards, manifest."""

from dataclasses import dataclass

import msgspec

from pipelines import console
from pipelines.dataset import Existing, claim_output, close_output, config_hash, open_output
from pipelines.execution import Executor, executor
from pipelines.job import PartitionDone, add_up, exclusion_source, identify_inputs, run_partitions, run_shards
from pipelines.mixed_star.config import MixedStarConfig
from pipelines.mixed_star.partition import PartitionContext, partition_tasks, run_partition
from pipelines.mixed_star.plan import Plan, check_not_empty, make_plan
from pipelines.mixed_star.shard import ShardContext, build_shard
from pipelines.sources import licence_of
from xdetr_data.manifest import (
    ExclusionEntry,
    InputEntry,
    Manifest,
    ShardEntry,
    tool_version,
    write_manifest,
)
from xdetr_data.readers.exclusions import ExclusionList, read_exclusion
from xdetr_data.readers.json_stream import input_bytes, is_compressed
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import FileEntry, ShardStats, write_rejects
from xdetr_data.storage import Folder


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
    manifest = _finish(prepared, out, partitions, shards)
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
    check_not_empty(plan)
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


def _finish(prepared: Prepared, out: Folder, partitions: list[PartitionDone], shards: list[ShardStats]) -> Manifest:
    """Adds up the accounts, refuses to finish where they do not balance, and writes the manifest."""
    config, plan = prepared.config, prepared.plan
    accounting = add_up(plan.tally, [*partitions, *shards])
    plan_rejects: FileEntry = write_rejects(out, "rejects/plan.parquet", plan.rejects)
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        recipe="build-mixed-star",
        tool_version=tool_version(),
        prefix=config.prefix,
        split=config.split,
        seed=config.seed,
        config=msgspec.to_builtins(config),
        config_hash=prepared.digest,
        inputs=prepared.inputs,
        exclusions=ledger_entries(prepared),
        accounting=accounting,
        rows=sum(one.rows for one in shards),
        shards=[ShardEntry(shard=one.shard, rows=one.rows, files=one.files) for one in shards],
        rejects=[plan_rejects, *(one.rejects for one in partitions)],
    )
    write_manifest(out, manifest)
    return manifest


def ledger_entries(prepared: Prepared) -> list[ExclusionEntry]:
    """The excluded-photo ledger of a prepared build."""
    hits = prepared.plan.ledger.hits
    return [
        ExclusionEntry(path=one.path, format=one.format, ids=one.size, hits=hits[one.path]) for one in prepared.lists
    ]
