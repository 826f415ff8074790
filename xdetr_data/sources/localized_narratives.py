"""Localized Narratives: one spoken description of one photo a line, with timed words and the mouse's traces.

Lines are large (10-100 kB, nearly all of it traces), so planning decodes ids only. Times are seconds from the start of
the recording, for words and traces alike. Trace coordinates are in units of the photo and may lie outside [0, 1].
Source: google.github.io/localized-narratives, "File formats".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from xdetr_data.sources.framing.files import CHUNK_BYTES, ArrayChunk, Unreadable
from xdetr_data.sources.framing.json_records import parse_record
from xdetr_data.sources.framing.lines import LINES, iter_line_chunks, split_lines
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, name_photo

_UNKNOWN = "dataset_id"
_SPLIT = re.compile(r"[_-]*(train|val|test)[a-z0-9_-]*\Z")
_NOT_WORD = re.compile(r"[^a-z0-9]")
# What a dataset id begins with once it is spelled plainly: "mscoco_val2017", "open_images_train", "Flickr30k_train" …
_SOURCES = (
    ("mscoco", "coco"),
    ("coco", "coco"),
    ("flickr30k", "flickr"),
    ("flick30k", "flickr"),
    ("ade20k", "ade20k"),
    ("openimages", "openimages"),
)


class Utterance(msgspec.Struct, frozen=True, gc=False):
    """A piece of the caption as it was spoken, one or several words; its length may be zero."""

    utterance: str
    start_time: float
    end_time: float


class TracePoint(msgspec.Struct, frozen=True, gc=False):
    """Where the mouse was, in units of the photo, at ``t`` seconds."""

    x: float
    y: float
    t: float


class NarrativeHead(msgspec.Struct, frozen=True, gc=False):
    """What planning needs of a narrative: its photo."""

    dataset_id: str
    image_id: str | int


class Narrative(msgspec.Struct, frozen=True):
    """One line. ``timed_caption`` and ``traces`` are empty where the file has none (the captions-only files).

    A trace is what the mouse drew between entering and leaving the photo; its points are in the order of time.
    """

    dataset_id: str
    image_id: str | int
    caption: str
    annotator_id: str | int = ""
    timed_caption: list[Utterance] | None = None
    traces: list[list[TracePoint]] | None = None
    voice_recording: str | None = None


_HEAD = msgspec.json.Decoder(NarrativeHead)
_NARRATIVE = msgspec.json.Decoder(Narrative)


def source_of(dataset_id: str, own: Sequence[str] = ()) -> str | None:
    """``mscoco_val2017`` → coco, ``open_images_train`` → openimages; also flickr and ade20k; None for anything else.

    Of collections that are called in ``own``, ``shop`` is that of ``shop`` and ``shop_train``.
    """
    small = dataset_id.lower()
    for name in own:
        if small == name or (small.startswith(name) and not small[len(name)].isalnum()):
            return name
    plain = _NOT_WORD.sub("", small)
    return next((source for begin, source in _SOURCES if plain.startswith(begin)), None)


def parse_head(line: bytes) -> NarrativeHead | Unreadable:
    """The ids of one line; the rest of it need only be JSON."""
    return parse_record(_HEAD, line)


def parse_narrative(line: bytes) -> Narrative | Unreadable:
    """One whole line."""
    return parse_record(_NARRATIVE, line)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizedNarratives(Source):
    """A file of narratives; each names its photo, which may be of one of the people's ``own`` collections."""

    role = "narratives"
    own: tuple[str, ...] = ()
    kinds = (Kind(unit="narrative", array=LINES, introduces=True),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """Chunks of whole lines."""
        return read_chunks(self.path)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each line; blank lines are no narratives."""
        lines = split_lines(chunk.data)
        heads = [None if not line or line.isspace() else parse_head(line) for line in lines]
        names = [None if head is None else _photo_of(head, self.own) for head in heads]
        return Heads(
            row=chunk.first_row + np.arange(len(lines)),
            photo=pa.array([name if isinstance(name, str) else None for name in names], pa.string()),
            problems={row: one for row, one in enumerate(names, chunk.first_row) if isinstance(one, Problem)},
            stated=[_stated(head) for head in heads],
            sizes=[len(line) for line in lines],
        )

    def nothing(self, first: tuple[str, str] | None) -> str:
        """A file without one narrative is of another format."""
        problem = ": ".join(first or ("it is empty",))
        if first is not None and first[1].startswith(_UNKNOWN):
            return f"{self.path}: no line is of a known collection ({problem})"
        return f"{self.path}: no line of it is a narrative ({problem}); give Localized Narratives JSONL"


def _photo_of(head: NarrativeHead | Unreadable, own: Sequence[str]) -> str | Problem:
    if isinstance(head, Unreadable):
        return Problem("unreadable-narrative", head.problem)
    source = source_of(head.dataset_id, own)
    if source is None:
        name = _NOT_WORD.sub("", _SPLIT.sub("", head.dataset_id.lower()))[:24] or "NAME"
        known = "is not of COCO, Flickr30k, ADE20k or OpenImages; if it is a collection of your own"
        return Problem("unknown-dataset", f"{_UNKNOWN} {head.dataset_id[:60]!r} {known}, say --images {name}=DIR")
    return name_photo(source, str(head.image_id))


def _stated(head: NarrativeHead | Unreadable | None) -> Stated | None:
    """What a narrative says of its photo where its id is more than a number: the folder that it lies in."""
    if head is None or isinstance(head, Unreadable) or "/" not in str(head.image_id):
        return None
    return Stated(str(head.image_id), 0, 0)


def read_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Chunks of whole lines of a narratives file; raises InputError where the file cannot be read."""
    return iter_line_chunks(path, chunk_bytes=chunk_bytes)


def narrative_lines(chunk: ArrayChunk) -> Iterator[tuple[int, bytes]]:
    """Number (from 0) and bytes of each line of a chunk that is not blank."""
    for number, line in enumerate(split_lines(chunk.data), chunk.first_row):
        if line and not line.isspace():
            yield number, line


def read_narratives(path: str) -> Iterator[tuple[int, Narrative | Unreadable]]:
    """Number (from 0) of each line that is not blank, with its narrative or why it is none."""
    for chunk in read_chunks(path):
        for number, line in narrative_lines(chunk):
            yield number, parse_narrative(line)
