"""The partition: every element of the inputs goes, as it stands, to the spill of its shard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from pipelines.engine.done import PartitionDone, PartitionTask
from pipelines.engine.plan import InputPlan
from xdetr_data.accounting import Tally
from xdetr_data.record import Rejected
from xdetr_data.shards.photo_index import AMBIGUOUS, BEYOND_LIMIT, EXCLUDED, MISSING, REJECTED, UNKNOWN, Codes, Index
from xdetr_data.shards.spill import PLACE_FIELDS, SpillWriter
from xdetr_data.shards.writer import entry, rejects_writer
from xdetr_data.sources.framing.files import is_compressed
from xdetr_data.sources.protocol import Heads, Kind, Problem, place_of
from xdetr_data.storage import Folder

STAGE = "partition"
TASK_BYTES = 96 << 20

# Why an element has no photo, where the photo's own reject explains it: such elements are only counted.
_EXPLAINED = {
    EXCLUDED: ("exclude_images", "excluded"),
    BEYOND_LIMIT: ("limit", "beyond-limit"),
    MISSING: ("plan", "missing-photo"),
    AMBIGUOUS: ("plan", "ambiguous-photo"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionContext:
    """What every partition task shares; the last three are the plan's."""

    out: Folder
    config_hash: str
    inputs: list[InputPlan]
    shard: Codes
    index: Index


def partition_tasks(inputs: Sequence[InputPlan]) -> list[PartitionTask]:
    """Cuts the inputs into tasks of about ``TASK_BYTES``; a gzip file, which has no middle to start at, is one."""
    tasks: list[PartitionTask] = []
    for file, one in enumerate(inputs):
        begin = size = 0
        for end, chunk in enumerate(one.ranges, 1):
            size += chunk.length
            if end == len(one.ranges) or (size >= TASK_BYTES and not is_compressed(one.source.path)):
                tasks.append(PartitionTask(number=len(tasks), file=file, begin=begin, end=end))
                begin, size = end, 0
    return tasks


def run_partition(context: PartitionContext, task: PartitionTask) -> PartitionDone:
    """Writes one spill with its rejects, and then its done-marker."""
    one = context.inputs[task.file]
    source = one.source
    tally = Tally()
    with context.out.writing(task.rejects) as rejects_sink:
        with rejects_writer(rejects_sink) as rejects, context.out.writing(task.spill) as spill_sink:
            spill = SpillWriter(
                spill_sink, pa.schema([*PLACE_FIELDS, *source.schema]), buffer_bytes=source.buffer_bytes
            )
            for chunk in source.chunks_again(one.ranges[task.begin : task.end]):
                number = source.kind_of(chunk.name)
                kind = source.kinds[number]
                rows = np.arange(chunk.first_row, chunk.first_row + chunk.count)
                heads = None if kind.introduces else source.heads(chunk)
                rows, codes = (
                    (rows, one.photo_of_row[rows]) if heads is None else (heads.row, _codes(context, one, heads))
                )
                for reject in _account(kind, rows, codes, {} if heads is None else heads.problems, source.label, tally):
                    rejects.add(reject)
                kept = np.flatnonzero(codes >= 0)
                values = source.values(chunk, heads)
                spill.add(
                    shard=context.shard[codes[kept]],
                    photo=codes[kept],
                    file=task.file,
                    kind=number,
                    row=rows[kept],
                    values=values if len(kept) == len(rows) else [column.take(pa.array(kept)) for column in values],
                )
            spill.close()
    done = PartitionDone(
        number=task.number,
        shard_of_batch=spill.shard_of_batch,
        accounting=tally.to_builtins(),
        rejects=entry(task.rejects, rejects_sink),
        config_hash=context.config_hash,
    )
    context.out.write(task.marker, msgspec.json.encode(done))
    return done


def _codes(context: PartitionContext, one: InputPlan, heads: Heads) -> Codes:
    """Row of the photo of each element, or why there is none."""
    return context.index.find(heads.photo) if heads.parent is None else one.parents.find(heads.parent)


def _account(
    kind: Kind, rows: Sequence[int], codes: Codes, problems: dict[int, Problem], label: str, tally: Tally
) -> Iterator[Rejected]:
    """Counts what has no photo; what no other reject explains is a reject of its own."""

    def reject(row: int, reason: str, detail: str = "") -> Rejected:
        where = place_of(label, kind.array, row)
        return Rejected(key="", unit=kind.unit, stage=STAGE, reason=reason, detail=detail, input_ref=where)

    for row, problem in sorted(problems.items()):
        tally.rejected(kind.unit, STAGE, problem.reason)
        yield reject(row, *problem)
    for code, (stage, reason) in _EXPLAINED.items():
        if count := int((codes == code).sum()):
            tally.rejected(kind.unit, stage, reason, count)
    if kind.introduces:
        return  # the plan rejected those that name no photo
    orphan = f"{kind.hangs_on or 'photo'}-rejected"
    for code, reason, is_listed in ((REJECTED, orphan, kind.hangs_on), (UNKNOWN, kind.stray, kind.lists_strays)):
        found = np.flatnonzero(codes == code).tolist()
        if found:
            tally.rejected(kind.unit, STAGE, reason, len(found))
        for position in found if is_listed else ():
            yield reject(int(rows[position]), reason)
