"""A finished dataset opened for training: checked once at the start, then read at random within the current shards.

A tar is walked from header to header once, when its first sample is wanted, so that one that is damaged is found before
it is trained on, index or not; from then on a sample is one read.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from tarfile import TarInfo

import numpy as np
from numpy.typing import NDArray

from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.groups import groups_per_sample
from xdetr_data.shards.index import Extent, walk
from xdetr_data.shards.reader import PHOTO_SUFFIXES, stems
from xdetr_data.shards.tar_stream import TarDamage, iter_headers
from xdetr_data.shards.writer import shard_name
from xdetr_data.storage import Folder

OPEN_FILES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a sample lies: the name of its tar, its place there, and the extents of its labels and its photo (None: it
    has none)."""

    key: str
    tar: str
    row: int
    labels: Extent
    photo: Extent | None


def open_shards(url: str, role: str) -> ShardSet:
    """The dataset of a source, or InputError in one line where it is incomplete, of another schema or without photos.

    Checks what costs no reading: the manifest and the sizes of the tars. ``xdetr-data validate`` checks the rest.
    """
    folder = Folder(url)
    manifest = read_manifest(folder)
    named = f"--{role} {url}"
    if manifest.schema != SCHEMA_VERSION:
        raise InputError(
            f"{named}: is of schema {manifest.schema}, this version reads {SCHEMA_VERSION}; build it again"
        )
    if manifest.config.get("metadata_only"):
        raise InputError(f"{named}: was built with --metadata-only and holds no photos; build it with photos")
    if manifest.rows != sum(shard.rows for shard in manifest.shards):
        raise InputError(
            f"{named}: the manifest states {manifest.rows} samples, its shards hold others; build it again"
        )
    if manifest.rows == 0:
        raise InputError(f"{named}: holds no sample; see its rejects/")
    for shard in manifest.shards:
        for file in shard.files:
            size = folder.size(file.name) if file.name.endswith(".tar") else file.bytes
            if size != file.bytes:
                what = "is missing" if size is None else f"has {size} bytes, {file.bytes} are stated"
                raise InputError(f"{named}: {file.name} {what}; copy the set again, or build it with --resume")
    return ShardSet(folder=folder, manifest=manifest)


@dataclass(kw_only=True)
class ShardSet:
    """Samples of a dataset by shard and row. Open files stay with the process that opened them."""

    folder: Folder
    manifest: Manifest
    _index: dict[int, list[Location]] = field(default_factory=dict)
    _files: OrderedDict[tuple[int, str], int] = field(default_factory=OrderedDict)

    @property
    def rows_per_shard(self) -> tuple[int, ...]:
        """Samples of each shard, as the manifest states."""
        return tuple(shard.rows for shard in self.manifest.shards)

    @property
    def groups_per_shard(self) -> tuple[int, ...]:
        """Paragraphs of each shard, as the manifest states; counted in the shard's Parquet file where it does not."""
        stated = [shard.groups for shard in self.manifest.shards]
        return tuple(int(self._ends(n)[-1]) if one is None else one for n, one in enumerate(stated))

    @property
    def states_groups(self) -> bool:
        """Whether the manifest says how many paragraphs its shards have (from manifest version 2 on)."""
        return all(shard.groups is not None for shard in self.manifest.shards)

    def group_ends(self, shard: int) -> NDArray[np.int64]:
        """How many paragraphs a shard has up to and with each of its samples, ``[rows]``.

        Raises InputError where its Parquet file holds others than the manifest states.
        """
        ends, entry = self._ends(shard), self.manifest.shards[shard]
        for what, found, stated in (("samples", len(ends) - 1, entry.rows), ("groups", int(ends[-1]), entry.groups)):
            if stated is not None and found != stated:
                raise InputError(
                    f"{self.folder.path(stems(self.manifest)[shard])}.parquet: holds {found} {what}, the manifest "
                    f"states {stated}; see 'xdetr-data validate {self.folder.url}'"
                )
        return ends[1:]

    def _ends(self, shard: int) -> NDArray[np.int64]:
        entry = self.manifest.shards[shard]
        stem = shard_name(self.manifest.prefix, entry.shard)
        sha256 = next((file.sha256 for file in entry.files if file.name == f"{stem}.parquet"), "")
        return _group_ends(self.folder.url, stem, sha256)

    def __getstate__(self) -> dict[str, object]:
        """Indices travel to another process, open files do not."""
        return self.__dict__ | {"_files": OrderedDict()}

    def locate(self, shard: int, row: int) -> Location:
        """Where a sample lies; raises InputError where the shard's tar is damaged or holds other samples."""
        if shard not in self._index:
            self._index[shard] = self._walk(shard)
        return self._index[shard][row]

    def read(self, location: Location) -> tuple[bytes, bytes | None]:
        """Bytes of a sample's labels and photo, in one read; raises OSError, or of a remote folder InputError."""
        extents = [one for one in (location.labels, location.photo) if one is not None]
        begin, end = min(one[0] for one in extents), max(sum(one) for one in extents)
        data = self._read(location.tar, begin, end - begin)
        labels, photo = (
            None if one is None else data[one[0] - begin :][: one[1]] for one in (location.labels, location.photo)
        )
        return labels or b"", photo

    def _walk(self, shard: int) -> list[Location]:
        entry = self.manifest.shards[shard]
        name = f"{stems(self.manifest)[shard]}.tar"
        try:
            with self.folder.open(name) as stream:
                found = _locations(name, iter_headers(stream))
        except (TarDamage, OSError) as error:
            raise InputError(
                f"{self.folder.path(name)}: {error}; see 'xdetr-data validate {self.folder.url}'"
            ) from error
        if len(found) != entry.rows:
            raise InputError(
                f"{self.folder.path(name)}: holds {len(found)} samples, the manifest states {entry.rows}; "
                f"see 'xdetr-data validate {self.folder.url}'"
            )
        return found

    def _read(self, name: str, offset: int, count: int) -> bytes:
        if not self.folder.is_local:
            return self.folder.read_range(name, offset, count)
        me = (os.getpid(), name)  # a forked process must not close or move what its parent opened
        if me not in self._files:
            self._files[me] = os.open(self.folder.path(name), os.O_RDONLY)
            while len(self._files) > OPEN_FILES:
                (owner, _), handle = self._files.popitem(last=False)
                if owner == os.getpid():
                    os.close(handle)
        self._files.move_to_end(me)
        return os.pread(self._files[me], count, offset)


def _locations(name: str, headers: Iterable[TarInfo]) -> list[Location]:
    """One location for each key, in the order of the tar."""
    locations: list[Location] = []
    for place in walk(headers):
        if "json" not in place.members:
            raise TarDamage(f"key {place.key!r} has no {place.key}.json")
        photo = next((place.members[one] for one in PHOTO_SUFFIXES if one in place.members), None)
        row = len(locations)
        locations.append(Location(key=place.key, tar=name, row=row, labels=place.members["json"], photo=photo))
    return locations


@cache
def _group_ends(url: str, stem: str, sha256: str) -> NDArray[np.int64]:
    """0, and behind it the running sum of a shard's paragraphs; counted once in a process."""
    return np.concatenate([[0], np.cumsum(groups_per_sample(Folder(url), stem))])
