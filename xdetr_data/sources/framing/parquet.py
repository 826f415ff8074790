"""Rows of a Parquet file as chunks of JSON lines."""

from collections.abc import Collection, Iterator

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from xdetr_data.addresses.reading import open_file, reading
from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import ArrayChunk, locate
from xdetr_data.sources.framing.lines import LINES

_ROWS = 4096  # of a chunk


def is_parquet(path: str) -> bool:
    """Whether a file is Parquet by its name."""
    return path.endswith(".parquet")


def iter_parquet_chunks(path: str, wanted: Collection[str]) -> Iterator[ArrayChunk]:
    """The columns whose names in small letters are ``wanted``, a JSON object a row; what JSON has no form for as text.

    ``offset`` counts the bytes of these lines. Raises InputError where the file cannot be read.
    """
    fs, name = locate(path)
    with open_file(fs, name, path) as stream, reading(path):
        try:
            file = pq.ParquetFile(pa.PythonFile(stream, mode="r"))
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: cannot be read ({error}); it is damaged or cut short, fetch it again") from error
        columns = [one for one in file.schema_arrow.names if one.lower() in wanted]
        row = offset = 0
        for batch in file.iter_batches(_ROWS, columns=columns):
            lines = [msgspec.json.encode(one, enc_hook=repr) for one in batch.to_pylist()]
            data = b"".join(line + b"\n" for line in lines)
            yield ArrayChunk(name=LINES, offset=offset, first_row=row, count=len(lines), data=data)
            row += len(lines)
            offset += len(data)
