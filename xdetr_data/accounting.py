"""In = out + rejected, for every unit (photos, paragraphs, annotations, boxes), with stage and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from xdetr_data.errors import XdetrDataError

_IN, _OUT, _NOTE, _INPUT = "in", "out", "note", "input"


class Tally:
    """Adds up what went in, came out and was rejected; tallies of tasks add up to the tally of the run."""

    def __init__(self, counts: Mapping[tuple[str, ...], int] | None = None) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter(counts or {})

    def came_in(self, unit: str, count: int = 1) -> None:
        """Counts units read from the input."""
        self._counts[unit, _IN] += count

    def went_out(self, unit: str, count: int = 1) -> None:
        """Counts units that are part of the output."""
        self._counts[unit, _OUT] += count

    def rejected(self, unit: str, stage: str, reason: str, count: int = 1) -> None:
        """Counts units that were dropped by a stage for a reason."""
        self._counts[unit, stage, reason] += count

    def note(self, what: str, count: int = 1) -> None:
        """Counts something worth knowing that dropped nothing (a clipped box, an ambiguous cut)."""
        self._counts[_NOTE, what] += count

    def contributed(self, label: str, unit: str, count: int = 1) -> None:
        """Counts what an input gave to the output: elements by their unit, and photos."""
        self._counts[_INPUT, label, unit] += count

    def contributions(self) -> dict[str, dict[str, int]]:
        """Label of an input → unit → what it gave."""
        result: dict[str, dict[str, int]] = {}
        for key, count in sorted(self._counts.items()):
            if key[0] == _INPUT:
                result.setdefault(key[1], {})[key[2]] = count
        return result

    def add(self, other: Tally) -> None:
        """Adds the counts of another tally."""
        self._counts.update(other._counts)

    def subtract(self, other: Tally) -> None:
        """Takes the counts of another tally out again; what reaches 0 is gone."""
        self._counts.subtract(other._counts)
        self._counts = +self._counts

    def count(self, *key: str) -> int:
        """One count, as in ``count("annotation", "in")`` or ``count("box", "merge_boxes", "duplicate-of-region")``."""
        return self._counts[key]

    def units(self) -> list[str]:
        """The units that were counted, in alphabetical order."""
        return sorted({key[0] for key in self._counts if key[0] not in (_NOTE, _INPUT)})

    def rejects(self, unit: str) -> dict[str, dict[str, int]]:
        """Stage → reason → count of one unit's rejects."""
        result: dict[str, dict[str, int]] = {}
        for key, count in sorted(self._counts.items()):
            if key[0] == unit and len(key) == 3 and count:
                result.setdefault(key[1], {})[key[2]] = count
        return result

    def total_rejected(self, unit: str) -> int:
        """How many of a unit were rejected, over all stages and reasons."""
        return sum(count for key, count in self._counts.items() if key[0] == unit and len(key) == 3)

    def unbalanced(self) -> list[str]:
        """A line for every unit whose in ≠ out + rejected."""
        lines = []
        for unit in self.units():
            came_in, went_out, lost = self.count(unit, _IN), self.count(unit, _OUT), self.total_rejected(unit)
            if came_in != went_out + lost:
                lines.append(f"{unit}: {came_in} in, but {went_out} out + {lost} rejected")
        return lines

    def check(self) -> None:
        """Raises XdetrDataError where something was lost without a reason: a defect, not the user's fault."""
        if lines := self.unbalanced():
            raise XdetrDataError(f"the accounting does not balance ({'; '.join(lines)}); please report this")

    def to_builtins(self) -> dict[str, Any]:
        """``{"units": {unit: {"in", "out", "rejected": {stage: {reason: n}}}}, "notes": {what: n}}``.

        And ``"inputs": {label: {unit: n}}`` where it is known what inputs gave.
        """
        given = self.contributions()
        return {
            "units": {
                unit: {"in": self.count(unit, _IN), "out": self.count(unit, _OUT), "rejected": self.rejects(unit)}
                for unit in self.units()
            },
            "notes": {key[1]: count for key, count in sorted(self._counts.items()) if key[0] == _NOTE},
        } | ({"inputs": given} if given else {})

    @classmethod
    def from_builtins(cls, data: Mapping[str, Any]) -> Tally:
        """Inverts ``to_builtins``; raises XdetrDataError for what it never wrote."""
        tally = cls()
        try:
            for unit, flows in data["units"].items():
                tally.came_in(unit, flows["in"])
                tally.went_out(unit, flows["out"])
                for stage, reasons in flows["rejected"].items():
                    for reason, count in reasons.items():
                        tally.rejected(unit, stage, reason, count)
            for what, count in data["notes"].items():
                tally.note(what, count)
            for label, given in data.get("inputs", {}).items():
                for unit, count in given.items():
                    tally.contributed(label, unit, count)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise XdetrDataError(f"the accounting is none ({type(error).__name__}: {error})") from error
        return tally


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    result = Tally()
    for tally in tallies:
        result.add(tally)
    return result
