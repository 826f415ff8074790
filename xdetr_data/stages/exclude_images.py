"""Leaves out the photos of benchmark splits, and keeps a ledger of which list hit how many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xdetr_data.sources.exclusion_list import ExclusionList


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
