"""What every recipe's partition has in common: inputs cut into chunks, chunks into tasks, and chunks read again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from pipelines.dataset import WORK
from xdetr_data.errors import InputError
from xdetr_data.sources.framing.json_stream import ArrayChunk, is_compressed, open_input

TASK_BYTES = 96 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRange:
    """Where a run of whole elements (or lines) stands in its file."""

    name: str
    offset: int
    length: int
    first_row: int
    count: int


def chunk_range(chunk: ArrayChunk) -> ChunkRange:
    """The place of a chunk that was read."""
    return ChunkRange(
        name=chunk.name, offset=chunk.offset, length=len(chunk.data), first_row=chunk.first_row, count=chunk.count
    )


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
    def rejects(self) -> str:
        """Name of the file of rejects that the task writes."""
        return f"rejects/partition-{self.number:05d}.parquet"


def cut_tasks(inputs: Sequence[tuple[str, Sequence[ChunkRange]]]) -> list[PartitionTask]:
    """Cuts inputs (path, chunks) into tasks of about ``TASK_BYTES``; a gzip file, which has no middle to start at, is
    one task."""
    tasks: list[PartitionTask] = []

    def add(file: int, begin: int, end: int) -> None:
        tasks.append(PartitionTask(number=len(tasks), file=file, begin=begin, end=end))

    for file, (path, chunks) in enumerate(inputs):
        begin = size = 0
        for position, chunk in enumerate(chunks):
            size += chunk.length
            if size >= TASK_BYTES and not is_compressed(path):
                add(file, begin, position + 1)
                begin, size = position + 1, 0
        if begin < len(chunks):
            add(file, begin, len(chunks))
    return tasks


def read_again(
    path: str, chunks: Sequence[ChunkRange], whole: Callable[[], Iterator[ArrayChunk]]
) -> Iterator[ArrayChunk]:
    """The chunks again: by byte range from a plain file, by reading all of a gzip file (``whole``)."""
    if is_compressed(path):
        yield from whole()
        return
    with open_input(path) as stream:
        for chunk in chunks:
            stream.seek(chunk.offset)
            data = stream.read(chunk.length)
            if len(data) != chunk.length:
                raise InputError(f"{path}: became shorter while it was read; start again when nothing writes to it")
            yield ArrayChunk(
                name=chunk.name, offset=chunk.offset, first_row=chunk.first_row, count=chunk.count, data=data
            )
