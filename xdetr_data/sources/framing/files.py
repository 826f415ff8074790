"""Input files at any fsspec address: opened plain or gzip, cut into chunks of whole elements, and chunks read again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from fsspec import AbstractFileSystem

from xdetr_data.addresses.reading import file_system, open_file, reading
from xdetr_data.errors import InputError, shown

CHUNK_BYTES = 4 << 20
MAX_ELEMENT_BYTES = 64 << 20


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
    return shown(path).endswith(".gz")


def open_input(path: str) -> IO[bytes]:
    """Opens a plain or gzip file at any fsspec address for reading.

    Raises InputError where there is none; reading it raises InputError where it is damaged or gone.
    """
    fs, name = locate(path)
    return open_file(fs, name, path, is_gzip=is_compressed(path))


def read_input(path: str, *, max_bytes: int = MAX_ELEMENT_BYTES) -> bytes:
    """All bytes of a small plain or gzip file; raises InputError where it holds more than ``max_bytes``, unpacked."""
    with open_input(path) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise InputError(f"{path}: holds more than {max_bytes >> 20} MiB; is it the right file?")
    return data


def input_bytes(path: str, *, or_folder: bool = False) -> int:
    """Size of an input as it is stored (of a folder: of all files in it); raises InputError where there is none."""
    fs, name = locate(path, or_folder=or_folder)
    with reading(path):
        return int((fs.du(name) if fs.isdir(name) else fs.size(name)) or 0)


def locate(path: str, *, or_folder: bool = False) -> tuple[AbstractFileSystem, str]:
    """The file system of a file and its name there; a folder or a pipe, which cannot be read twice, is no file.

    Raises InputError where there is no such file.
    """
    fs, name = file_system(path)
    with reading(path, "reached"):
        if fs.isfile(name) or (or_folder and fs.isdir(name)):
            return fs, name
        what = "is no file" if fs.exists(name) else "there is no such file"
    raise InputError(f"{path}: {what}; check the address")


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
