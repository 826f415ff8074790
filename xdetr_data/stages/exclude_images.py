"""Leaves out the photos of benchmark splits, and keeps a ledger of which list hit how many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xdetr_data.sources.exclusion_list import ExclusionList


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Which list excluded how many photos of which source. A photo that two lists name counts in both.

    ``looked_for`` is how many of a list's ids can be photos of which source.
    """

    hits: dict[str, dict[str, int]] = field(default_factory=dict)
    looked_for: dict[str, dict[str, int]] = field(default_factory=dict)

    def record(self, path: str, source: str) -> None:
        """Counts one hit."""
        by_source = self.hits.setdefault(path, {})
        by_source[source] = by_source.get(source, 0) + 1


def exclude_images(
    photos: Sequence[tuple[str, str]], lists: Sequence[ExclusionList]
) -> tuple[list[str | None], Ledger]:
    """For each photo (source, id) the path of the first list that names it, or None; and the ledger of all lists.

    A photo that is known to be the copy of another is left out where the other is named, and counts as a hit of the
    list that knows it, too.
    """
    ledger = Ledger(hits={one.path: {} for one in lists}, looked_for={one.path: {} for one in lists})
    twins = _twins(lists)
    for source in sorted({source for source, _ in photos}):
        for one in lists:
            known = len(one.copies) if source in ("coco", "vg") else 0
            ledger.looked_for[one.path][source] = len(one.names_for(source)) + known
    verdicts: list[str | None] = []
    for source, identity in photos:
        naming = [one.path for one in lists if one.matches(source, identity)]
        for path, twin in twins.get((source, identity), ()):
            others = [one.path for one in lists if one.matches(*twin) and one.path not in naming]
            naming += [*others, path] if others else []
        for path in dict.fromkeys(naming):
            ledger.record(path, source)
        verdicts.append(naming[0] if naming else None)
    return verdicts, ledger


def _twins(lists: Iterable[ExclusionList]) -> dict[tuple[str, str], list[tuple[str, tuple[str, str]]]]:
    """For each photo that is another one, too: which list knows it, and the other's source and id."""
    twins: dict[tuple[str, str], list[tuple[str, tuple[str, str]]]] = {}
    for one in lists:
        for vg, coco in one.copies.items():
            twins.setdefault(("vg", vg), []).append((one.path, ("coco", coco)))
            twins.setdefault(("coco", coco), []).append((one.path, ("vg", vg)))
    return twins
