"""A share of the photos of a dataset of classes, such that as few classes as possible are lost with the others."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from itertools import islice

import msgspec


class Subset(msgspec.Struct, frozen=True, kw_only=True):
    """Which photos of a file were kept: how many ``of`` how many, and the sha256 of their ids (``digest_of``).

    ``lost`` are the classes that are annotated in the file, but on none of these photos; ``unknown`` says how many ids
    of a list are of no photo of the file.
    """

    photos: int
    of: int
    sha256: str
    lost: tuple[int, ...] = ()
    unknown: int = 0


def draw_subset(classes_of: Mapping[str, Set[int]], *, share: float, seed: int) -> frozenset[str]:
    """Ids of a share of the photos, at least one, from each photo's classes; a function of ids, classes and seed.

    For each class that no chosen photo has, the rarest first, the first of its photos as the seed draws them; then
    photos as it draws them. Only where that loses a class, the photo with most classes that no chosen photo has: fewer
    photos are spoken for, but they are richer in classes. What is lost even so is the most frequent.
    """
    drawn = sorted(classes_of, key=lambda photo: hashlib.blake2b(f"{seed} {photo}".encode(), digest_size=8).digest())
    room = max(1, round(share * len(drawn)))
    photos_of: dict[int, list[str]] = {}
    for photo in drawn:
        for one in classes_of[photo]:
            photos_of.setdefault(one, []).append(photo)
    chosen: dict[str, None] = {}
    for among in (1, len(drawn)):
        chosen = dict.fromkeys(_cover(photos_of, classes_of, room, among))
        if len(set[int]().union(*(classes_of[photo] for photo in chosen))) == len(photos_of):
            break
    return frozenset(islice(dict.fromkeys([*chosen, *drawn]), room))


def _cover(
    photos_of: Mapping[int, Sequence[str]], classes_of: Mapping[str, Set[int]], room: int, among: int
) -> Iterator[str]:
    """At most ``room`` photos, for each class that they lack the best ``among`` the first of its photos."""
    covered: set[int] = set()
    for one in sorted(photos_of, key=lambda one: (len(photos_of[one]), one)):
        if one not in covered and room:
            best = max(photos_of[one][:among], key=lambda photo: len(classes_of[photo] - covered))
            covered |= classes_of[best]
            room -= 1
            yield best


def describe_subset(classes_of: Mapping[str, Set[int]], listed: Collection[str]) -> Subset:
    """What a manifest says of the listed photos."""
    kept = [photo for photo in classes_of if photo in listed]
    every = set[int]().union(*classes_of.values())
    lost = every.difference(*(classes_of[photo] for photo in kept))
    return Subset(
        photos=len(kept), of=len(classes_of), sha256=digest_of(kept), lost=tuple(sorted(lost)),
        unknown=len(listed) - len(kept),
    )  # fmt: skip


def digest_of(photos: Collection[str]) -> str:
    """sha256 of photo ids, one a line, the shortest first and then in alphabetical order: numbers by their size."""
    ordered = sorted(photos, key=lambda photo: (len(photo), photo))
    return hashlib.sha256("".join(f"{photo}\n" for photo in ordered).encode()).hexdigest()
