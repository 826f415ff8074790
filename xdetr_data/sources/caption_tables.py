"""Tables of captions: TSV and CSV with a header, JSON lines, Parquet; a row names its photo by path or web address.

The columns are found by their names (``captioned.CAPTION_KEYS`` …), in any case. A TSV without a header is Conceptual
Captions': a caption and an address, in either order.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.sources.captioned import (
    ADDRESS_KEYS,
    CAPTION_KEYS,
    PATH_KEYS,
    Caption,
    Captions,
    caption_of_path,
    text_of,
)
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable, open_input
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import LINES, iter_line_chunks, split_lines
from xdetr_data.sources.framing.parquet import is_parquet, iter_parquet_chunks
from xdetr_data.sources.protocol import Kind, Problem
from xdetr_data.sources.web_captions import name_of_url, parse_line

ENDINGS = (".tsv", ".csv", ".jsonl", ".parquet")

_WANTED = frozenset({*CAPTION_KEYS, *PATH_KEYS, *ADDRESS_KEYS})
_RECORD = msgspec.json.Decoder(dict[str, object])
_FORMATS = "give TSV or CSV with a header, JSON lines or Parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionTable(Captions):
    """A table whose rows name photos by their paths, of the ``collection``."""

    role = "captions"
    kinds = (Kind(unit="caption", array=LINES, introduces=True),)
    collection: str

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole rows; those of Parquet as JSON lines."""
        return iter_parquet_chunks(self.path, _WANTED) if is_parquet(self.path) else iter_line_chunks(self.path)

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """Parquet, which has no lines, is read again as a whole."""
        if not is_parquet(self.path):
            return Captions.chunks_again(self, ranges)
        wanted = {one.first_row for one in ranges}
        return (chunk for chunk in self.chunks() if chunk.first_row in wanted)

    def read(self, chunk: ArrayChunk) -> list[Caption | Problem | None]:
        """The caption of each row, None of the header."""
        rows = _records(self.path, chunk)
        return [self.caption(one) if isinstance(one, dict) else one for one in rows]

    def caption(self, row: Mapping[str, object]) -> Caption | Problem:
        """The caption of a row; keys are in small letters."""
        photo, text = _photo_of(row, PATH_KEYS), text_of(row)
        if isinstance(photo, Problem):
            return photo
        return text if isinstance(text, Problem) else caption_of_path(self.collection, photo, text)

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A table without one caption is of another format."""
        problem = ": ".join(first or ("it is empty",))
        columns = f"a caption ({', '.join(CAPTION_KEYS)}) and a photo ({', '.join((*PATH_KEYS, *ADDRESS_KEYS))})"
        return f"{self.path}: no row of it is a caption ({problem}); {_FORMATS}, with columns of {columns}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressedCaptions(CaptionTable):
    """A table whose rows name photos of tars by their addresses on the web."""

    kinds = (Kind(unit="caption", array=LINES, selects=True, stray="no-photo", lists_strays=True),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole rows without the header, since all that selects photos is counted."""
        return _without_header(CaptionTable.chunks(self)) if _has_header(self.path) else CaptionTable.chunks(self)

    def caption(self, row: Mapping[str, object]) -> Caption | Problem:
        """The caption of a row; keys are in small letters."""
        address, text = _photo_of(row, ADDRESS_KEYS), text_of(row)
        if isinstance(address, Problem):
            return address
        return text if isinstance(text, Problem) else Caption(name_of_url(address.strip()), text)


def is_table(path: str) -> bool:
    """Whether a file is a table by its name."""
    return _ending(path) in ENDINGS


def _ending(path: str) -> str:
    name = path.removesuffix(".gz")
    return next((one for one in ENDINGS if name.endswith(one)), "")


def _photo_of(row: Mapping[str, object], keys: Sequence[str]) -> str | Problem:
    found = next((row[key] for key in keys if key in row), None)
    if isinstance(found, str) and found.strip():
        return found
    return Problem("unreadable-caption", f"no {' or '.join(keys)}" if found is None else f"{keys[0]} {found!r:.40}")


@lru_cache(maxsize=64)
def _header(path: str) -> tuple[str, ...]:
    """The columns of a TSV or CSV in small letters; none where the first line is no header."""
    with open_input(path) as stream:
        first = stream.read(1 << 16).split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    columns = tuple(name.strip().lower() for name in _fields(path, first.rstrip("\r")))
    if set(columns).isdisjoint(CAPTION_KEYS):
        if _ending(path) == ".tsv" and len(columns) == 2:
            return ()
        shown = ", ".join(columns)[:80]
        raise InputError(f"{path}: its first line names no column {' or '.join(CAPTION_KEYS)} ({shown}); {_FORMATS}")
    if twice := next((one for one in columns if columns.count(one) > 1), None):
        raise InputError(f"{path}: has more than one column {twice!r}; rename one")
    return columns


def _fields(path: str, line: str) -> list[str]:
    return line.split("\t") if _ending(path) == ".tsv" else next(csv.reader([line]), [])


def _has_header(path: str) -> bool:
    return _ending(path) in (".tsv", ".csv") and bool(_header(path))


def _without_header(chunks: Iterator[ArrayChunk]) -> Iterator[ArrayChunk]:
    for chunk in chunks:
        if chunk.first_row:
            yield chunk
        elif chunk.count > 1:
            header = chunk.data.index(b"\n") + 1
            yield ArrayChunk(
                name=LINES,
                offset=chunk.offset + header,
                first_row=1,
                count=chunk.count - 1,
                data=chunk.data[header:],
            )


def _records(path: str, chunk: ArrayChunk) -> Iterator[dict[str, object] | Problem | None]:
    """The rows of a chunk, keys in small letters; None of the header."""
    is_header = chunk.first_row == 0 and _has_header(path)
    has_keys = _ending(path) not in (".tsv", ".csv")
    for line in split_lines(chunk.data):
        if is_header:
            is_header = False
            yield None
        elif not has_keys:
            yield _delimited(path, line)
        elif isinstance(record := parse_record(_RECORD, line), Unreadable):
            yield Problem("unreadable-caption", record.problem)
        else:
            yield {key.lower(): value for key, value in record.items() if value is not None}


def _delimited(path: str, line: bytes) -> dict[str, object] | Problem:
    columns = _header(path)
    if not columns:
        found = parse_line(line)
        if isinstance(found, Unreadable):
            return Problem("unreadable-caption", found.problem)
        return {"caption": found.text, "url": found.url}
    try:
        fields = _fields(path, line.decode().rstrip("\r"))
    except (UnicodeDecodeError, csv.Error) as error:
        return Problem("unreadable-caption", str(error))
    if len(fields) != len(columns):
        return Problem("unreadable-caption", f"{len(fields)} fields, not {len(columns)}")
    return dict(zip(columns, fields, strict=True))
