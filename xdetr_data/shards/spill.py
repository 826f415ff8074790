"""Spills: the elements of the inputs as they stand, regrouped by shard, so that a shard is built from its own alone.

A spill is one Arrow IPC file written by one partition task. Each record batch belongs to one shard; the footer of the
``.done.json`` beside it lists which. A spill of JSON elements holds each element's own bytes: nothing is interpreted
before its shard. A spill of table rows (a CSV's) holds them typed. Every schema begins with ``PLACE_FIELDS``.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from xdetr_data.storage import Folder

BUFFER_BYTES = 48 << 20

PLACE_FIELDS = [
    pa.field("photo", pa.int32()),  # row of the plan's photo table
    pa.field("file", pa.int16()),  # row of the plan's input table
    pa.field("kind", pa.int8()),  # which array of that file
    pa.field("row", pa.int64()),  # which element of that array
]
SPILL_SCHEMA = pa.schema([*PLACE_FIELDS, ("element", pa.large_binary())])
_ORDER = [(field.name, "ascending") for field in PLACE_FIELDS]


class SpillIndex(msgspec.Struct, frozen=True):
    """Which shard each record batch of a spill belongs to."""

    shard_of_batch: list[int]


class SpillWriter:
    """Buffers rows and writes them grouped by shard, about ``buffer_bytes`` at a time."""

    def __init__(self, sink: object, schema: pa.Schema = SPILL_SCHEMA, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        options = ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = ipc.new_file(sink, schema, options=options)
        self._schema = schema
        self._buffer_bytes = buffer_bytes
        self._shards: list[NDArray[np.int32]] = []
        self._batches: list[pa.RecordBatch] = []
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
        values: Sequence[pa.Array],
    ) -> None:
        """Adds rows of one array of one input; ``values`` are the columns after ``PLACE_FIELDS``."""
        place = (photo, np.full(len(photo), file), np.full(len(photo), kind), row)
        columns = [pa.array(one, field.type) for one, field in zip(place, PLACE_FIELDS, strict=True)]
        batch = pa.record_batch([*columns, *values], schema=self._schema)
        self._shards.append(shard)
        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= self._buffer_bytes:
            self.flush()

    def flush(self) -> None:
        """Writes what is buffered, one record batch for each shard."""
        if not any(map(len, self._shards)):
            return
        shard = np.concatenate(self._shards)
        (batch,) = pa.Table.from_batches(self._batches, self._schema).combine_chunks().to_batches()
        self._shards, self._batches, self._bytes = [], [], 0
        order = np.argsort(shard, kind="stable")
        batch = batch.take(pa.array(order))
        shards, begins = np.unique(shard[order], return_index=True)
        for number, begin, end in zip(shards.tolist(), begins, [*begins[1:], len(order)], strict=True):
            self._writer.write_batch(batch.slice(begin, end - begin))
            self.shard_of_batch.append(number)

    def close(self) -> None:
        """Writes the rest and the footer."""
        self.flush()
        self._writer.close()


def read_spills(folder: Folder, names: Sequence[str], shard: int, schema: pa.Schema = SPILL_SCHEMA) -> pa.Table:
    """All rows of one shard from the named spills of one schema, ordered by photo, file, array and row."""
    batches: list[pa.RecordBatch] = []
    for name in names:
        index = msgspec.json.decode(folder.read(f"{name}.done.json"), type=SpillIndex)
        wanted = [i for i, owner in enumerate(index.shard_of_batch) if owner == shard]
        if wanted:
            with folder.open(name) as stream, ipc.open_file(stream) as reader:
                batches.extend(reader.get_batch(i) for i in wanted)
    return pa.Table.from_batches(batches, schema=schema).sort_by(_ORDER)
