"""The first look at an input: where its chunks are, what came in, and which photos it names."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.record import Rejected
from xdetr_data.shards.photo_index import BLANK, REJECTED, Codes
from xdetr_data.sources.framing.files import ChunkRange, chunk_range
from xdetr_data.sources.protocol import Heads, Kind, Problem, Source, Stated, place_of
from xdetr_data.stages.choose_photos import STAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the plan needs of an input.

    Attributes:
        ranges: its chunks.
        names: the photos that it names ``[P]``, strings in the order of first mention, with what it states of each.
        photo_of_row: for each element that introduces photos, a position in ``names``, REJECTED or BLANK.
        ids: what elements that hang on these call them ``[M]``, with position or REJECTED ``[M]`` in ``row_of_id``.
        sizes: bytes of each of these elements, where only those of photos that are built count.
    """

    ranges: list[ChunkRange]
    names: pa.Array
    stated: list[tuple[Stated, ...]]
    photo_of_row: Codes
    ids: NDArray[np.int64]
    row_of_id: Codes
    sizes: NDArray[np.int64] | None
    tally: Tally
    rejects: list[Rejected]


@dataclass(slots=True)
class _Scanner:
    """What grows while a file is read; photos that are introduced are numbered in the order of first mention."""

    source: Source
    ranges: list[ChunkRange] = field(default_factory=list)
    row_of: dict[str, int] = field(default_factory=dict)
    stated: list[tuple[Stated, ...]] = field(default_factory=list)
    photo_of_row: list[int] = field(default_factory=list)
    row_of_id: dict[int, int] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    selecting: list[pa.Array] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    rejects: list[Rejected] = field(default_factory=list)
    first: tuple[str, str] | None = None  # place and detail of the first problem

    def introduce(self, kind: Kind, heads: Heads) -> None:
        """Elements whose photos are the dataset's."""
        assert heads.photo is not None
        nobody: list[None] = [None] * len(heads.row)
        columns = (heads.row.tolist(), heads.photo.to_pylist(), heads.ids or nobody, heads.stated or nobody)
        for row, name, identity, stated in zip(*columns, strict=True):
            problem = heads.problems.get(row)
            if identity in self.row_of_id and (problem is None or problem.reason != f"unreadable-{kind.unit}"):
                problem = Problem(f"duplicate-{kind.unit}-id", f"id {identity} is taken by an earlier {kind.unit}")
                if self.row_of.get(name) != self.row_of_id[identity]:  # nobody knows whose what hangs on it is
                    self.row_of_id[identity] = REJECTED
            if problem is not None:
                code = REJECTED
                self._reject(kind, row, problem)
            elif name is None:
                code = BLANK
            elif (code := self.row_of.setdefault(name, len(self.row_of))) == len(self.stated):
                self.stated.append(() if stated is None else (stated,))
            elif stated is not None and stated not in self.stated[code]:
                self.stated[code] += (stated,)
            self.photo_of_row.append(code)
            if identity is not None and -(1 << 63) <= identity < 1 << 63:
                self.row_of_id.setdefault(identity, code)
        self.sizes += heads.sizes or ()
        self.tally.came_in(kind.unit, len(heads.row) - self.photo_of_row[-len(heads.row) :].count(BLANK))

    def select(self, kind: Kind, heads: Heads) -> None:
        """Elements that photos are chosen by; their problems are the partition's rejects."""
        if heads.problems:
            row, problem = next(iter(heads.problems.items()))
            self.first = self.first or (place_of(self.source.label, kind.array, row), problem.detail)
        self.selecting.append(pc.unique(pc.drop_null(heads.photo)))

    def _reject(self, kind: Kind, row: int, problem: Problem) -> None:
        where = place_of(self.source.label, kind.array, row)
        self.first = self.first or (where, problem.detail)
        self.tally.rejected(kind.unit, STAGE, problem.reason)
        self.rejects.append(
            Rejected(key="", unit=kind.unit, stage=STAGE, reason=problem.reason, detail=problem.detail, input_ref=where)
        )


def scan(_: None, numbered: tuple[int, Source]) -> tuple[int, Scan]:
    """Reads the ids of one input (and its number, handed on), once, in bounded memory.

    Raises InputError where the file is of another format.
    """
    number, source = numbered
    scanner = _Scanner(source)
    for chunk in source.chunks():
        scanner.ranges.append(chunk_range(chunk))
        kind = source.kinds[source.kind_of(chunk.name)]
        if kind.introduces:
            scanner.introduce(kind, source.heads(chunk))
            continue
        scanner.tally.came_in(kind.unit, chunk.count)
        if kind.selects:
            scanner.select(kind, source.heads(chunk))
    names = [pa.array(scanner.row_of, pa.string()), *scanner.selecting]
    named = pc.unique(pa.chunked_array(names)) if scanner.selecting else names[0]
    if not len(named) and (error := source.nothing(scanner.first)) is not None:
        raise InputError(error)
    ids = np.array(sorted(scanner.row_of_id), dtype=np.int64)
    return number, Scan(
        ranges=scanner.ranges,
        names=named,
        stated=scanner.stated,
        photo_of_row=np.array(scanner.photo_of_row, dtype=np.int32),
        ids=ids,
        row_of_id=np.array([scanner.row_of_id[one] for one in ids.tolist()], dtype=np.int32),
        sizes=np.array(scanner.sizes, dtype=np.int64) if scanner.sizes else None,
        tally=scanner.tally,
        rejects=scanner.rejects,
    )
