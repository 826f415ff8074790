"""What became of one photo and of every element that speaks of it."""

from dataclasses import dataclass, field

from xdetr_data.accounting import Tally
from xdetr_data.record import GroundedImage, Rejected


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The photo's record or None; every element is either counted as used or among the rejects."""

    record: GroundedImage | None = None
    used: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    rejects: list[Rejected] = field(default_factory=list)

    def use(self, unit: str, count: int = 1) -> None:
        """Counts elements that are part of the record."""
        self.used[unit] = self.used.get(unit, 0) + count

    def note(self, what: str, count: int = 1) -> None:
        """Counts something worth knowing that dropped nothing."""
        self.notes[what] = self.notes.get(what, 0) + count

    def count_into(self, tally: Tally) -> None:
        """Adds what was used, rejected and noted to a tally."""
        for unit, count in self.used.items():
            tally.went_out(unit, count)
        for reject in self.rejects:
            tally.rejected(reject.unit, reject.stage, reject.reason)
        for what, count in self.notes.items():
            tally.note(what, count)
