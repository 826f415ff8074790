"""OpenImages' box CSV, with and without the ``XClick…`` columns, and its class names.

Coordinates are in units of the photo, in the order XMin, **XMax**, YMin, YMax; the file holds no size, so pixels need
the photo. Flags are 1, 0 or -1 (unknown). Source: storage.googleapis.com/openimages/web/factsfigures, "Boxes".
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as pa_csv

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.json_stream import CHUNK_BYTES, ArrayChunk, open_input
from xdetr_data.sources.framing.lines import iter_line_chunks, split_lines

COORDINATES = ("XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
_TEXTS = ("ImageID", "LabelName", "Source")
_REQUIRED = ("ImageID", "LabelName", *COORDINATES)

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)

BOX_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        *((name, pa.float64()) for name in COORDINATES),  # null where the field is empty
        *((name, pa.int8()) for name in FLAGS),  # -1 where the field is empty or the column is missing
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRows:
    """The rows of a chunk as a table of ``BOX_SCHEMA``, each one's line in the file (from 0, the header is line 0),
    and line and problem of those that are no rows of this format."""

    table: pa.Table
    line: NDArray[np.int64]
    problems: list[tuple[int, str]]


def read_header(path: str) -> list[str]:
    """The columns of a box file in their order; raises InputError where it is none."""
    with open_input(path) as stream:
        first = stream.read(1 << 16).split(b"\n", 1)[0]
    columns = [name.strip() for name in next(csv.reader([first.decode("utf-8-sig", "replace")]), [])]
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


def parse_boxes(chunk: ArrayChunk, columns: Sequence[str]) -> BoxRows:
    """The rows of a chunk of a file with these columns. Every line is either a row of the table or a problem."""
    problems: list[tuple[int, str]] = []
    try:
        chunk.data.decode()  # pyarrow cannot show a line that is no text to the one who skips it
        table = _read_table(chunk.data, columns, problems)
    except (UnicodeDecodeError, pa.ArrowInvalid):  # or a value of another type somewhere
        table = None
    if table is None or table.num_rows + len(problems) != chunk.count:  # or a line end inside a value
        table, problems = _read_lines(split_lines(chunk.data), columns)
    keep = np.ones(chunk.count, dtype=bool)
    keep[[number for number, _ in problems]] = False
    return BoxRows(
        table=_complete(table),
        line=chunk.first_row + np.flatnonzero(keep),
        problems=[(chunk.first_row + number, problem) for number, problem in problems],
    )


def _read_table(data: bytes, columns: Sequence[str], problems: list[tuple[int, str]]) -> pa.Table:
    """All rows at once; raises ArrowInvalid where a value is not of its column's type."""

    def skip(row: pa_csv.InvalidRow) -> str:
        problems.append((row.number - 1, _wrong_count(row.actual_columns, columns)))
        return "skip"

    types = {field.name: field.type for field in BOX_SCHEMA if field.name in columns}
    stream = pa_csv.open_csv(
        pa.BufferReader(data),
        # one thread, since only then pyarrow tells which row it skips
        pa_csv.ReadOptions(use_threads=False, column_names=list(columns), block_size=len(data) + 1),
        pa_csv.ParseOptions(
            quote_char='"' if b'"' in data else False, ignore_empty_lines=False, invalid_row_handler=skip
        ),
        pa_csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
    )
    return stream.read_all()


def _read_lines(lines: Sequence[bytes], columns: Sequence[str]) -> tuple[pa.Table, list[tuple[int, str]]]:
    """What ``_read_table`` makes of lines that are all good, line by line, so that a bad one takes no other with it."""
    fields = [field for field in BOX_SCHEMA if field.name in columns]
    values: list[list[str | float | int | None]] = [[] for _ in fields]
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        row = _convert(line, columns, fields)
        if isinstance(row, str):
            problems.append((number, row))
            continue
        for column, value in zip(values, row, strict=True):
            column.append(value)
    schema = pa.schema(fields)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(values, fields, strict=True)], schema
    ), problems


def _convert(line: bytes, columns: Sequence[str], fields: Sequence[pa.Field]) -> list[str | float | int | None] | str:
    """The values of the wanted fields of one line, or what is wrong with it."""
    try:
        texts = next(csv.reader([line.decode().rstrip("\r")]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        return str(error)
    if not texts:
        texts = [""] * len(columns)
    if len(texts) != len(columns):
        return _wrong_count(len(texts), columns)
    row: list[str | float | int | None] = []
    for field in fields:
        text = texts[columns.index(field.name)]
        if field.type == pa.string():
            row.append(text)
        elif not text.strip():
            row.append(None)
        elif (value := _number(text.strip(), field)) is not None:
            row.append(value)
        else:
            return f"{field.name} {text[:40]!r} is no {'number' if field.name in COORDINATES else 'flag'}"
    return row


def _number(text: str, field: pa.Field) -> float | int | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if field.name in COORDINATES:
        return value
    return int(value) if value.is_integer() and -128 <= value < 128 else None


def _wrong_count(found: int | None, columns: Sequence[str]) -> str:
    return f"{found} fields, not {len(columns)}"


def _complete(table: pa.Table) -> pa.Table:
    """The table with every column of ``BOX_SCHEMA``: unknown flags are -1, unknown texts empty."""
    arrays = []
    for field in BOX_SCHEMA:
        if field.name in COORDINATES:
            arrays.append(table[field.name])
        elif field.name in table.column_names:
            arrays.append(pc.fill_null(table[field.name], "" if field.type == pa.string() else -1))
        else:
            missing = pa.scalar("" if field.type == pa.string() else -1, field.type)
            arrays.append(pa.repeat(missing, table.num_rows))
    return pa.table(arrays, BOX_SCHEMA)


def read_class_names(path: str) -> dict[str, str]:
    """Label → spoken name of a class-descriptions file; raises InputError where it is none."""
    with open_input(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
        rows = [(number, row) for number, row in enumerate(csv.reader(text), 1) if row]
    names: dict[str, str] = {}
    for number, row in rows:
        if len(row) != 2:
            raise InputError(f"{path}: line {number}: {len(row)} fields, not label and name; is it class-descriptions?")
        names[row[0]] = row[1]
    if not names:
        raise InputError(f"{path}: holds no class name")
    return names
