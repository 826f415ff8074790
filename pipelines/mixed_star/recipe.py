"""``build-mixed-star`` as a table of contents: inputs, plan, partition, shards, manifest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from pipelines import console
from pipelines.dataset import WORK, Existing, claim_output, config_hash, open_output
from pipelines.execution import executor
from pipelines.mixed_star.config import MixedStarConfig
from pipelines.mixed_star.partition import (
    PartitionContext,
    PartitionDone,
    PartitionTask,
    partition_tasks,
    run_partition,
)
from pipelines.mixed_star.plan import Plan, check_not_empty, make_plan
from pipelines.mixed_star.shard import ShardContext, build_shard
from pipelines.sources import licence_of
from xdetr_data.accounting import Tally
from xdetr_data.manifest import (
    MANIFEST,
    ExclusionEntry,
    InputEntry,
    Manifest,
    ShardEntry,
    read_manifest,
    tool_version,
    write_manifest,
)
from xdetr_data.readers.exclusions import SOURCES, ExclusionList, read_exclusion
from xdetr_data.readers.json_stream import input_bytes, is_compressed
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import FileEntry, ShardStats, read_stats, write_rejects
from xdetr_data.storage import Folder, file_identity

Run = Callable[..., Iterator[Any]]


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
        claim_output(out, prepared.digest)
        if out.exists(MANIFEST):
            console.say(f"{out.url}: already complete, nothing to do")
            return read_manifest(out)
        out.sweep()
        partitions = _partition(prepared, out, run)
        shards = _build_shards(prepared, out, [task.spill for task, _ in partitions], run)
    manifest = _finish(prepared, out, [done for _, done in partitions], shards)
    out.remove(WORK)
    out.sweep()
    return manifest


def prepare(config: MixedStarConfig, run: Run) -> Prepared:
    """Checks the options, reads the ids of every input, and plans."""
    config.check()
    lists = [read_exclusion(*_exclusion_source(text)) for text in config.exclude]
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
    with console.progress("hashing inputs", len(roles)) as advance:
        inputs = [_advanced(one, advance) for one in run(_identify, None, roles)]
    order = {role_path: position for position, role_path in enumerate(roles)}
    inputs.sort(key=lambda one: order[one.role, one.path])
    unplaced = msgspec.structs.replace(config, mdetr=(), coco_instances=(), image_roots={}, exclude=())
    digest = config_hash([unplaced, [one.label for one in plan.inputs]], inputs, plan.digest)
    return Prepared(config=config, inputs=inputs, lists=lists, plan=plan, digest=digest)


def _exclusion_source(text: str) -> tuple[str, str | None]:
    source, sign, path = text.partition("=")
    return (path, source) if sign and source in SOURCES else (text, None)


def _identify(_: None, role_path: tuple[str, str]) -> InputEntry:
    role, path = role_path
    size, sha256 = file_identity(path)
    return InputEntry(role=role, path=path, bytes=size, sha256=sha256, licence=licence_of(path))


def _advanced(value: Any, advance: Callable[[int], None]) -> Any:
    advance(1)
    return value


def _partition(prepared: Prepared, out: Folder, run: Run) -> list[tuple[PartitionTask, PartitionDone]]:
    plan = prepared.plan
    tasks = partition_tasks(plan)
    done = {task.number: _partition_done(out, task, prepared.digest) for task in tasks}
    missing = [task for task in tasks if done[task.number] is None]
    context = PartitionContext(
        out=out,
        config_hash=prepared.digest,
        inputs=plan.inputs,
        shard=plan.shard,
        coco_ids=plan.coco_ids,
        coco_rows=plan.coco_rows,
    )
    with console.progress("partitioning", len(tasks)) as advance:
        advance(len(tasks) - len(missing))
        for result in run(run_partition, context, missing):
            done[result.number] = _advanced(result, advance)
    return [(task, result) for task in tasks if (result := done[task.number]) is not None]


def _partition_done(out: Folder, task: PartitionTask, digest: str) -> PartitionDone | None:
    name = f"{task.spill}.done.json"
    if not out.exists(name):
        return None
    done = msgspec.json.decode(out.read(name), type=PartitionDone)
    return done if done.config_hash == digest else None


def _build_shards(prepared: Prepared, out: Folder, spills: list[str], run: Run) -> list[ShardStats]:
    config, plan = prepared.config, prepared.plan
    found = {shard: read_stats(out, config.prefix, shard) for shard in range(plan.shards)}
    done = {shard: one for shard, one in found.items() if one is not None and one.config_hash == prepared.digest}
    missing = [shard for shard in range(plan.shards) if shard not in done]
    if done:
        console.say(f"resuming: {len(done)} of {plan.shards} shards are done")
    context = ShardContext(
        out=out,
        config=config,
        config_hash=prepared.digest,
        photos=plan.photos,
        labels=[one.label for one in plan.inputs],
        spills=spills,
    )
    with console.progress("building shards", plan.shards) as advance:
        advance(len(done))
        for stats in run(build_shard, context, missing):
            done[stats.shard] = _advanced(stats, advance)
    return [done[shard] for shard in range(plan.shards)]


def _finish(prepared: Prepared, out: Folder, partitions: list[PartitionDone], shards: list[ShardStats]) -> Manifest:
    """Adds up the accounts, refuses to finish where they do not balance, and writes the manifest."""
    tally = Tally()
    for accounting in [
        prepared.plan.tally.to_builtins(),
        *(one.accounting for one in partitions),
        *(one.accounting for one in shards),
    ]:
        tally.add(Tally.from_builtins(accounting))
    tally.check()
    plan_rejects: FileEntry = write_rejects(out, "rejects/plan.parquet", prepared.plan.rejects)
    config = prepared.config
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
        accounting=tally.to_builtins(),
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
