"""Which photos are indexed, those of a dataset or all below a folder: in shards, and where their bytes are."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from xdetr_data.accounting import Tally
from xdetr_data.addresses.identity import file_identity
from xdetr_data.addresses.trees import tree_of
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import MANIFEST, InputEntry, read_manifest
from xdetr_data.photos.ids import photo_id, photo_key
from xdetr_data.record import Rejected
from xdetr_data.shards.index import Place, decode_index, index_name, walk
from xdetr_data.shards.reader import PHOTO_SUFFIXES, intact_labels, read_batches, stems
from xdetr_data.shards.tar_stream import TarDamage, iter_headers
from xdetr_data.sources.listing import PhotoFile, list_photos
from xdetr_data.storage import Folder

PHOTOS_PER_SHARD = 1024  # of a folder; a dataset has shards of its own
SOURCE = "photos"  # what keys call the photos of a folder that is given without a source
PLAN = "plan"

Shard = tuple["PhotoAt", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoAt:
    """A photo to index, and where its bytes are: a file, or a stretch of a container."""

    key: str
    source: str
    file_name: str
    address: str
    offset: int | None
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPlan:
    """Photos by shard, ordered by key in each; what is left out, and the account of both.

    ``digest`` is a hash of which photos there are, with their sizes.
    """

    shards: list[Shard]
    inputs: list[InputEntry]
    rejects: list[Rejected]
    tally: Tally

    @property
    def photos(self) -> int:
        """How many photos are indexed."""
        return sum(map(len, self.shards))

    @property
    def bytes(self) -> int:
        """Of all photos."""
        return sum(one.bytes for shard in self.shards for one in shard)

    @property
    def digest(self) -> str:
        """A hash of which photos are in which shard, and of what is known of their bytes."""
        told = [[(one.key, one.file_name, one.offset, one.bytes) for one in shard] for shard in self.shards]
        return hashlib.sha256(msgspec.json.encode([told, [one.sha256 for one in self.inputs]])).hexdigest()


def plan_photos(places: Sequence[str], *, known: frozenset[str], limit: int | None) -> PhotoPlan:
    """Plans what to index of datasets (OUT) and folders (DIR, SOURCE=DIR).

    Photos with ``known`` keys are in the index already, and those beyond ``limit`` are not wanted: both are rejects, as
    is a second photo of the same key. Raises InputError where there is nothing to index.
    """
    inputs: list[InputEntry] = []
    found: list[list[PhotoAt]] = []
    rejects: list[Rejected] = []
    for place in places:
        source, root = _named(place)
        if source is None and Folder(root).exists(MANIFEST):
            shards, missing, entry = _of_dataset(root)
            rejects += missing
        else:
            shards, entry = _of_folder(source or SOURCE, root)
        found += shards
        inputs.append(entry)
    tally = Tally()
    tally.came_in("photo", sum(map(len, found)) + len(rejects))
    seen: set[str] = set()
    kept: list[Shard] = []
    for shard in found:
        wanted = []
        for one in sorted(shard, key=lambda one: (one.key, one.file_name)):
            reason = "already-indexed" if one.key in known else "same-key" if one.key in seen else ""
            reason = reason or ("beyond-limit" if limit is not None and len(seen) >= limit else "")
            if reason:
                rejects.append(_reject(one.key, reason, one.file_name))
                continue
            seen.add(one.key)
            wanted.append(one)
        if wanted:
            kept.append(tuple(wanted))
    for reject in rejects:
        tally.rejected("photo", reject.stage, reject.reason)
    plan = PhotoPlan(shards=kept, inputs=inputs, rejects=rejects, tally=tally)
    _check_not_empty(plan, places)
    return plan


def _check_not_empty(plan: PhotoPlan, places: Sequence[str]) -> None:
    if plan.photos or plan.tally.count("photo", PLAN, "already-indexed"):
        return
    reasons = plan.tally.rejects("photo").get(PLAN, {})
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()) or "no JPEG, PNG or WebP"
    raise InputError(
        f"{', '.join(places)}: no photo is left to index ({why}); give a finished dataset with photos, or a folder of "
        "photos"
    )


def _named(place: str) -> tuple[str | None, str]:
    """The source and the folder of ``SOURCE=DIR``; no source where the text is an address alone."""
    source, sign, root = place.partition("=")
    if not sign or "/" in source or ":" in source:
        return None, place
    if not (source and root):
        raise ConfigError(f"PHOTOS {place!r}: write it as DIR or SOURCE=DIR")
    return source, root


def _reject(key: str, reason: str, detail: str) -> Rejected:
    return Rejected(key=key, unit="photo", stage=PLAN, reason=reason, detail=detail)


def _of_folder(source: str, root: str) -> tuple[list[list[PhotoAt]], InputEntry]:
    files = list_photos(root)
    photos = sorted((_of_file(source, file) for file in files), key=lambda one: (one.key, one.file_name))
    listing = msgspec.json.encode([(file.path, file.bytes) for file in files])
    entry = InputEntry(
        role="photos",
        path=root,
        bytes=sum(file.bytes for file in files),
        sha256=hashlib.sha256(listing).hexdigest(),  # of names and sizes: the bytes are read once, by the model
    )
    return [photos[begin : begin + PHOTOS_PER_SHARD] for begin in range(0, len(photos), PHOTOS_PER_SHARD)], entry


def _of_file(source: str, file: PhotoFile) -> PhotoAt:
    return PhotoAt(
        key=photo_key(source, photo_id(source, file.path)),
        source=source,
        file_name=file.path,
        address=file.address,
        offset=None,
        bytes=file.bytes,
    )


def _of_dataset(address: str) -> tuple[list[list[PhotoAt]], list[Rejected], InputEntry]:
    """Photos of a dataset by shard, and rejects for samples without a photo."""
    folder = Folder(address)
    manifest = read_manifest(folder)
    shards: list[list[PhotoAt]] = []
    rejects: list[Rejected] = []
    tree = tree_of(address)
    for stem in stems(manifest):
        places = {place.key: place for place in _places(folder, stem)}
        photos = []
        for key, source, file_name in _names(folder, stem):
            extent = _photo_in(places.get(key))
            if extent is None:
                rejects.append(_reject(key, "no-photo", f"{stem}.tar holds its labels alone"))
                continue
            offset, size = extent
            photos.append(
                PhotoAt(
                    key=key,
                    source=source,
                    file_name=file_name,
                    address=tree.address(f"{stem}.tar"),
                    offset=offset,
                    bytes=size,
                )
            )
        shards.append(photos)
    size, digest = file_identity(folder.path(MANIFEST))
    return shards, rejects, InputEntry(role="dataset", path=address, bytes=size, sha256=digest)


def _places(folder: Folder, stem: str) -> list[Place]:
    if folder.exists(index_name(stem)):
        return decode_index(folder.read(index_name(stem)))
    try:
        with folder.open(f"{stem}.tar") as stream:
            return walk(iter_headers(stream))
    except (TarDamage, OSError) as error:
        raise InputError(
            f"{folder.path(stem)}.tar: cannot be read ({error}); see 'xdetr-data validate {folder.url}'"
        ) from error


def _photo_in(place: Place | None) -> tuple[int, int] | None:
    if place is None:
        return None
    return next((place.members[suffix] for suffix in PHOTO_SUFFIXES if suffix in place.members), None)


def _names(folder: Folder, stem: str) -> Iterator[tuple[str, str, str]]:
    """Key, source and file name of every sample of a shard."""
    with intact_labels(folder, stem):
        for batch in read_batches(folder, stem, ["key", "image.source", "image.file_name"], rows=1 << 14):
            images = batch["image"]
            assert isinstance(images, pa.StructArray)
            yield from zip(
                batch["key"].to_pylist(),
                images.field("source").to_pylist(),
                images.field("file_name").to_pylist(),
                strict=True,
            )
