"""What an ``--exclude`` list says, whatever its format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from xdetr_data.photos.ids import is_number, is_of_collection, path_id, photo_id, photo_key, stem_of
from xdetr_data.sources.places import ANY_SOURCE

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

        One that is known by its path is named by the path, by a part of it that ends as it does, by a longer one, or by
        its key in this project.
        """
        names = self.names_for(source)
        if is_of_collection(source, identity):
            return identity in _ids(names, source)
        paths, ends = _paths(names)
        path = _plain(identity)
        return path in ends or not paths.isdisjoint(_ends(path)) or photo_key(source, identity) in names

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
