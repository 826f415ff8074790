"""Partition of a mixed* build: every element of the inputs goes, as it stands, to the spill of its shard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from pipelines.job import PartitionDone, finish_partition
from pipelines.mixed_star.plan import BEYOND_LIMIT, EXCLUDED, REJECTED, UNKNOWN, Codes, InputPlan, Plan
from pipelines.partitioning import ChunkRange, PartitionTask, cut_tasks, read_again
from xdetr_data.accounting import Tally
from xdetr_data.record import Rejected
from xdetr_data.shards.spill import SpillWriter
from xdetr_data.shards.writer import entry, rejects_writer
from xdetr_data.sources.framing.json_stream import ArrayChunk, elements, iter_array_chunks
from xdetr_data.storage import Folder

STAGE = "partition"
PARAGRAPHS, ANNOTATIONS, BOXES = range(3)  # the kind of an element, in the order in which a shard wants them

_REASONS = {
    ANNOTATIONS: {
        REJECTED: (STAGE, "paragraph-rejected"),
        EXCLUDED: ("exclude_images", "excluded"),
        BEYOND_LIMIT: ("limit", "beyond-limit"),
        UNKNOWN: (STAGE, "annotation-of-unknown-paragraph"),
    },
    BOXES: {
        EXCLUDED: ("exclude_images", "excluded"),
        BEYOND_LIMIT: ("limit", "beyond-limit"),
        UNKNOWN: (STAGE, "photo-not-in-set"),
    },
    PARAGRAPHS: {
        EXCLUDED: ("exclude_images", "excluded"),
        BEYOND_LIMIT: ("limit", "beyond-limit"),
    },
}
_UNITS = {PARAGRAPHS: "paragraph", ANNOTATIONS: "annotation", BOXES: "box"}


class _ImageId(msgspec.Struct, frozen=True):
    image_id: int


_IMAGE_ID = msgspec.json.Decoder(_ImageId)
_IMAGE_IDS = msgspec.json.Decoder(list[_ImageId])


def partition_tasks(plan: Plan) -> list[PartitionTask]:
    """Cuts the inputs into tasks."""
    return cut_tasks([(one.path, one.chunks) for one in plan.inputs])


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionContext:
    """What every partition task shares."""

    out: Folder
    config_hash: str
    inputs: list[InputPlan]
    shard: Codes
    coco_ids: Any
    coco_rows: Codes


def run_partition(context: PartitionContext, task: PartitionTask) -> PartitionDone:
    """Writes one spill with its rejects, and then its done-marker."""
    one = context.inputs[task.file]
    tally = Tally()
    with context.out.writing(task.rejects) as rejects_sink:
        with rejects_writer(rejects_sink) as rejects, context.out.writing(task.spill) as spill_sink:
            spill = SpillWriter(spill_sink)
            for chunk in _load(one, one.chunks[task.begin : task.end]):
                kind = BOXES if not one.is_mdetr else PARAGRAPHS if chunk.name == "images" else ANNOTATIONS
                parts = elements(chunk.data)
                codes, problems = _codes(context, one, kind, chunk, parts)
                for reject in _account(codes, kind, problems, f"{one.label}#{chunk.name}", chunk.first_row, tally):
                    rejects.add(reject)
                kept = np.flatnonzero(codes >= 0)
                spill.add(
                    shard=context.shard[codes[kept]],
                    photo=codes[kept],
                    file=task.file,
                    kind=kind,
                    row=chunk.first_row + kept,
                    values=[
                        pa.array(
                            parts if len(kept) == len(parts) else [parts[i] for i in kept.tolist()], pa.large_binary()
                        )
                    ],
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


def _load(one: InputPlan, chunks: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
    arrays = sorted({chunk.name for chunk in chunks})
    return read_again(one.path, chunks, lambda: iter_array_chunks(one.path, arrays))


def _codes(
    context: PartitionContext, one: InputPlan, kind: int, chunk: ArrayChunk, parts: list[bytes]
) -> tuple[Codes, dict[int, str]]:
    """Row of the photo of each element, or why there is none; and the problems of unreadable elements by position."""
    if kind == PARAGRAPHS:
        return one.photo_of_row[chunk.first_row : chunk.first_row + chunk.count], {}
    ids, problems = _image_ids(chunk.data, parts)
    known, rows = (one.sorted_ids, one.photo_of_id) if kind == ANNOTATIONS else (context.coco_ids, context.coco_rows)
    if len(known) == 0:
        return np.full(len(ids), UNKNOWN, dtype=np.int32), problems
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    codes = np.where(known[at] == ids, rows[at], UNKNOWN).astype(np.int32)
    codes[list(problems)] = UNKNOWN
    return codes, problems


def _image_ids(data: bytes, parts: list[bytes]) -> tuple[Any, dict[int, str]]:
    try:
        return np.array([one.image_id for one in _IMAGE_IDS.decode(b"[" + data + b"]")], dtype=np.int64), {}
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        ids = np.zeros(len(parts), dtype=np.int64)
        problems: dict[int, str] = {}
        for position, part in enumerate(parts):
            try:
                ids[position] = _IMAGE_ID.decode(part).image_id
            except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
                problems[position] = str(error)
        return ids, problems


def _account(
    codes: Codes, kind: int, problems: dict[int, str], where: str, first_row: int, tally: Tally
) -> Iterator[Rejected]:
    """Counts what has no photo; rows that a photo's or paragraph's own reject does not explain are rejects."""
    unit = _UNITS[kind]
    for position, problem in problems.items():
        tally.rejected(unit, STAGE, f"unreadable-{unit}")
        yield Rejected(
            key="",
            unit=unit,
            stage=STAGE,
            reason=f"unreadable-{unit}",
            detail=problem,
            input_ref=f"{where}[{first_row + position}]",
        )
    for code, (stage, reason) in _REASONS[kind].items():
        positions = [p for p in np.flatnonzero(codes == code).tolist() if p not in problems]
        if not positions:
            continue
        tally.rejected(unit, stage, reason, len(positions))
        if stage == STAGE and kind == ANNOTATIONS:
            for position in positions:
                yield Rejected(
                    key="", unit=unit, stage=stage, reason=reason, input_ref=f"{where}[{first_row + position}]"
                )
