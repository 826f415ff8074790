"""The first look at an input of a pseudo-label run: where its chunks are and which photos it names."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.build import input_label
from pipelines.partitioning import ChunkRange, chunk_range
from xdetr_data.errors import InputError
from xdetr_data.photos import MAX_KEY_CHARS, photo_id, photo_key, unsafe_file_name
from xdetr_data.record import Rejected
from xdetr_data.sources import localized_narratives, openimages
from xdetr_data.sources.framing.json_stream import Unreadable

STAGE = "plan"
REJECTED, BLANK = -1, -6  # in place of a line's photo

Pair = tuple[str, str]  # source and photo id


NumberedPath = tuple[int, str]  # of an input among those of its kind


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrativeScan:
    """A narratives file: its photos in the order of first mention, and for each line its photo (a position, or
    REJECTED or BLANK) and its bytes. ``count`` is the number of lines that are not blank."""

    path: str
    label: str
    chunks: list[ChunkRange]
    pairs: list[Pair]
    pair_of_line: NDArray[np.int32]
    line_bytes: NDArray[np.int64]
    count: int
    rejects: list[Rejected]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxScan:
    """A box file: its columns and where its rows are."""

    path: str
    label: str
    chunks: list[ChunkRange]
    columns: list[str]


def line_ref(label: str, line: int) -> str:
    """What a reject calls a line (counted from 0) of an input: ``train-annotations-bbox#L2`` is the first row."""
    return f"{label}#{line_name(line)}"


def line_name(line: int) -> str:
    """``L2`` for line 1 counted from 0: the number that an editor shows."""
    return f"L{line + 1}"


def scan_boxes(_: None, item: NumberedPath) -> tuple[int, BoxScan]:
    """Scans one box file; raises InputError where it is of another format."""
    number, path = item
    columns = openimages.read_header(path)
    chunks = [chunk_range(chunk) for chunk in openimages.read_chunks(path)]
    return number, BoxScan(path=path, label=input_label(path), chunks=chunks, columns=columns)


def scan_narratives(_: None, item: NumberedPath) -> tuple[int, NarrativeScan]:
    """Scans one narratives file; raises InputError where no line of it is a narrative."""
    number, path = item
    return number, _scan_narratives(path)


def _scan_narratives(path: str) -> NarrativeScan:
    label = input_label(path)
    chunks: list[ChunkRange] = []
    position_of: dict[Pair, int] = {}
    pair_of_line: list[int] = []
    line_bytes: list[int] = []
    rejects: list[Rejected] = []
    for chunk in localized_narratives.read_chunks(path):
        chunks.append(chunk_range(chunk))
        begin = len(pair_of_line) - chunk.first_row
        pair_of_line += [BLANK] * chunk.count
        line_bytes += [0] * chunk.count
        for line, data in localized_narratives.narrative_lines(chunk):
            line_bytes[begin + line] = len(data)
            place = _place(localized_narratives.parse_head(data))
            if isinstance(place, _Problem):
                pair_of_line[begin + line] = REJECTED
                rejects.append(place.reject(line_ref(label, line)))
            else:
                pair_of_line[begin + line] = position_of.setdefault(place, len(position_of))
    if not position_of:
        problem = f"{rejects[0].input_ref}: {rejects[0].detail}" if rejects else "it is empty"
        raise InputError(f"{path}: no line of it is a narrative ({problem}); give Localized Narratives JSONL")
    return NarrativeScan(
        path=path,
        label=label,
        chunks=chunks,
        pairs=list(position_of),
        pair_of_line=np.array(pair_of_line, dtype=np.int32),
        line_bytes=np.array(line_bytes, dtype=np.int64),
        count=len(pair_of_line) - pair_of_line.count(BLANK),
        rejects=rejects,
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str
    detail: str

    def reject(self, where: str) -> Rejected:
        return Rejected(key="", unit="narrative", stage=STAGE, reason=self.reason, detail=self.detail, input_ref=where)


def _place(head: localized_narratives.NarrativeHead | Unreadable) -> Pair | _Problem:
    """The photo that a narrative speaks of, or why it cannot be looked for."""
    if isinstance(head, Unreadable):
        return _Problem("unreadable-narrative", head.problem)
    if head.source is None:
        return _Problem("unknown-dataset", f"dataset_id {head.dataset_id!r}")
    image_id = str(head.image_id)
    if (unsafe := unsafe_file_name(image_id)) is not None:
        return _Problem("unsafe-file-name", unsafe)
    pair = (head.source, photo_id(image_id))
    key = photo_key(*pair)
    if len(key) > MAX_KEY_CHARS:
        detail = f"key {key[:40]}… has {len(key)} characters, at most {MAX_KEY_CHARS} fit"
        return _Problem("file-name-too-long", detail)
    return pair
