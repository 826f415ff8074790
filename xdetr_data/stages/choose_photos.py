"""Which of the photos that came up are built, and why not the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from xdetr_data.accounting import Tally
from xdetr_data.photos import MAX_KEY_CHARS, photo_key
from xdetr_data.record import Rejected
from xdetr_data.shards.photo_index import BEYOND_LIMIT, EXCLUDED, MISSING, REJECTED, Index
from xdetr_data.sources.places import Containers, Files, Places, Roots
from xdetr_data.sources.protocol import FoundPhoto, PhotoSource, Problem, Stated

STAGE = "plan"
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
    ]
)


class Candidate(NamedTuple):
    """A photo that came up, as a row of the photo table, with its names; or its problem."""

    source: str
    id: str
    names: tuple[str, ...]
    file_name: str = ""
    height: int = 0
    width: int = 0
    address: str | None = None
    offset: int | None = None
    bytes: int = 0
    problem: Problem | None = None
    where: str = ""

    @property
    def key(self) -> str:
        """Key of its sample."""
        return photo_key(self.source, self.id)


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
        rows = [self.photos[row]._asdict() | {"key": self.photos[row].key} for row in order]
        return pa.Table.from_pylist(rows, PHOTO_SCHEMA), Index.of({n: rank.get(c, c) for n, c in self.code_of.items()})


def named_photos(stated: Iterable[tuple[str, Stated | None]]) -> list[Candidate]:
    """The photos that inputs name, each once, in the order of first mention."""
    first: dict[str, Stated | None] = {}
    for name, about in stated:
        first.setdefault(name, about)
    return [_named(name, about or Stated("", 0, 0)) for name, about in first.items()]


def _named(name: str, about: Stated) -> Candidate:
    source, _, identity = name.partition("/")
    height, width = _side(about.height), _side(about.width)
    return Candidate(source, identity, (name,), file_name=about.file_name, height=height, width=width)


def brought_photos(
    places: Containers, found: Iterable[tuple[PhotoSource, Sequence[FoundPhoto]]], labelled: pa.Array
) -> list[Candidate]:
    """The photos that containers bring; ``labelled`` are the names that elements use."""
    candidates = []
    for container, photos in found:
        stem = container.path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".tar")
        names = pa.array([name for photo in photos for name in photo.names], pa.string())
        used = dict(zip(names.to_pylist(), pc.is_in(names, value_set=labelled).to_pylist(), strict=True))
        for one in photos:
            candidates.append(
                Candidate(
                    source=places.source,
                    id=one.id,
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
        elif problem is not None:
            code = REJECTED
        elif limit is not None and len(choice.photos) >= limit:
            code = BEYOND_LIMIT
            choice.tally.rejected("photo", "limit", "beyond-limit")
        elif one.address is None and isinstance(places, Roots) and places.must_be_there:
            detail = f"photo {one.id} is not below the image root of {one.source}"
            code, problem = MISSING, Problem("missing-photo", detail)
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
    if len(one.key) > MAX_KEY_CHARS:
        key = one.key
        return Problem("key-too-long", f"key {key[:40]}… has {len(key)} characters, at most {MAX_KEY_CHARS} fit")
    return None


def locate(photos: Sequence[Candidate], files: Files) -> list[Candidate]:
    """Photos with the addresses of their files; one that no input calls by a file's name is called by its own."""
    found = [files.get(photo.names[0], (None, 0)) for photo in photos]
    return [
        photo._replace(address=address, bytes=size, file_name=photo.file_name or (address or "").rsplit("/", 1)[-1])
        for photo, (address, size) in zip(photos, found, strict=True)
    ]


def _side(value: int) -> int:
    return value if 0 <= value < 1 << 31 else 0  # no photo has such a side: its elements are rejected in the shard
