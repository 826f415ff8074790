"""What every recipe's run has in common: partitions and shards that are done stay done, and the account at the end."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from pipelines import console
from pipelines.dataset import has_files
from pipelines.execution import Executor
from xdetr_data.accounting import Tally
from xdetr_data.manifest import InputEntry
from xdetr_data.readers.exclusions import SOURCES
from xdetr_data.shards.writer import FileEntry, ShardStats, read_stats, write_stats
from xdetr_data.storage import Folder, file_identity

# What decoding a done-marker raises that somebody cut short or changed: what it marks is not done.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class Task(Protocol):
    """A partition task: its number in the plan, and the spill that it writes."""

    @property
    def number(self) -> int:
        """Position among the tasks."""

    @property
    def spill(self) -> str:
        """Name of the spill."""


class PartitionDone(msgspec.Struct, frozen=True, kw_only=True):
    """The done-marker of a partition task; ``shard_of_batch`` is the spill's index."""

    number: int
    shard_of_batch: list[int]
    accounting: dict[str, Any]
    rejects: FileEntry
    config_hash: str


def advanced(value: Any, advance: Callable[[int], None]) -> Any:
    """Moves a progress bar by one and hands the value on."""
    advance(1)
    return value


def exclusion_source(text: str) -> tuple[str, str | None]:
    """``coco=FILE`` or ``FILE`` of an ``--exclude`` flag → file and source."""
    source, sign, path = text.partition("=")
    return (path, source) if sign and source in SOURCES else (text, None)


def identify_inputs(
    roles: Sequence[tuple[str, str]], run: Executor, licence_of: Callable[[str], str | None]
) -> list[InputEntry]:
    """Size, sha256 and licence of every (role, path), in their order; files are read in parallel."""
    with console.progress("hashing inputs", len(roles)) as advance:
        found = {entry: advanced(size_sha, advance) for entry, size_sha in run(_identify, None, list(roles))}
    return [
        InputEntry(
            role=role, path=path, bytes=found[role, path][0], sha256=found[role, path][1], licence=licence_of(path)
        )
        for role, path in roles
    ]


def _identify(_: None, role_path: tuple[str, str]) -> tuple[tuple[str, str], tuple[int, str]]:
    return role_path, file_identity(role_path[1])


def run_partitions(
    out: Folder, tasks: Sequence[Task], digest: str, run: Executor, work: Callable[..., PartitionDone], context: object
) -> list[PartitionDone]:
    """Runs the partition tasks that are not done under this configuration; all their done-markers, in order."""
    done = {task.number: _partition_done(out, task, digest) for task in tasks}
    missing = [task for task in tasks if done[task.number] is None]
    with console.progress("partitioning", len(tasks)) as advance:
        advance(len(tasks) - len(missing))
        for result in run(work, context, missing):
            done[result.number] = advanced(result, advance)
    return [one for task in tasks if (one := done[task.number]) is not None]


def finish_partition(
    out: Folder, task: Task, *, shard_of_batch: list[int], tally: Tally, rejects: FileEntry, config_hash: str
) -> PartitionDone:
    """Writes the done-marker of a partition whose spill and rejects are written."""
    done = PartitionDone(
        number=task.number,
        shard_of_batch=shard_of_batch,
        accounting=tally.to_builtins(),
        rejects=rejects,
        config_hash=config_hash,
    )
    out.write(_marker(task), msgspec.json.encode(done))
    return done


def finish_shard(
    out: Folder,
    prefix: str,
    shard: int,
    *,
    rows: int,
    files: list[FileEntry],
    tally: Tally,
    config_hash: str,
    started: float,
) -> ShardStats:
    """Writes the done-marker of a shard whose files are written; ``started`` is when, by ``time.monotonic``."""
    stats = ShardStats(
        shard=shard,
        rows=rows,
        files=files,
        accounting=tally.to_builtins(),
        config_hash=config_hash,
        seconds=round(time.monotonic() - started, 3),
    )
    write_stats(out, prefix, stats)
    return stats


def _marker(task: Task) -> str:
    return f"{task.spill}.done.json"


def _partition_done(out: Folder, task: Task, digest: str) -> PartitionDone | None:
    name = _marker(task)
    if not (out.exists(name) and out.exists(task.spill)):
        return None
    try:
        done = msgspec.json.decode(out.read(name), type=PartitionDone)
    except UNREADABLE:
        return None
    return done if done.config_hash == digest and has_files(out, [done.rejects]) else None


def run_shards(
    out: Folder,
    prefix: str,
    shards: int,
    digest: str,
    run: Executor,
    work: Callable[..., ShardStats],
    context: object,
    *,
    title: str,
) -> list[ShardStats]:
    """Builds the shards that are not done under this configuration; all their done-markers, in order."""
    return _complete(out, prefix, shards, digest, lambda missing: run(work, context, missing), title)


def run_pool(
    out: Folder,
    prefix: str,
    shards: int,
    digest: str,
    run: Executor,
    make: Callable[..., Callable[[int], ShardStats]],
    context: object,
    *,
    gpus: int,
    title: str,
    watch: Callable[[ShardStats], None],
) -> list[ShardStats]:
    """The same for shards that need a model, which every process of a pool loads once; ``watch`` sees each new one."""

    def build(missing: Sequence[int]) -> Iterator[ShardStats]:
        for stats in run.pool(make, context, missing, gpus=gpus):
            watch(stats)
            yield stats

    return _complete(out, prefix, shards, digest, build, title)


def done_shards(out: Folder, prefix: str, shards: int, digest: str) -> list[ShardStats]:
    """The done-markers of the shards that are done under this configuration, in order."""
    found = (_shard_done(out, prefix, shard, digest) for shard in range(shards))
    return [stats for stats in found if stats is not None]


def _complete(
    out: Folder,
    prefix: str,
    shards: int,
    digest: str,
    build: Callable[[Sequence[int]], Iterator[ShardStats]],
    title: str,
) -> list[ShardStats]:
    done = {stats.shard: stats for stats in done_shards(out, prefix, shards, digest)}
    missing = [shard for shard in range(shards) if shard not in done]
    if done:
        console.say(f"{title}: {len(done)} of {shards} shards are done already")
    with console.progress(title, shards) as advance:
        advance(len(done))
        for stats in build(missing):
            done[stats.shard] = advanced(stats, advance)
    return [done[shard] for shard in range(shards)]


def _shard_done(out: Folder, prefix: str, shard: int, digest: str) -> ShardStats | None:
    try:
        stats = read_stats(out, prefix, shard)
    except UNREADABLE:
        return None
    done = stats is not None and stats.config_hash == digest and has_files(out, stats.files)
    return stats if done else None


def add_up(plan: Tally, done: Sequence[PartitionDone | ShardStats]) -> dict[str, Any]:
    """The account of the whole run; raises XdetrDataError where it does not balance."""
    tally = Tally()
    tally.add(plan)
    for one in done:
        tally.add(Tally.from_builtins(one.accounting))
    tally.check()
    return tally.to_builtins()
