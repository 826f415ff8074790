"""What is done stays done: the markers of partitions and shards, and the parts of a run that are repeated for them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from pipelines import console
from pipelines.execution import Executor
from pipelines.folder import WORK, has_files
from pipelines.progress import watched
from xdetr_data.accounting import Tally, total
from xdetr_data.shards.writer import ShardStats, read_stats, shard_name
from xdetr_data.storage import FileEntry, Folder

# What decoding a done-marker raises that somebody cut short or changed: what it marks is not done.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class PartitionTask(msgspec.Struct, frozen=True, kw_only=True):
    """Some chunks of one input."""

    number: int
    file: int
    begin: int
    end: int

    @property
    def spill(self) -> str:
        """Name of the spill that the task writes."""
        return f"{WORK}/spill-{self.number:05d}.arrow"

    @property
    def marker(self) -> str:
        """Name of its done-marker, which is the spill's index, too."""
        return f"{self.spill}.done.json"

    @property
    def rejects(self) -> str:
        """Name of the file of rejects that the task writes."""
        return f"rejects/partition-{self.number:05d}.parquet"


class PartitionDone(msgspec.Struct, frozen=True, kw_only=True):
    """The done-marker of a partition task; ``shard_of_batch`` is the spill's index."""

    number: int
    shard_of_batch: list[int]
    accounting: dict[str, Any]
    rejects: FileEntry
    config_hash: str

    def __post_init__(self) -> None:
        """Raises XdetrDataError where the accounting is none."""
        Tally.from_builtins(self.accounting)


def run_partitions(
    out: Folder,
    tasks: Sequence[PartitionTask],
    digest: str,
    run: Executor,
    work: Callable[..., PartitionDone],
    context: object,
) -> list[PartitionDone]:
    """Runs the partition tasks that are not done under this configuration; all their done-markers, in order."""
    done = {task.number: _partition_done(out, task, digest) for task in tasks}
    missing = [task for task in tasks if done[task.number] is None]
    with console.progress("partitioning", len(tasks)) as advance:
        advance(len(tasks) - len(missing))
        for result in run(work, context, missing):
            done[result.number] = result
            advance(1)
    return [one for task in tasks if (one := done[task.number]) is not None]


def _partition_done(out: Folder, task: PartitionTask, digest: str) -> PartitionDone | None:
    if not (out.exists(task.marker) and out.exists(task.spill)):
        return None
    try:
        done = msgspec.json.decode(out.read(task.marker), type=PartitionDone)
    except UNREADABLE:
        return None
    return done if done.config_hash == digest and has_files(out, [done.rejects]) else None


def run_shards(
    out: Folder,
    prefix: str,
    digest: str,
    build: Callable[[Sequence[int]], Iterator[ShardStats]],
    *,
    title: str,
    photos: Sequence[int],
) -> list[ShardStats]:
    """Has the shards built that are not done under this configuration; all their done-markers, in order.

    ``photos`` are how many each shard is made from: what progress counts.
    """
    shards = len(photos)
    done = {stats.shard: stats for stats in done_shards(out, prefix, shards, digest)}
    waiting = {shard: shard_name(prefix, shard) for shard in range(shards) if shard not in done}
    if done:
        console.say(f"{title}: {len(done)} of {shards} shards are done already")
    with console.progress(title, sum(photos), unit="photos") as stage, watched(out, stage, waiting):
        stage.keep(sum(photos[shard] for shard in done))
        for stats in build(list(waiting)):
            done[stats.shard] = stats
            del waiting[stats.shard]
            rejected = Tally.from_builtins(stats.accounting).total_rejected("photo")
            console.detail(f"{shard_name(prefix, stats.shard)}: {stats.rows:,} samples in {stats.seconds:.1f} s")
            stage.finish(photos[stats.shard], rejected=rejected, written=sum(file.bytes for file in stats.files))
    return [done[shard] for shard in range(shards)]


def done_shards(out: Folder, prefix: str, shards: int, digest: str) -> list[ShardStats]:
    """The done-markers of the shards that are done under this configuration, in order."""
    found = (_shard_done(out, prefix, shard, digest) for shard in range(shards))
    return [stats for stats in found if stats is not None]


def _shard_done(out: Folder, prefix: str, shard: int, digest: str) -> ShardStats | None:
    try:
        stats = read_stats(out, prefix, shard)
    except UNREADABLE:
        return None
    done = stats is not None and stats.config_hash == digest and has_files(out, stats.files)
    return stats if done else None


def add_up(plan: Tally, done: Sequence[PartitionDone | ShardStats]) -> dict[str, Any]:
    """The account of the whole run; raises XdetrDataError where it does not balance."""
    tally = total([plan, *(Tally.from_builtins(one.accounting) for one in done)])
    tally.check()
    return tally.to_builtins()
