"""Spills: the elements of the inputs as they stand, regrouped by shard, so that a shard is built from its own alone.

A spill is one Arrow IPC file written by one partition task. Each record batch belongs to one shard; the footer of the
``.done.json`` beside it lists which. Rows hold the element's own JSON bytes: nothing is interpreted before its shard.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from xdetr_data.storage import Folder

BUFFER_BYTES = 48 << 20

SPILL_SCHEMA = pa.schema(
    [
        ("photo", pa.int32()),  # row of the plan's photo table
        ("file", pa.int16()),  # row of the plan's input table
        ("kind", pa.int8()),  # which array of that file
        ("row", pa.int64()),  # which element of that array
        ("element", pa.large_binary()),
    ]
)
_ORDER = [(name, "ascending") for name in ("photo", "file", "kind", "row")]


class SpillIndex(msgspec.Struct, frozen=True):
    """Which shard each record batch of a spill belongs to."""

    shard_of_batch: list[int]


class SpillWriter:
    """Buffers elements and writes them grouped by shard, about 48 MB at a time."""

    def __init__(self, sink: object) -> None:
        options = ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = ipc.new_file(sink, SPILL_SCHEMA, options=options)
        self._columns: list[tuple[NDArray[np.int64], ...]] = []
        self._elements: list[bytes] = []
        self._bytes = 0
        self.shard_of_batch: list[int] = []

    def add(
        self,
        *,
        shard: NDArray[np.int32],
        photo: NDArray[np.int32],
        file: int,
        kind: int,
        row: NDArray[np.int64],
        elements: Sequence[bytes],
    ) -> None:
        """Adds the elements of one chunk; the arrays have one entry an element."""
        count = len(elements)
        self._columns.append(
            (shard.astype(np.int64), photo.astype(np.int64), np.full(count, file), np.full(count, kind), row)
        )
        self._elements.extend(elements)
        self._bytes += sum(map(len, elements))
        if self._bytes >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what is buffered, one record batch for each shard."""
        if not self._elements:
            return
        shard, photo, file, kind, row = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        order = np.argsort(shard, kind="stable")
        arrays = [
            pa.array(column[order], type=field.type)
            for column, field in zip((photo, file, kind, row), SPILL_SCHEMA, strict=False)
        ]
        arrays.append(pa.array(self._elements, type=pa.large_binary()).take(pa.array(order)))
        batch = pa.record_batch(arrays, schema=SPILL_SCHEMA)
        shards, begins = np.unique(shard[order], return_index=True)
        for number, begin, end in zip(shards.tolist(), begins, [*begins[1:], len(order)], strict=True):
            self._writer.write_batch(batch.slice(begin, end - begin))
            self.shard_of_batch.append(number)
        self._columns, self._elements, self._bytes = [], [], 0

    def close(self) -> None:
        """Writes the rest and the footer."""
        self.flush()
        self._writer.close()


def read_spills(folder: Folder, names: Sequence[str], shard: int) -> pa.Table:
    """All rows of one shard from the named spills, ordered by photo, file, array and row."""
    batches: list[pa.RecordBatch] = []
    for name in names:
        index = msgspec.json.decode(folder.read(f"{name}.done.json"), type=SpillIndex)
        wanted = [i for i, owner in enumerate(index.shard_of_batch) if owner == shard]
        if wanted:
            with folder.open(name) as stream, ipc.open_file(stream) as reader:
                batches.extend(reader.get_batch(i) for i in wanted)
    return pa.Table.from_batches(batches, schema=SPILL_SCHEMA).sort_by(_ORDER)
