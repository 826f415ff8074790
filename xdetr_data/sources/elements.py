"""What all inputs say of one photo."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from xdetr_data.record import Rejected
from xdetr_data.sources.protocol import ELEMENT_BYTES, place_of


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an input as it stands there: the input's label, the array, the row, and its own bytes."""

    label: str
    array: str
    row: int
    data: bytes

    @property
    def where(self) -> str:
        """What a reject calls it: ``final_mixed_train#annotations[12]``."""
        return place_of(self.label, self.array, self.row)


@dataclass(frozen=True, slots=True)
class Rows:
    """Elements of a source of table rows: their columns, and of each its input's label, its array and its row."""

    table: pa.Table
    places: list[tuple[str, str, int]]

    @property
    def wheres(self) -> list[str]:
        """What rejects call them."""
        return [place_of(*place) for place in self.places]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoElements:
    """All that the inputs say of one photo by unit, each in the order of files and rows.

    ``counts`` are how many elements of each input (by label) and unit these are.
    """

    listed: dict[str, list[Element]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def __getitem__(self, unit: str) -> list[Element]:
        return self.listed.get(unit, [])

    def wheres(self) -> Iterator[tuple[str, str]]:
        """Unit and place of every element."""
        for unit, elements in self.listed.items():
            for element in elements:
                yield unit, element.where
        for unit, rows in self.rows.items():
            for where in rows.wheres:
                yield unit, where

    def used(self, rejects: Iterable[Rejected]) -> Counter[tuple[str, str]]:
        """How many elements of which input (by label) and unit are left once these are rejected."""
        used = Counter(self.counts)
        used.subtract((one.input_ref.rpartition("#")[0], one.unit) for one in rejects if one.input_ref)
        return +used

    def rejected(self, key: str, stage: str, reason: str, detail: str = "") -> list[Rejected]:
        """Rejects of the photo and with it of all its elements, for the photo's own reason."""
        return [Rejected(key=key, unit="photo", stage=stage, reason=reason, detail=detail)] + [
            Rejected(key=key, unit=unit, stage=stage, reason=reason, input_ref=where) for unit, where in self.wheres()
        ]


class SpilledElements:
    """A shard's elements of one schema (``read_spills``), found by the row of their photo."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        owner, files, kinds, self._rows = (table[name].to_numpy() for name in ("photo", "file", "kind", "row"))
        begins = [*np.flatnonzero(np.diff(owner, prepend=-1)).tolist(), len(owner)]
        self._extents = {int(owner[begin]): (begin, end) for begin, end in pairwise(begins)}
        changes = np.diff(owner, prepend=-1) | np.diff(files, prepend=-1) | np.diff(kinds, prepend=-1)
        self._runs = [*np.flatnonzero(changes).tolist(), len(owner)]  # of one photo, input and kind each
        self._of_run = list(zip(files[self._runs[:-1]].tolist(), kinds[self._runs[:-1]].tolist(), strict=True))

    def add_to(self, elements: PhotoElements, photo: int, places: list[list[tuple[str, str, str]]]) -> None:
        """Adds a photo's elements; ``places`` are label, array and unit by file and kind."""
        begin, end = self._extents.get(photo, (0, 0))
        if begin == end:
            return
        part = self._table.slice(begin, end - begin)
        is_listed = part.schema.names[-1] == ELEMENT_BYTES.names[0]
        data = part["element"].to_pylist() if is_listed else ()
        rows = self._rows[begin:end].tolist()
        for run in range(bisect_left(self._runs, begin), bisect_left(self._runs, end)):
            first, last = self._runs[run] - begin, self._runs[run + 1] - begin
            file, kind = self._of_run[run]
            label, array, unit = places[file][kind]
            elements.counts[label, unit] = elements.counts.get((label, unit), 0) + last - first
            if is_listed:
                found = zip(rows[first:last], data[first:last], strict=True)
                elements.listed.setdefault(unit, []).extend([Element(label, array, row, one) for row, one in found])
            else:  # a source of table rows has one kind
                known = elements.rows.setdefault(unit, Rows(part, [])).places
                known.extend([(label, array, row) for row in rows[first:last]])
