"""Input files at any fsspec address: opened plain or gzip, cut into chunks of whole elements, and chunks read again."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import fsspec
from fsspec import AbstractFileSystem

from xdetr_data.errors import InputError

CHUNK_BYTES = 4 << 20
MAX_ELEMENT_BYTES = 64 << 20
READ_ERRORS = (OSError, EOFError, zlib.error)  # what a stream of ``open_input`` raises on a damaged gzip file


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayChunk:
    """A run of whole elements of a top-level array: ``data`` is their bytes with the commas between them."""

    name: str
    offset: int
    first_row: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An element that is not what its array should hold, and why."""

    problem: str
    id: int | None = None


def is_compressed(path: str) -> bool:
    """Whether the file is gzip by its name, and so cannot be read from the middle."""
    return path.endswith(".gz")


def open_input(path: str) -> IO[bytes]:
    """Opens a plain or gzip file at any fsspec address for reading; raises InputError where there is none."""
    fs, name = _locate(path)
    try:
        stream: IO[bytes] = fs.open(name, "rb", compression="gzip" if is_compressed(path) else None)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened ({error}); check the address") from error
    return stream


def input_bytes(path: str, *, or_folder: bool = False) -> int:
    """Size of an input as it is stored (of a folder: of all files in it); raises InputError where there is none."""
    fs, name = _locate(path, or_folder=or_folder)
    return int(fs.du(name) if fs.isdir(name) else fs.size(name))


def _locate(path: str, *, or_folder: bool = False) -> tuple[AbstractFileSystem, str]:
    """The file system of a file and its name there; a folder or a pipe, which cannot be read twice, is no file."""
    try:
        fs, name = fsspec.url_to_fs(path)
        is_found = fs.isfile(name) or (or_folder and fs.isdir(name))
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be reached ({error}); check the address") from error
    if not is_found:
        what = "is no file" if fs.exists(name) else "there is no such file"
        raise InputError(f"{path}: {what}; check the address")
    return fs, name


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRange:
    """Where a chunk stands in its file; ``length`` is its bytes."""

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


def read_again(
    path: str, ranges: Sequence[ChunkRange], whole: Callable[[], Iterator[ArrayChunk]]
) -> Iterator[ArrayChunk]:
    """The chunks again: by byte range from a plain file, by reading all of a gzip file (``whole``)."""
    if is_compressed(path):
        yield from whole()
        return
    with open_input(path) as stream:
        for one in ranges:
            stream.seek(one.offset)
            data = stream.read(one.length)
            if len(data) != one.length:
                raise InputError(f"{path}: became shorter while it was read; start again when nothing writes to it")
            yield ArrayChunk(name=one.name, offset=one.offset, first_row=one.first_row, count=one.count, data=data)
