"""The files of a world and how each is put together from the rows of many photos, in bounded memory.

Workers spill the rows of a chunk of photos; the merge copies the spills in the order of the photos. So a file's bytes
do not depend on who wrote which part, and no file is ever held in memory.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

import msgspec

Spills = Iterable[Path]


@dataclass(frozen=True, slots=True)
class JsonFile:
    """One JSON object: first `head`, then each section as an array, then categories, if it has any, of all counts."""

    path: str
    sections: tuple[str, ...]
    head: dict[str, object]
    categories: Callable[[Counter[str]], list[dict[str, object]]] | None
    separator: ClassVar[bytes] = b",\n"

    def merge(self, stream: IO[bytes], spills: Sequence[Spills], counts: Counter[str]) -> None:
        """Writes the whole file; `spills` are the parts of each section in order."""
        stream.write(b"{")
        for name, value in self.head.items():
            stream.write(_field(name, value) + b",\n")
        for number, (section, parts) in enumerate(zip(self.sections, spills, strict=True)):
            stream.write((b",\n" if number else b"") + f'"{section}": [\n'.encode())
            copy_parts(stream, parts, self.separator)
            stream.write(b"\n]")
        if self.categories:
            stream.write(b",\n" + _field("categories", self.categories(counts)))
        stream.write(b"}\n")


@dataclass(frozen=True, slots=True)
class ListFile:
    """A JSON array."""

    path: str
    sections: ClassVar[tuple[str, ...]] = ("elements",)
    separator: ClassVar[bytes] = b",\n"

    def merge(self, stream: IO[bytes], spills: Sequence[Spills], _: Counter[str]) -> None:
        """Writes the whole file."""
        stream.write(b"[\n")
        copy_parts(stream, spills[0], self.separator)
        stream.write(b"\n]\n")


@dataclass(frozen=True, slots=True)
class LinesFile:
    """A text file of lines: JSONL, CSV, TSV, lists; `header` is its first line with its line end, or nothing."""

    path: str
    header: bytes = b""
    sections: ClassVar[tuple[str, ...]] = ("lines",)
    separator: ClassVar[bytes] = b"\n"

    def merge(self, stream: IO[bytes], spills: Sequence[Spills], _: Counter[str]) -> None:
        """Writes the whole file."""
        stream.write(self.header)
        if copy_parts(stream, spills[0], self.separator):
            stream.write(b"\n")


@dataclass(frozen=True, slots=True)
class BlockFile:
    """A binary file of blocks one behind the other between `start` and `end`: a pickled list, a tar."""

    path: str
    start: bytes
    end: bytes
    sections: ClassVar[tuple[str, ...]] = ("blocks",)
    separator: ClassVar[bytes] = b""

    def merge(self, stream: IO[bytes], spills: Sequence[Spills], _: Counter[str]) -> None:
        """Writes the whole file."""
        stream.write(self.start)
        copy_parts(stream, spills[0], self.separator)
        stream.write(self.end)


def _field(name: str, value: object) -> bytes:
    return msgspec.json.encode({name: value})[1:-1]


Output = JsonFile | ListFile | LinesFile | BlockFile


def copy_parts(stream: IO[bytes], parts: Spills, separator: bytes) -> bool:
    """Copies the spills that hold anything, with the separator between them; whether there was any."""
    wrote = False
    for part in parts:
        if part.exists():
            if wrote:
                stream.write(separator)
            with part.open("rb") as source:
                shutil.copyfileobj(source, stream, 1 << 20)
            wrote = True
    return wrote
