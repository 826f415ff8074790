"""Partition of a pseudo-label run: narratives go to their shard's spill as they stand, box rows as typed columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.job import PartitionDone, finish_partition
from pipelines.partitioning import PartitionTask, cut_tasks, read_again
from pipelines.pseudo_label.plan import (
    BEYOND_LIMIT,
    EXCLUDED,
    MISSING,
    UNKNOWN,
    BoxInput,
    Codes,
    NarrativeInput,
    Plan,
)
from pipelines.pseudo_label.scan import line_ref
from xdetr_data.accounting import Tally
from xdetr_data.record import Rejected
from xdetr_data.shards.spill import PLACE_FIELDS, SPILL_SCHEMA, SpillWriter
from xdetr_data.shards.writer import RejectsWriter, entry, rejects_writer
from xdetr_data.sources import localized_narratives, openimages
from xdetr_data.sources.framing.json_stream import ArrayChunk
from xdetr_data.sources.framing.lines import split_lines
from xdetr_data.storage import Folder

STAGE = "partition"
BOX_BUFFER_BYTES = 24 << 20  # rows of 60 bytes: batches of a shard stay large enough at half the usual memory
NARRATIVES, BOXES = range(2)  # the kind of a spilled row
_VALUES = [name for name in openimages.BOX_SCHEMA.names if name != "ImageID"]
BOX_SPILL_SCHEMA = pa.schema([*PLACE_FIELDS, *(openimages.BOX_SCHEMA.field(name) for name in _VALUES)])

_REASONS = {  # of rows that a photo's own reject explains, so that they are only counted
    EXCLUDED: ("exclude_images", "excluded"),
    BEYOND_LIMIT: ("limit", "beyond-limit"),
    MISSING: ("plan", "missing-photo"),
    UNKNOWN: (STAGE, "photo-not-in-set"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionContext:
    """What every partition task shares; ``inputs`` are the plan's narratives and then its boxes."""

    out: Folder
    config_hash: str
    inputs: list[NarrativeInput | BoxInput]
    shard: Codes
    box_ids: NDArray[np.bytes_]
    box_rows: Codes


def partition_context(plan: Plan, out: Folder, config_hash: str) -> PartitionContext:
    """The part of a plan that the partition needs."""
    return PartitionContext(
        out=out,
        config_hash=config_hash,
        inputs=[*plan.narratives, *plan.boxes],
        shard=plan.shard,
        box_ids=plan.box_ids,
        box_rows=plan.box_rows,
    )


def partition_tasks(plan: Plan) -> list[PartitionTask]:
    """Cuts the inputs into tasks."""
    narratives = [(one.path, one.chunks) for one in plan.narratives]
    return cut_tasks([*narratives, *((one.path, one.chunks) for one in plan.boxes)])


def narrative_spills(plan: Plan, tasks: Sequence[PartitionTask]) -> list[str]:
    """Names of the spills of narratives, of ``SPILL_SCHEMA``; ``row`` is the line from 0, ``element`` its bytes."""
    return [task.spill for task in tasks if task.file < len(plan.narratives)]


def box_spills(plan: Plan, tasks: Sequence[PartitionTask]) -> list[str]:
    """Names of the spills of box rows, of ``BOX_SPILL_SCHEMA``; ``row`` is the line from 0, the header is line 0."""
    return [task.spill for task in tasks if task.file >= len(plan.narratives)]


def run_partition(context: PartitionContext, task: PartitionTask) -> PartitionDone:
    """Writes one spill with its rejects, and then its done-marker."""
    one = context.inputs[task.file]
    tally = Tally()
    with context.out.writing(task.rejects) as rejects_sink:
        with rejects_writer(rejects_sink) as rejects, context.out.writing(task.spill) as spill_sink:
            chunks = one.chunks[task.begin : task.end]
            if isinstance(one, NarrativeInput):
                spill = SpillWriter(spill_sink, SPILL_SCHEMA)
                for chunk in read_again(one.path, chunks, lambda: localized_narratives.read_chunks(one.path)):
                    _spill_narratives(context, one, task.file, chunk, spill, tally)
            else:
                spill = SpillWriter(spill_sink, BOX_SPILL_SCHEMA, buffer_bytes=BOX_BUFFER_BYTES)
                for chunk in read_again(one.path, chunks, lambda: openimages.read_chunks(one.path)):
                    _spill_boxes(context, one, task.file, chunk, spill, tally, rejects)
            spill.close()
    return finish_partition(
        context.out,
        task,
        shard_of_batch=spill.shard_of_batch,
        tally=tally,
        rejects=entry(task.rejects, rejects_sink),
        config_hash=context.config_hash,
    )


def _spill_narratives(
    context: PartitionContext, one: NarrativeInput, file: int, chunk: ArrayChunk, spill: SpillWriter, tally: Tally
) -> None:
    photo = one.photo_of_line[chunk.first_row : chunk.first_row + chunk.count]
    _count(photo, "narrative", tally)
    kept = np.flatnonzero(photo >= 0)
    lines = split_lines(chunk.data)
    spill.add(
        shard=context.shard[photo[kept]],
        photo=photo[kept],
        file=file,
        kind=NARRATIVES,
        row=chunk.first_row + kept,
        values=[pa.array([lines[i] for i in kept.tolist()], pa.large_binary())],
    )


def _spill_boxes(
    context: PartitionContext,
    one: BoxInput,
    file: int,
    chunk: ArrayChunk,
    spill: SpillWriter,
    tally: Tally,
    rejects: RejectsWriter,
) -> None:
    rows = openimages.parse_boxes(chunk, one.columns)
    photo, nameless = _photo_of_box(context, rows.table["ImageID"])
    problems = [(line, "unreadable-box", problem) for line, problem in rows.problems]
    problems += [(line, "missing-image-id", "ImageID is empty") for line in rows.line[nameless].tolist()]
    for reject in _rejects(sorted(problems), one.label):
        tally.rejected(reject.unit, reject.stage, reject.reason)
        rejects.add(reject)
    _count(photo[~nameless], "box", tally)
    kept = np.flatnonzero(photo >= 0)
    table = rows.table if len(kept) == rows.table.num_rows else rows.table.take(pa.array(kept))
    spill.add(
        shard=context.shard[photo[kept]],
        photo=photo[kept],
        file=file,
        kind=BOXES,
        row=rows.line[kept],
        values=[table[name].combine_chunks() for name in _VALUES],
    )


def _photo_of_box(context: PartitionContext, image_id: pa.ChunkedArray) -> tuple[Codes, NDArray[np.bool_]]:
    """The photo of each row or a code, and which rows name none; looks each id up once."""
    encoded = image_id.combine_chunks().dictionary_encode()
    known = context.box_ids
    texts = encoded.dictionary.cast(pa.binary())
    # numpy gives every id the room of the longest: one that is longer than all known ids becomes one that is no text
    texts = pc.if_else(pc.less_equal(pc.binary_length(texts), known.dtype.itemsize), texts, b"\xff")
    ids = np.array(texts.to_pylist(), dtype=np.bytes_)
    if len(known) == 0 or len(ids) == 0:
        found = np.full(len(ids), UNKNOWN, dtype=np.int32)
    else:
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        found = np.where(known[at] == ids, context.box_rows[at], UNKNOWN).astype(np.int32)
    indices = encoded.indices.to_numpy()
    nameless = ids == b""
    found[nameless] = UNKNOWN
    return found[indices], nameless[indices]


def _rejects(problems: Sequence[tuple[int, str, str]], label: str) -> Iterator[Rejected]:
    for line, reason, detail in problems:
        yield Rejected(key="", unit="box", stage=STAGE, reason=reason, detail=detail, input_ref=line_ref(label, line))


def _count(photo: Codes, unit: str, tally: Tally) -> None:
    """Counts rows whose photo is not built."""
    for code, (stage, reason) in _REASONS.items():
        if count := int((photo == code).sum()):
            tally.rejected(unit, stage, reason, count)
