"""Leaves out the photos of benchmark splits, and keeps a ledger of which list hit how many."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from xdetr_data.photo_ids import is_number, is_of_collection, path_id, photo_id, stem_of

ANY_SOURCE = "any"
VG_COPIES = "Visual Genome's image_data.json"  # the format of a list that names no photo to leave out, only copies


@dataclass(frozen=True, slots=True, kw_only=True)
class ExclusionList:
    """Photos to leave out, by source, as ids or names (``any``: of names that say no source).

    ``copies`` are Visual Genome's photos that are COCO photos, id by id: what other lists say of one holds for both.
    """

    path: str
    format: str
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many ids the list holds."""
        return sum(map(len, self.ids.values())) + len(self.copies)

    def matches(self, source: str, identity: str) -> bool:
        """Whether the list names this photo.

        One that is known by its path is named by the path, by a part of it that ends as it does, or by a longer one.
        """
        names = self.names_for(source)
        if is_of_collection(source, identity):
            return identity in _ids(names, source)
        paths, ends = _paths(names)
        path = _plain(identity)
        return path in ends or not paths.isdisjoint(_ends(path))

    def names_for(self, source: str) -> frozenset[str]:
        """The names that are looked for among the photos of a source."""
        return _both(self.ids.get(source, frozenset()), self.ids.get(ANY_SOURCE, frozenset()))


@lru_cache(maxsize=256)
def _both(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return one | other


@lru_cache(maxsize=256)
def _ids(names: frozenset[str], source: str) -> frozenset[str]:
    return frozenset(photo_id(source, name) for name in names)


@lru_cache(maxsize=256)
def _paths(names: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The names as paths, and all that these end in."""
    paths = frozenset(map(_plain, names))
    return paths, frozenset(end for path in paths for end in _ends(path))


def _plain(name: str) -> str:
    """A path without its ending and the zeros that its base name may begin with."""
    folders = path_id(name).rpartition("/")[0]
    stem = stem_of(name)
    stem = str(int(stem)) if is_number(stem) and len(stem) <= 40 else stem
    return f"{folders}/{stem}" if folders else stem


def _ends(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[at:]) for at in range(len(parts))]


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
