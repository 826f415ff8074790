"""Leaves out the photos of benchmark splits, and keeps a ledger of which list hit how many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

ANY_SOURCE = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionList:
    """Photo ids to leave out, by source (``any`` for ids that name none)."""

    path: str
    format: str
    ids: dict[str, frozenset[str]]

    @property
    def size(self) -> int:
        """How many ids the list holds."""
        return sum(map(len, self.ids.values()))

    def matches(self, source: str, identity: str) -> bool:
        """Whether the list names this photo."""
        return identity in self.ids.get(source, ()) or identity in self.ids.get(ANY_SOURCE, ())


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Which list excluded how many photos of which source. A photo that two lists name counts in both."""

    hits: dict[str, dict[str, int]] = field(default_factory=dict)

    def record(self, path: str, source: str) -> None:
        """Counts one hit."""
        by_source = self.hits.setdefault(path, {})
        by_source[source] = by_source.get(source, 0) + 1


def exclude_images(
    photos: Iterable[tuple[str, str]], lists: Sequence[ExclusionList]
) -> tuple[list[str | None], Ledger]:
    """For each photo (source, id) the path of the first list that names it, or None; and the ledger of all lists."""
    ledger = Ledger(hits={one.path: {} for one in lists})
    verdicts: list[str | None] = []
    for source, identity in photos:
        naming = [one.path for one in lists if one.matches(source, identity)]
        for path in naming:
            ledger.record(path, source)
        verdicts.append(naming[0] if naming else None)
    return verdicts, ledger
