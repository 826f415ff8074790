"""Files of fingerprints, and whether a photo is a copy of one that they know: evaluation photos under other names."""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xdetr_data.errors import InputError
from xdetr_data.photos.fingerprint import BYTES, KEPT, asked_fingerprints
from xdetr_data.photos.photo import BadPhoto, Photo
from xdetr_data.storage import Folder, split_address

ENDING = ".fingerprints.parquet"
LOOK_ALIKE, STAGE, READ_PHOTO = "look-alike", "exclude_look_alikes", "read_photo"
MAX_DISTANCE = 72  # of 256 bits: benchmarks/look_alikes.py
SCHEMA = pa.schema(
    [("key", pa.string()), ("fingerprints", pa.binary(KEPT * BYTES)), ("problem", pa.string())],
    metadata={"xdetr-fingerprints": "phash 16, 1"},
)


class Fingerprinted(NamedTuple):
    """A photo's key and its fingerprints, or why it has none."""

    key: str
    fingerprints: bytes | None
    problem: str | None = None


class Near(NamedTuple):
    """The photo that another looks most like: its key, the file that knows it, and how many of 256 bits differ."""

    key: str
    path: str
    distance: int


def write_fingerprints(path: str, photos: Iterable[Fingerprinted]) -> int:
    """Writes a file; returns how many photos are in it. The same photos give the same bytes."""
    rows = [one._asdict() for one in photos]
    folder, name = split_address(path)
    with folder.writing(name) as sink:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sink, compression="zstd")
    return len(rows)


def fingerprint_file(address: str) -> str:
    """The file that a flag means: itself, or that beside a dataset or folder. Raises InputError where there is none."""
    if not address:
        raise InputError(
            "--exclude-like: an empty address names nothing; give a dataset, a folder or their fingerprints"
        )
    path = address if address.endswith(".parquet") else f"{address.rstrip('/')}{ENDING}"
    folder, name = split_address(path)
    if not folder.exists(name):
        raise InputError(f"{path}: is not there; make it with 'xdetr-data fingerprints {address}'")
    return path


class LookAlikes:
    """The photos of one file."""

    def __init__(self, path: str) -> None:
        """Reads it; raises InputError for a file that is none of fingerprints, or holds none."""
        self.path = path
        table = _read(path).filter(pa.compute.is_valid(pa.compute.field("fingerprints")))
        self._keys = table["key"].to_pylist()
        if not self._keys or None in self._keys:
            what = "a fingerprint without a key" if self._keys else "no fingerprint, so that it would leave nothing out"
            raise InputError(f"{path}: holds {what}; make it again with 'xdetr-data fingerprints'")
        flat = b"".join(table["fingerprints"].to_pylist())
        self._kept = np.ascontiguousarray(np.frombuffer(flat, np.uint64).reshape(-1, BYTES // 8).T)  # word by word

    def nearest(self, asked: NDArray[np.uint8]) -> Near:
        """The photo that fingerprints ``[n, BYTES]`` are nearest to; of equals the first."""
        words = np.ascontiguousarray(asked).view(np.uint64)
        distance = np.min([distances(self._kept, one) for one in words], axis=0)
        place = int(distance.argmin())
        return Near(self._keys[place // KEPT], self.path, int(distance[place]))


def distances(kept: NDArray[np.uint64], asked: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """In how many bits each of the hashes ``[4, n]`` differs from one ``[4]``."""
    found = np.zeros(kept.shape[1], np.uint16)
    for column, word in zip(kept, asked, strict=True):
        found += np.bitwise_count(column ^ word)
    return found


def _read(path: str) -> pa.Table:
    folder, name = split_address(path)
    remedy = "make it again with 'xdetr-data fingerprints'"
    with folder.open(name) as stream:
        try:
            table = pq.read_table(stream)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path}: is no Parquet file ({error}); {remedy}") from error
    if not table.schema.equals(SCHEMA, check_metadata=True):
        raise InputError(f"{path}: holds no fingerprints of this version; {remedy}")
    return table


@functools.cache
def _known(address: str) -> LookAlikes:
    """Once a process."""
    return LookAlikes(fingerprint_file(address))


def unlike(photo: Photo | BadPhoto, files: Sequence[str]) -> Photo | BadPhoto:
    """The photo, unless it looks like one that ``files`` know, each a file or what ``fingerprint_file`` takes."""
    if not files or isinstance(photo, BadPhoto):
        return photo
    asked = asked_fingerprints(photo.data)
    least = min((_known(path).nearest(asked) for path in files), key=lambda one: one.distance)
    if least.distance > MAX_DISTANCE:
        return photo
    detail = f"differs in {least.distance} of {8 * BYTES} bits from {least.key} of {least.path}"
    return BadPhoto(reason=LOOK_ALIKE, detail=detail)


def stage_of(problem: BadPhoto) -> str:
    """Where a photo was lost: what was left out by its looks could have been read."""
    return STAGE if problem.reason == LOOK_ALIKE else READ_PHOTO


def is_folder_of(address: str) -> Folder:
    """A folder that is there; raises InputError where there is none."""
    folder = Folder(address.rstrip("/") or "/")
    if not folder.is_folder():
        raise InputError(f"{address}: there is no such dataset or folder; check the address")
    return folder
