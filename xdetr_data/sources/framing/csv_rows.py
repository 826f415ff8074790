"""Rows of a CSV as typed columns, chunk by chunk; a row that does not fit takes no other with it."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as pa_csv

from xdetr_data.sources.framing.files import ArrayChunk
from xdetr_data.sources.framing.lines import split_lines

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRows:
    """The rows of a chunk as a table, each one's line in the file (from 0, the header is line 0), and line and problem
    of those that are no rows of this format."""

    table: pa.Table
    line: NDArray[np.int64]
    problems: list[tuple[int, str]]


def parse_rows(chunk: ArrayChunk, columns: Sequence[str], schema: pa.Schema) -> CsvRows:
    """The rows of a chunk of a file with these columns, those of ``schema`` alone.

    Every line is either a row of the table or a problem. Numbers (float64) are null where the field is empty; flags
    (int8) are -1 and texts empty where the field or the column is missing.
    """
    problems: list[tuple[int, str]] = []
    try:
        chunk.data.decode()  # pyarrow cannot show a line that is no text to the one who skips it
        table = _read_table(chunk.data, columns, schema, problems)
    except (UnicodeDecodeError, pa.ArrowInvalid):  # or a value of another type somewhere
        table = None
    if table is None or table.num_rows + len(problems) != chunk.count:  # or a line end inside a value
        table, problems = _read_lines(split_lines(chunk.data), columns, schema)
    keep = np.ones(chunk.count, dtype=bool)
    keep[[number for number, _ in problems]] = False
    return CsvRows(
        table=_complete(table, schema),
        line=chunk.first_row + np.flatnonzero(keep),
        problems=[(chunk.first_row + number, problem) for number, problem in problems],
    )


def _read_table(data: bytes, columns: Sequence[str], schema: pa.Schema, problems: list[tuple[int, str]]) -> pa.Table:
    """All rows at once; raises ArrowInvalid where a value is not of its column's type."""

    def skip(row: pa_csv.InvalidRow) -> str:
        problems.append((row.number - 1, _wrong_count(row.actual_columns, columns)))
        return "skip"

    types = {field.name: field.type for field in schema if field.name in columns}
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


def _read_lines(
    lines: Sequence[bytes], columns: Sequence[str], schema: pa.Schema
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """What ``_read_table`` makes of lines that are all good, line by line, so that a bad one takes no other with it."""
    fields = [field for field in schema if field.name in columns]
    values: list[list[str | float | int | None]] = [[] for _ in fields]
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        row = _convert(line, columns, fields)
        if isinstance(row, str):
            problems.append((number, row))
            continue
        for column, value in zip(values, row, strict=True):
            column.append(value)
    arrays = [pa.array(column, field.type) for column, field in zip(values, fields, strict=True)]
    return pa.table(arrays, pa.schema(fields)), problems


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
            return f"{field.name} {text[:40]!r} is no {'number' if field.type == pa.float64() else 'flag'}"
    return row


def _number(text: str, field: pa.Field) -> float | int | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if field.type == pa.float64():
        return value
    return int(value) if value.is_integer() and -128 <= value < 128 else None


def _wrong_count(found: int | None, columns: Sequence[str]) -> str:
    return f"{found} fields, not {len(columns)}"


def _complete(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with every column of the schema: unknown flags are -1, unknown texts empty."""
    arrays = []
    for field in schema:
        if field.type == pa.float64():
            arrays.append(table[field.name])
        elif field.name in table.column_names:
            arrays.append(pc.fill_null(table[field.name], "" if field.type == pa.string() else -1))
        else:
            missing = pa.scalar("" if field.type == pa.string() else -1, field.type)
            arrays.append(pa.repeat(missing, table.num_rows))
    return pa.table(arrays, schema)
