"""OpenImages' box CSV, with and without the ``XClick…`` columns, and its class names.

Coordinates are in units of the photo, in the order XMin, **XMax**, YMin, YMax; the file holds no size, so pixels need
the photo. Flags are 1, 0 or -1 (unknown). Source: storage.googleapis.com/openimages/web/factsfigures, "Boxes".
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_id, photo_name
from xdetr_data.sources.framing.csv_rows import CsvRows, parse_rows
from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, open_input, read_input
from xdetr_data.sources.framing.lines import LINES, iter_line_chunks
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source

COLLECTION = "openimages"
COORDINATES = ("XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
_TEXTS = ("ImageID", "LabelName", "Source")
_REQUIRED = ("ImageID", "LabelName", *COORDINATES)

BOX_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.float64()) for name in COORDINATES),  # null where the field is empty
        *((name, pa.int8()) for name in FLAGS),  # -1 where the field is empty or the column is missing
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImagesBoxes(Source):
    """A box file; its rows are spilled typed."""

    role = "boxes"
    buffer_bytes = 24 << 20  # rows of 60 bytes: batches of a shard stay large enough at half the usual memory
    kinds = (Kind(unit="box", array=LINES, bytes_per_photo=2048),)  # twice what the real file has
    schema = pa.schema([field for field in BOX_SCHEMA if field.name != "ImageID"])

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole rows."""
        read_header(self.path)
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each row that can be read."""
        rows = parse_boxes(chunk, read_header(self.path))
        ids = rows.table["ImageID"].combine_chunks().dictionary_encode()  # looks each id up once
        names = [
            None if one == "" else photo_name(COLLECTION, photo_id(COLLECTION, one))
            for one in ids.dictionary.to_pylist()
        ]
        named = pa.array(names, pa.string()).take(ids.indices)
        problems = {line: Problem("unreadable-box", problem) for line, problem in rows.problems}
        nameless = rows.line[np.flatnonzero(pc.is_null(named).to_numpy(zero_copy_only=False))]
        problems |= dict.fromkeys(nameless.tolist(), Problem("missing-image-id", "ImageID is empty"))
        return Heads(
            row=rows.line,
            photo=named,
            problems=problems,
            table=rows.table,
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """The columns but the photo's id."""
        table = (heads or self.heads(chunk)).table
        assert table is not None
        return [table[name].combine_chunks() for name in self.schema.names]


@lru_cache(maxsize=64)
def read_header(path: str) -> list[str]:
    """The columns of a box file in their order; raises InputError where it is none."""
    with open_input(path) as stream:
        first = stream.read(1 << 16).split(b"\n", 1)[0]
    try:
        columns = [name.strip() for name in next(csv.reader([first.decode("utf-8-sig", "replace")]), [])]
    except csv.Error as error:
        raise InputError(f"{path}: its header cannot be read ({error}); give an OpenImages box file") from error
    for name in _REQUIRED:
        if columns.count(name) != 1:
            problem = "has no" if name not in columns else "has more than one"
            raise InputError(f"{path}: {problem} column {name!r}; give an OpenImages box file (…-annotations-bbox.csv)")
    return columns


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of whole rows of a box file without its header; raises InputError where the file cannot be read."""
    for chunk in iter_line_chunks(path, chunk_bytes=chunk_bytes):
        if chunk.first_row:
            yield chunk
        elif chunk.count > 1:
            header = chunk.data.index(b"\n") + 1
            yield ArrayChunk(
                name=chunk.name,
                offset=chunk.offset + header,
                first_row=1,
                count=chunk.count - 1,
                data=chunk.data[header:],
            )


def parse_boxes(chunk: ArrayChunk, columns: Sequence[str]) -> CsvRows:
    """The rows of a chunk of a file with these columns, of ``BOX_SCHEMA``."""
    return parse_rows(chunk, columns, BOX_SCHEMA)


def read_class_names(path: str) -> dict[str, str]:
    """Label → spoken name of a class-descriptions file; raises InputError where it is none."""
    text = io.StringIO(read_input(path).decode("utf-8-sig", errors="replace"), newline="")
    try:
        rows = [(number, row) for number, row in enumerate(csv.reader(text), 1) if row]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read ({error}); is it class-descriptions?") from error
    names: dict[str, str] = {}
    for number, row in rows:
        if len(row) != 2:
            raise InputError(f"{path}: line {number}: {len(row)} fields, not label and name; is it class-descriptions?")
        names[row[0]] = row[1]
    if not names:
        raise InputError(f"{path}: holds no class name")
    return names
