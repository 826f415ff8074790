"""ODVG's JSON lines: a caption with its regions (grounding), or a photo's instances by class (detection).

``{"filename", "height", "width", "grounding": {"caption", "regions": [{"bbox", "phrase", "tokens_positive"}]}}`` or
``{…, "detection": {"instances": [{"bbox", "label", "category"}]}}``, boxes ``[x0, y0, x1, y1]`` in pixels (several of a
phrase: a list of them), ``tokens_positive`` spans of characters, which Open-GroundingDino's files leave out.
A line does not say of which collection its photo is. Regions stand inside their lines, so that each chunk is read as
two: the lines, and their regions, which are counted through the whole file.
Source: mmdetection ``mmdet/datasets/odvg.py``, Open-GroundingDino ``data_format.md``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.sources.framing.files import ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import LINES, iter_line_chunks, split_lines
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, name_photo

REGIONS = "regions"
_NEITHER = "has neither 'grounding' nor 'detection'"


class _Grounding(msgspec.Struct, frozen=True, gc=False):
    caption: str
    regions: list[msgspec.Raw] = []


class _Detection(msgspec.Struct, frozen=True, gc=False):
    instances: list[msgspec.Raw] = []


class _Line(msgspec.Struct, frozen=True, gc=False):
    filename: str
    height: int
    width: int
    grounding: _Grounding | None = None
    detection: _Detection | None = None

    @property
    def regions(self) -> list[msgspec.Raw]:
        """What stands in it, as it stands there."""
        of_caption = self.grounding.regions if self.grounding is not None else []
        return of_caption + (self.detection.instances if self.detection is not None else [])


class OdvgLine(msgspec.Struct, frozen=True, gc=False):
    """A line without its regions; ``id`` is where it begins in its file. A line of detection has no caption."""

    id: int
    caption: str | None


class OdvgRegion(msgspec.Struct, frozen=True, gc=False):
    """A region of a caption, or an instance of a class (``category``)."""

    bbox: list[float | list[float]]
    phrase: str | None = None
    tokens_positive: list[list[int]] | None = None
    category: str | None = None


class _OfLine(msgspec.Struct, frozen=True, gc=False):
    line: int
    region: msgspec.Raw


_LINE = msgspec.json.Decoder(_Line, strict=False)
_KEPT = msgspec.json.Decoder(OdvgLine)
_REGION = msgspec.json.Decoder(OdvgRegion)
_OF_LINE = msgspec.json.Decoder(_OfLine)
_ENCODER = msgspec.json.Encoder()


def parse_line(data: bytes) -> OdvgLine:
    """A line as it was spilled."""
    return _KEPT.decode(data)


def parse_region(data: bytes) -> tuple[int, OdvgRegion | Unreadable]:
    """A region as it was spilled: the id of its line, and the region or why it is none."""
    of = _OF_LINE.decode(data)
    return of.line, parse_record(_REGION, bytes(of.region))


@lru_cache(maxsize=1)  # a chunk is counted, then joined, then copied
def _lines_of(data: bytes) -> list[_Line | Unreadable | None]:
    """The lines of a chunk; None of a blank one."""
    return [None if not one or one.isspace() else _parse(one) for one in split_lines(data)]


def _parse(data: bytes) -> _Line | Unreadable:
    line = parse_record(_LINE, data)
    if isinstance(line, _Line) and line.grounding is None and line.detection is None:
        return Unreadable(problem=_NEITHER)
    return line


def _begins(chunk: ArrayChunk) -> list[int]:
    """Where each line of a chunk begins in its file."""
    return list(accumulate((len(one) + 1 for one in split_lines(chunk.data)), initial=chunk.offset))[:-1]


def _regions_of(chunk: ArrayChunk) -> list[tuple[int, msgspec.Raw]]:
    """Each region with the id of its line; of an unreadable line there are none."""
    return [
        (begin, region)
        for begin, line in zip(_begins(chunk), _lines_of(chunk.data), strict=True)
        if isinstance(line, _Line)
        for region in line.regions
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Odvg(Source):
    """A file of ODVG with photos of one ``collection``: its lines name them, regions hang on lines."""

    role = "odvg"
    collection: str
    kinds = (
        Kind(unit="line", array=LINES, introduces=True),
        Kind(unit="region", array=REGIONS, hangs_on="line"),
    )

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole lines, behind each the same bytes as the chunk of their regions, where they have any."""
        row = 0
        for chunk in iter_line_chunks(self.path):
            yield chunk
            if count := len(_regions_of(chunk)):
                yield replace(chunk, name=REGIONS, first_row=row, count=count)
                row += count

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each line, or the line of each region; blank lines are none."""
        rows = chunk.first_row + np.arange(chunk.count)
        if chunk.name == REGIONS:
            return Heads(row=rows, parent=pa.array([line for line, _ in _regions_of(chunk)], pa.int64()))
        lines = _lines_of(chunk.data)
        names = [self._photo_of(line) for line in lines]
        return Heads(
            row=rows,
            photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
            problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
            ids=_begins(chunk),
            stated=[Stated(one.filename, one.height, one.width) if isinstance(one, _Line) else None for one in lines],
        )

    def values(self, chunk: ArrayChunk, heads: Heads | None) -> list[pa.Array]:
        """What is kept of each line, and each region with the id of its line."""
        if chunk.name == REGIONS:
            kept = [_ENCODER.encode(_OfLine(line, region)) for line, region in _regions_of(chunk)]
        else:
            lines = zip(_begins(chunk), _lines_of(chunk.data), strict=True)
            kept = [_ENCODER.encode(_kept(begin, line)) for begin, line in lines]
        return [pa.array(kept, pa.large_binary())]

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A file without one line is of another format."""
        return f"{self.path}: no line of it is ODVG's ({': '.join(first or ('it is empty',))})"

    def _photo_of(self, line: _Line | Unreadable | None) -> str | Problem | None:
        if isinstance(line, Unreadable):
            return Problem("unreadable-line", line.problem)
        return None if line is None else name_photo(self.collection, line.filename)


def _kept(begin: int, line: _Line | Unreadable | None) -> OdvgLine:
    caption = line.grounding.caption if isinstance(line, _Line) and line.grounding is not None else None
    return OdvgLine(begin, caption)
