"""What became of one photo and of every element that speaks of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from xdetr_data.accounting import Tally
from xdetr_data.record import GroundedImage, ImageRef, Rejected
from xdetr_data.sources.elements import Element, PhotoElements
from xdetr_data.sources.framing.files import Unreadable

READ = "read_elements"


class HasId(Protocol):
    """An annotation or a box, as its format has it."""

    @property
    def id(self) -> int | str:
        """Unique in its file."""


Identified = TypeVar("Identified", bound=HasId)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoToBuild:
    """A photo that can be read, or without photos its name and size alone; ``stated_hw`` is what the inputs say."""

    key: str
    image: ImageRef
    stated_hw: tuple[int, int]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The photo's record or None; every element is either counted as used or among the rejects.

    ``tables`` are rows for the further tables of the recipe, by name.
    """

    key: str
    record: GroundedImage | None = None
    used: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    rejects: list[Rejected] = field(default_factory=list)
    tables: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)

    def use(self, unit: str, count: int = 1) -> None:
        """Counts elements that are part of the record."""
        self.used[unit] = self.used.get(unit, 0) + count

    def note(self, what: str, count: int = 1) -> None:
        """Counts something worth knowing that dropped nothing."""
        self.notes[what] = self.notes.get(what, 0) + count

    def reject(self, unit: str, stage: str, reason: str, detail: str = "", *, where: str = "") -> None:
        """Drops the photo or an element of it."""
        self.rejects.append(
            Rejected(key=self.key, unit=unit, stage=stage, reason=reason, detail=detail, input_ref=where)
        )

    def readable(
        self, unit: str, elements: Iterable[Element], parsed: Iterable[Identified | Unreadable]
    ) -> Iterator[tuple[Element, Identified]]:
        """Elements with their values; those that are unreadable, or whose id an earlier one has, are rejected."""
        seen: set[tuple[str, int | str]] = set()
        for element, value in zip(elements, parsed, strict=True):
            if isinstance(value, Unreadable):
                self.reject(unit, READ, f"unreadable-{unit}", value.problem, where=element.where)
            elif (element.label, value.id) in seen:
                self.reject(unit, READ, "duplicate-annotation-id", f"id {value.id}", where=element.where)
            else:
                seen.add((element.label, value.id))
                yield element, value


@dataclass(slots=True)
class Ledger:
    """What a shard collects besides its samples."""

    tally: Tally = field(default_factory=Tally)
    rejects: list[Rejected] = field(default_factory=list)
    tables: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)

    def enter(self, outcome: Outcome, elements: PhotoElements | None = None) -> None:
        """Counts what became of a photo and, of its elements, which input gave them; keeps its rejects and tables."""
        for unit, count in outcome.used.items():
            self.tally.went_out(unit, count)
        for what, count in outcome.notes.items():
            self.tally.note(what, count)
        for reject in outcome.rejects:
            self.tally.rejected(reject.unit, reject.stage, reject.reason)
        used = elements.used(outcome.rejects) if elements is not None else {}
        for (label, unit), count in [*used.items(), *(((label, "photo"), 1) for label in {one for one, _ in used})]:
            self.tally.contributed(label, unit, count)
        self.rejects += outcome.rejects
        for name, rows in outcome.tables.items():
            self.tables.setdefault(name, []).extend(rows)
