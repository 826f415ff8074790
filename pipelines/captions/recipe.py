"""``build captions`` as a table of contents: inputs, plan, partition, shards, manifest."""

from dataclasses import dataclass

import msgspec

from pipelines.build import check_not_empty, finish_build
from pipelines.captions.config import CaptionsConfig
from pipelines.captions.partition import PartitionContext, partition_tasks, run_partition
from pipelines.captions.plan import Plan, make_plan
from pipelines.captions.shard import ShardContext, build_shard
from pipelines.dataset import Existing, claim_output, close_output, config_hash, open_output
from pipelines.execution import Executor, executor
from pipelines.job import identify_inputs, run_partitions, run_shards
from pipelines.sources import licence_of
from xdetr_data.manifest import InputEntry, Manifest
from xdetr_data.storage import Folder

RECIPE = "build captions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A build that is ready to start: what will happen, and the hash that names it."""

    config: CaptionsConfig
    inputs: list[InputEntry]
    plan: Plan
    digest: str


def build_captions(config: CaptionsConfig, out: Folder, *, workers: int, existing: Existing) -> Manifest:
    """Builds the dataset, or goes on where an earlier run stopped; raises XdetrDataError in one line."""
    open_output(out, existing)
    with executor(workers) as run:
        prepared = prepare(config, run)
        if (finished := claim_output(out, prepared.digest, existing)) is not None:
            return finished
        plan, digest = prepared.plan, prepared.digest
        tasks = partition_tasks(plan)
        work = PartitionContext(
            out=out,
            config_hash=digest,
            inputs=plan.inputs,
            shard=plan.shard,
            url_hashes=plan.url_hashes,
            photo_of_hash=plan.photo_of_hash,
        )
        partitions = run_partitions(out, tasks, digest, run, run_partition, work)
        context = ShardContext(
            out=out,
            prefix=config.prefix,
            source=config.source,
            config_hash=digest,
            photos=plan.photos,
            labels=[one.label for one in plan.inputs],
            spills=[task.spill for task in tasks],
        )
        shards = run_shards(out, config.prefix, plan.shards, digest, run, build_shard, context, title="building shards")
    manifest = finish_build(
        out,
        recipe=RECIPE,
        config=config,
        prefix=config.prefix,
        digest=digest,
        inputs=prepared.inputs,
        exclusions=[],
        tally=plan.tally,
        rejects=plan.rejects,
        partitions=partitions,
        shards=shards,
    )
    close_output(out)
    return manifest


def prepare(config: CaptionsConfig, run: Executor) -> Prepared:
    """Checks the options, reads the addresses of every input, and plans.

    The tars are known by the keys, sizes and addresses of their photos, which the plan's digest holds: hashing the
    photos of a whole web set would cost as much as building it.
    """
    config.check()
    plan = make_plan(config, run)
    check_not_empty(
        plan.photos.num_rows,
        plan.tally,
        task="build from",
        nothing="the tars hold no photo",
        remedy="do --tsv and --images belong together?",
    )
    inputs = identify_inputs([("tsv", path) for path in config.tsv], run, licence_of)
    unplaced = msgspec.structs.replace(config, tsv=(), images=())
    digest = config_hash([RECIPE, unplaced, [one.label for one in plan.inputs]], inputs, plan.digest)
    return Prepared(config=config, inputs=inputs, plan=plan, digest=digest)
