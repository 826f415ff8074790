"""Partition of a captions build: every line goes, as it stands, to the spill of its photo's shard."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.captions.plan import BEYOND_LIMIT, NO_PHOTO, PHOTO_REJECTED, Codes, Hashes, Plan, TsvInput, line_hashes
from pipelines.job import PartitionDone, finish_partition
from pipelines.partitioning import PartitionTask, cut_tasks, read_again
from xdetr_data.accounting import Tally
from xdetr_data.record import Rejected
from xdetr_data.shards.spill import SpillWriter
from xdetr_data.shards.writer import entry, rejects_writer
from xdetr_data.sources.framing.lines import iter_line_chunks, split_lines
from xdetr_data.storage import Folder

STAGE = "partition"
UNREADABLE = "unreadable-caption"
CAPTIONS = 0  # the kind of a spilled row

# Rows that a photo's own reject explains are only counted; a dead link is a reject of its own.
_REASONS = {
    PHOTO_REJECTED: (STAGE, "photo-rejected"),
    BEYOND_LIMIT: ("limit", "beyond-limit"),
    NO_PHOTO: (STAGE, "no-photo"),
}


def line_ref(label: str, line: int) -> str:
    """What rejects and records call a line (counted from 0) of a TSV: ``train#L2`` is the second."""
    return f"{label}#L{line + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionContext:
    """What every partition task shares."""

    out: Folder
    config_hash: str
    inputs: list[TsvInput]
    shard: Codes
    url_hashes: Hashes
    photo_of_hash: Codes


def partition_tasks(plan: Plan) -> list[PartitionTask]:
    """Cuts the TSVs into tasks."""
    return cut_tasks([(one.path, one.chunks) for one in plan.inputs])


def run_partition(context: PartitionContext, task: PartitionTask) -> PartitionDone:
    """Writes one spill with its rejects, and then its done-marker."""
    one = context.inputs[task.file]
    tally = Tally()
    with context.out.writing(task.rejects) as rejects_sink:
        with rejects_writer(rejects_sink) as rejects, context.out.writing(task.spill) as spill_sink:
            spill = SpillWriter(spill_sink)
            for chunk in read_again(one.path, one.chunks[task.begin : task.end], lambda: iter_line_chunks(one.path)):
                lines = split_lines(chunk.data)
                hashes, problems = line_hashes(lines)
                codes = _codes(context, hashes)
                for reject in _account(codes, problems, one.label, chunk.first_row, tally):
                    rejects.add(reject)
                kept = np.flatnonzero(codes >= 0)
                spill.add(
                    shard=context.shard[codes[kept]],
                    photo=codes[kept],
                    file=task.file,
                    kind=CAPTIONS,
                    row=chunk.first_row + kept,
                    values=[pa.array([lines[position] for position in kept.tolist()], pa.large_binary())],
                )
            spill.close()
    return finish_partition(
        context.out,
        task,
        shard_of_batch=spill.shard_of_batch,
        tally=tally,
        rejects=entry(task.rejects, rejects_sink),
        config_hash=context.config_hash,
    )


def _codes(context: PartitionContext, hashes: Hashes) -> Codes:
    """Row of the photo of each line, or why there is none; an unreadable line's hash is no photo's."""
    at = np.minimum(np.searchsorted(context.url_hashes, hashes), len(context.url_hashes) - 1)
    return np.where(context.url_hashes[at] == hashes, context.photo_of_hash[at], NO_PHOTO).astype(np.int32)


def _account(codes: Codes, problems: dict[int, str], label: str, first_row: int, tally: Tally) -> Iterator[Rejected]:
    """Counts the lines that have no photo."""
    for position, problem in problems.items():
        tally.rejected("caption", STAGE, UNREADABLE)
        where = line_ref(label, first_row + position)
        yield Rejected(key="", unit="caption", stage=STAGE, reason=UNREADABLE, detail=problem, input_ref=where)
    for code, (stage, reason) in _REASONS.items():
        positions = [position for position in np.flatnonzero(codes == code).tolist() if position not in problems]
        if not positions:
            continue
        tally.rejected("caption", stage, reason, len(positions))
        if code == NO_PHOTO:
            for position in positions:
                where = line_ref(label, first_row + position)
                yield Rejected(key="", unit="caption", stage=stage, reason=reason, input_ref=where)
