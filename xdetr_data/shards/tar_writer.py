"""Writes a shard's tar, byte for byte as webdataset's ``TarWriter`` does without times, users and groups."""

from tarfile import BLOCKSIZE, RECORDSIZE, TarInfo
from types import TracebackType
from typing import Protocol

from xdetr_data.shards.tar_stream import padded

_MODE = 0o444


class Sink(Protocol):
    """A file for writing."""

    def write(self, data: bytes) -> object:
        """Writes all of it."""


class TarWriter:
    """A tar on a file for writing; leaving its block well writes the end mark."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size = 0

    def __enter__(self) -> "TarWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            end = self._size + 2 * BLOCKSIZE
            self._write(bytes(2 * BLOCKSIZE + -end % RECORDSIZE))

    def add(self, name: str, data: bytes) -> tuple[int, int]:
        """Writes one member; offset and length of its data, however long its header is."""
        header = TarInfo(name)
        header.size, header.mode = len(data), _MODE
        self._write(header.tobuf(encoding="utf-8"))
        offset = self._size
        self._write(data)
        self._write(bytes(padded(len(data)) - len(data)))
        return offset, len(data)

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self._size += len(data)
