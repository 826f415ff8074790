"""JSON lines that each hold a photo's caption, or none, and regions with boxes: what ODVG and GRIT have in common.

Regions stand inside their lines, so that each chunk is read as two: the lines, and their regions, which are counted
through the whole file. Regions of every format are spilled in one form (``Region``).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import ClassVar

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import LINES, iter_line_chunks, split_lines
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, name_photo

REGIONS = "regions"


class Line(msgspec.Struct, frozen=True, gc=False):
    """What a line says; regions are as they are spilled. A line of classes has no caption."""

    filename: str
    height: int
    width: int
    caption: str | None
    regions: list[msgspec.Raw]


class SpilledLine(msgspec.Struct, frozen=True, gc=False):
    """A line without its regions; ``id`` is where it begins in its file."""

    id: int
    caption: str | None


class Region(msgspec.Struct, frozen=True, gc=False):
    """A region of a caption, or an instance of a class (``category``): a box ``[x0, y0, x1, y1]`` in pixels, or
    several of a phrase, with the characters of the caption that name it, or those words."""

    bbox: list[float | list[float]]
    phrase: str | None = None
    tokens_positive: list[list[int]] | None = None
    category: str | None = None


class _OfLine(msgspec.Struct, frozen=True, gc=False):
    line: int
    region: msgspec.Raw


Parse = Callable[[bytes], Line | Unreadable]

_SPILLED = msgspec.json.Decoder(SpilledLine)
_REGION = msgspec.json.Decoder(Region)
_OF_LINE = msgspec.json.Decoder(_OfLine)
_ENCODER = msgspec.json.Encoder()


def parse_spilled(data: bytes) -> SpilledLine:
    """A line as it was spilled."""
    return _SPILLED.decode(data)


def parse_region(data: bytes) -> tuple[int, Region | Unreadable]:
    """A region as it was spilled: the id of its line, and the region or why it is none."""
    of = _OF_LINE.decode(data)
    return of.line, parse_record(_REGION, bytes(of.region))


@lru_cache(maxsize=1)  # a chunk is counted, then joined, then copied
def _lines_of(parse: Parse, data: bytes) -> list[Line | Unreadable | None]:
    """The lines of a chunk; None of a blank one."""
    return [None if not one or one.isspace() else parse(one) for one in split_lines(data)]


def _begins(chunk: ArrayChunk) -> list[int]:
    """Where each line of a chunk begins in its file."""
    return list(accumulate((len(one) + 1 for one in split_lines(chunk.data)), initial=chunk.offset))[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLines(Source):
    """A file of lines with photos of one ``collection``: its lines name them, regions hang on lines."""

    collection: str
    format: ClassVar[str]
    kinds = (
        Kind(unit="line", array=LINES, introduces=True),
        Kind(unit="region", array=REGIONS, hangs_on="line"),
    )

    @staticmethod
    @abstractmethod
    def parse(data: bytes) -> Line | Unreadable:
        """A line of the format, or why it is none."""

    def lines(self) -> Iterator[ArrayChunk]:
        """Chunks of whole lines."""
        return iter_line_chunks(self.path)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole lines, behind each the same bytes as the chunk of their regions, where they have any."""
        row = 0
        for chunk in self.lines():
            yield chunk
            if count := len(self._regions_of(chunk)):
                yield replace(chunk, name=REGIONS, first_row=row, count=count)
                row += count

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each line, or the line of each region; blank lines are none."""
        rows = chunk.first_row + np.arange(chunk.count)
        if chunk.name == REGIONS:
            return Heads(row=rows, parent=pa.array([line for line, _ in self._regions_of(chunk)], pa.int64()))
        lines = _lines_of(self.parse, chunk.data)
        names = [self._photo_of(line) for line in lines]
        return Heads(
            row=rows,
            photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
            problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
            ids=_begins(chunk),
            stated=[Stated(one.filename, one.height, one.width) if isinstance(one, Line) else None for one in lines],
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """What is kept of each line, and each region with the id of its line."""
        if chunk.name == REGIONS:
            kept = [_ENCODER.encode(_OfLine(line, region)) for line, region in self._regions_of(chunk)]
        else:
            lines = zip(_begins(chunk), _lines_of(self.parse, chunk.data), strict=True)
            kept = [
                _ENCODER.encode(SpilledLine(begin, line.caption if isinstance(line, Line) else None))
                for begin, line in lines
            ]
        return [pa.array(kept, pa.large_binary())]

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A file without one line is of another format."""
        return f"{self.path}: no line of it is {self.format}'s ({': '.join(first or ('it is empty',))})"

    def _regions_of(self, chunk: ArrayChunk) -> list[tuple[int, msgspec.Raw]]:
        """Each region with the id of its line; of an unreadable line there are none."""
        return [
            (begin, region)
            for begin, line in zip(_begins(chunk), _lines_of(self.parse, chunk.data), strict=True)
            if isinstance(line, Line)
            for region in line.regions
        ]

    def _photo_of(self, line: Line | Unreadable | None) -> str | Problem | None:
        if isinstance(line, Unreadable):
            return Problem("unreadable-line", line.problem)
        return None if line is None else name_photo(self.collection, line.filename)
