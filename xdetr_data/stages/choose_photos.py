"""Which of the photos that came up are built, and why not the others."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from xdetr_data.accounting import Tally
from xdetr_data.photos.ids import ending_of, is_of_collection, path_id, photo_key
from xdetr_data.record import Rejected
from xdetr_data.shards.photo_index import AMBIGUOUS, BEYOND_LIMIT, EXCLUDED, MISSING, REJECTED, Index
from xdetr_data.sources import listing
from xdetr_data.sources.listing import Listing, PhotoFile
from xdetr_data.sources.places import Containers, Places
from xdetr_data.sources.protocol import FoundPhoto, PhotoSource, Problem, Stated

STAGE = "plan"
_ABSENT = {listing.MISSING: MISSING, listing.AMBIGUOUS: AMBIGUOUS}
PHOTO_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("source", pa.string()),
        ("file_name", pa.string()),
        ("height", pa.int32()),  # as stated, 0 where nothing states it
        ("width", pa.int32()),
        ("address", pa.string()),  # null where the photo is not at hand
        ("offset", pa.int64()),  # in the container at that address, null where the photo is a file of its own
        ("bytes", pa.int64()),
        ("problem", pa.string()),  # of a photo that is not at hand: reason and detail
        ("detail", pa.string()),
    ]
)


class Candidate(NamedTuple):
    """A photo that came up, as a row of the photo table, with its names and what is stated of it; or its problem."""

    source: str
    id: str
    names: tuple[str, ...]
    file_name: str = ""
    height: int = 0
    width: int = 0
    address: str | None = None
    offset: int | None = None
    bytes: int = 0
    stated: tuple[Stated, ...] = ()
    problem: Problem | None = None
    where: str = ""
    own_key: str = ""

    @property
    def key(self) -> str:
        """Key of its sample."""
        return self.own_key or photo_key(self.source, self.id)

    @property
    def row(self) -> dict[str, object]:
        """Its row of the photo table."""
        reason, detail = self.problem or (None, None)
        return self._asdict() | {"key": self.key, "problem": reason, "detail": detail}


@dataclass(slots=True, kw_only=True)
class Choice:
    """The photos that are built, in the order in which they came up; and by every name its row or why it has none."""

    photos: list[Candidate] = field(default_factory=list)
    code_of: dict[str, int] = field(default_factory=dict)
    rejects: list[Rejected] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def tables(self) -> tuple[pa.Table, Index]:
        """The photo table, ordered by key, and the index into it."""
        order = sorted(range(len(self.photos)), key=lambda row: self.photos[row].key)
        rank = {row: place for place, row in enumerate(order)}
        rows = [self.photos[row].row for row in order]
        return pa.Table.from_pylist(rows, PHOTO_SCHEMA), Index.of({n: rank.get(c, c) for n, c in self.code_of.items()})


def named_photos(stated: Iterable[tuple[str, Sequence[Stated]]]) -> list[Candidate]:
    """The photos that inputs name, each once, in the order of first mention, with all that differs in what they say."""
    all_stated: dict[str, dict[Stated, None]] = {}
    for name, about in stated:
        all_stated.setdefault(name, {}).update(dict.fromkeys(about))
    return [_named(name, tuple(about)) for name, about in all_stated.items()]


def _named(name: str, stated: tuple[Stated, ...]) -> Candidate:
    source, _, identity = name.partition("/")
    first = stated[0] if stated else Stated("", 0, 0)
    height, width = _side(first.height), _side(first.width)
    return Candidate(source, identity, (name,), file_name=first.file_name, height=height, width=width, stated=stated)


def brought_photos(
    places: Containers, found: Iterable[tuple[PhotoSource, Sequence[FoundPhoto]]], labelled: pa.Array
) -> list[Candidate]:
    """The photos that containers bring; ``labelled`` are the names that elements use.

    Where two photos have one id, as those of two downloads that are numbered from 0, each is called by its name, too.
    """
    candidates = []
    found = list(found)
    named = (photo for _, photos in found for photo in photos if photo.names and photo.problem is None)
    times = Counter((photo.source, photo.id) for photo in named)
    for container, photos in found:
        stem = container.path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".tar")
        names = pa.array([name for photo in photos for name in photo.names], pa.string())
        used = dict(zip(names.to_pylist(), pc.is_in(names, value_set=labelled).to_pylist(), strict=True))
        for one in photos:
            is_shared = times[one.source, one.id] > 1 and one.names
            candidates.append(
                Candidate(
                    source=one.source or places.source,
                    own_key=one.key,
                    id=f"{one.id}-{one.names[0].rpartition('/')[2]}" if is_shared else one.id,
                    names=one.names,
                    file_name=f"{stem}/{one.id}",
                    address=container.path,
                    offset=one.offset,
                    bytes=one.size,
                    problem=one.problem or (None if any(map(used.get, one.names)) else places.unlabelled),
                    where=f"{stem}#{one.id}",
                )
            )
    return candidates


def choose_photos(
    candidates: Sequence[Candidate], verdicts: Sequence[str | None], places: Places, limit: int | None
) -> Choice:
    """Takes the first ``limit`` photos that nothing speaks against; ``verdicts`` are the lists that exclude them."""
    choice = Choice()
    keys: set[str] = set()
    choice.tally.came_in("photo", len(candidates))
    for one, verdict in zip(candidates, verdicts, strict=True):
        stage, problem = STAGE, one.problem or _twice(one, places, choice.code_of, keys)
        if verdict is not None:
            code, stage, problem = EXCLUDED, "exclude_images", Problem("excluded", verdict)
        elif problem is not None and problem.reason not in _ABSENT:
            code = REJECTED
        elif limit is not None and len(choice.photos) >= limit:
            code, problem = BEYOND_LIMIT, None
            choice.tally.rejected("photo", "limit", "beyond-limit")
        elif problem is not None:
            code = _ABSENT[problem.reason]
        else:
            code = len(choice.photos)
            choice.photos.append(one)
            keys.add(one.key)
        for name in one.names:
            choice.code_of.setdefault(name, code)
        if problem is not None:
            choice.tally.rejected("photo", stage, problem.reason)
            choice.rejects.append(
                Rejected(key=one.key, unit="photo", stage=stage, input_ref=one.where, **problem._asdict())
            )
    return choice


def _twice(one: Candidate, places: Places, code_of: dict[str, int], keys: set[str]) -> Problem | None:
    """Why a photo that a container brings cannot be told apart, or None."""
    if not isinstance(places, Containers):
        return None
    if any(name in code_of for name in one.names):
        return places.twice
    if one.key in keys:
        return Problem("duplicate-key", f"an earlier photo of the {places.what} has the same key")
    return None


def locate(photos: Sequence[Candidate], listings: Mapping[str, Listing]) -> list[Candidate]:
    """Photos with their files, or with the problem that they have none; and of several photos that
    would be one file, only the one that is called as it is has it.

    One that no input calls by a file's name is called by its own.
    """
    found = [listings[photo.source].find(photo.id, photo.stated) for photo in photos]
    claims: dict[PhotoFile, list[Candidate]] = defaultdict(list)
    for photo, file in zip(photos, found, strict=True):
        if isinstance(file, PhotoFile):
            claims[file].append(photo)
    return [
        photo._replace(problem=file) if isinstance(file, Problem) else _at(photo, file, claims[file])
        for photo, file in zip(photos, found, strict=True)
    ]


def _at(photo: Candidate, file: PhotoFile, claimants: Sequence[Candidate]) -> Candidate:
    """The photo with its file; of several photos that may be one file, only the one that is called as it is."""
    if len(claimants) > 1 and not _is_called(photo, file):
        names = " and ".join(sorted(one.file_name or one.id for one in claimants)[:2])
        detail = f"{file.path} may be {names}, which are different photos; name photos by their paths below the root"
        return photo._replace(problem=Problem(listing.AMBIGUOUS, detail))
    own = file.path.rpartition("/")[2] if is_of_collection(photo.source, photo.id) else file.path
    name = photo.file_name if ending_of(photo.file_name) else own
    return photo._replace(address=file.address, bytes=file.bytes, file_name=name)


def _is_called(photo: Candidate, file: PhotoFile) -> bool:
    """Whether the photo's path is the file's."""
    return photo.id == path_id(file.path) or photo.file_name == file.path


def _side(value: int) -> int:
    return value if 0 <= value < 1 << 31 else 0  # no photo has such a side: its elements are rejected in the shard
