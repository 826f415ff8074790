"""What all inputs say of one photo."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from xdetr_data.record import Rejected
from xdetr_data.sources.protocol import place_of


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
    """All that the inputs say of one photo by unit, each in the order of files and rows."""

    listed: dict[str, list[Element]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)

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
        used = Counter((one.label, unit) for unit, listed in self.listed.items() for one in listed)
        used.update((label, unit) for unit, rows in self.rows.items() for label, _, _ in rows.places)
        used.subtract((one.input_ref.rpartition("#")[0], one.unit) for one in rejects if one.input_ref)
        return +used

    def rejected(self, key: str, stage: str, reason: str, detail: str = "") -> list[Rejected]:
        """Rejects of the photo and with it of all its elements, for the photo's own reason."""
        return [Rejected(key=key, unit="photo", stage=stage, reason=reason, detail=detail)] + [
            Rejected(key=key, unit=unit, stage=stage, reason=reason, input_ref=where) for unit, where in self.wheres()
        ]
