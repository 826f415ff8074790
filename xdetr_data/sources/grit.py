"""GRIT's lines (Kosmos-2), JSON lines or Parquet: a caption with noun chunks and referring expressions.

``{"key", "caption", "width", "height", "noun_chunks", "ref_exps"}``, where each chunk is ``[begin, end, x0, y0, x1, y1,
score]``: characters of the caption, and a box in shares of the photo's sides; the score is not read. A line names its
photo by ``file_name``, as exports of this tool do, or by img2dataset's ``key``, which lies in the folder of its first
five digits: ``00037/000373938.jpg``. Source: the data card of zzliang/GRIT.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from xdetr_data.boxes import scale_xyxy
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.parquet import is_parquet, iter_parquet_chunks
from xdetr_data.sources.region_lines import Line, Region, RegionLines

_COLUMNS = ("file_name", "key", "caption", "width", "height", "noun_chunks", "ref_exps")
_KEY_DIGITS, _SHARD_DIGITS = 9, 5  # of img2dataset's keys, which a table may hold as numbers


class _Line(msgspec.Struct, frozen=True, gc=False):
    caption: str
    width: int
    height: int
    file_name: str | None = None
    key: str | int | None = None
    noun_chunks: list[msgspec.Raw] | None = None
    ref_exps: list[msgspec.Raw] | None = None


_LINE = msgspec.json.Decoder(_Line, strict=False)
_CHUNK = msgspec.json.Decoder(list[float])
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grit(RegionLines):
    """A file of GRIT."""

    role = "grit"
    format = "GRIT"

    @staticmethod
    def parse(data: bytes) -> Line | Unreadable:
        """A caption with its chunks and expressions."""
        line = parse_record(_LINE, data)
        if isinstance(line, Unreadable):
            return line
        if not (name := line.file_name or _name_of_key(line.key)):
            return Unreadable(problem="has neither 'file_name' nor 'key'")
        if line.noun_chunks is None and line.ref_exps is None:
            return Unreadable(problem="has neither 'noun_chunks' nor 'ref_exps'")
        size_hw = (line.height, line.width)
        regions = [_region(one, size_hw) for one in (*(line.noun_chunks or ()), *(line.ref_exps or ()))]
        return Line(name, *size_hw, line.caption, regions)

    def lines(self) -> Iterator[ArrayChunk]:
        """Chunks of whole lines; the rows of Parquet as JSON."""
        if is_parquet(self.path):
            return iter_parquet_chunks(self.path, _COLUMNS)
        return RegionLines.lines(self)

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """Parquet, which has no lines, is read again as a whole."""
        if not is_parquet(self.path):
            return RegionLines.chunks_again(self, ranges)
        wanted = {(one.name, one.first_row) for one in ranges}
        return (chunk for chunk in self.chunks() if (chunk.name, chunk.first_row) in wanted)


def _name_of_key(key: str | int | None) -> str:
    name = str(key).zfill(_KEY_DIGITS) if isinstance(key, int) else key or ""
    return f"{name[:_SHARD_DIGITS]}/{name}.jpg" if name else ""


def _region(chunk: msgspec.Raw, size_hw: tuple[int, int]) -> msgspec.Raw:
    """A chunk in the form of all region lines; one that is no chunk is left as it is, and no region."""
    numbers = parse_record(_CHUNK, bytes(chunk))
    if isinstance(numbers, Unreadable) or len(numbers) not in (6, 7):
        return msgspec.Raw(bytes(chunk))
    begin, end, *shares = numbers[:6]
    if not (begin.is_integer() and end.is_integer()):
        return msgspec.Raw(bytes(chunk))
    x0, y0, x1, y1 = shares
    box = scale_xyxy((x0, y0, x1, y1), size_hw)
    return msgspec.Raw(_ENCODER.encode(Region(bbox=list(box), tokens_positive=[[int(begin), int(end)]])))
