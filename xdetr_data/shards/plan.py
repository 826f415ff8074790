"""Which shard a photo belongs to, and how many shards there are: a function of the inputs, the seed and the sizes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MAX_LABEL_BYTES = 64 << 20  # of one shard: what bounds a worker's memory


def shard_of_key(key: str, *, seed: int, shards: int) -> int:
    """A seeded hash of the key: the same shard whatever else is in the dataset and whoever asks."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") % shards


def homes_of_key(key: str, *, seed: int, layers: Sequence[int]) -> list[int]:
    """The shards of which one has a key: that which its hash names of each of the ``layers``, which are so many shards
    behind one another (``Manifest.shard_layers``)."""
    begins = accumulate(layers, initial=0)
    return [begin + shard_of_key(key, seed=seed, shards=shards) for begin, shards in zip(begins, layers, strict=False)]


def assign_shards(keys: list[str], *, seed: int, shards: int) -> NDArray[np.int32]:
    """Shard number of each key, ``[N]``."""
    return np.fromiter((shard_of_key(key, seed=seed, shards=shards) for key in keys), np.int32, len(keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the photos of a finished dataset are that more is added to: the shard of each of ``keys``, all different;
    ``is_sample`` says which ones are samples, the others were rejected in their shard. ``layers`` are those of its
    manifest."""

    keys: pa.Array
    shard: NDArray[np.int32]
    is_sample: NDArray[np.bool_]
    layers: tuple[int, ...]

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return sum(self.layers)

    def layers_of(self, shards: int) -> list[int]:
        """The layers of the dataset that grew to so many shards."""
        return [*self.layers, *([shards - self.shards] if shards > self.shards else [])]


def place_in_shards(
    keys: Sequence[str],
    photo_bytes: Sequence[int],
    label_bytes: int,
    *,
    seed: int,
    shard_bytes: int,
    kept: Kept | None = None,
) -> tuple[NDArray[np.int32], int]:
    """Shard number of each key, ``[N]``, and how many shards there are; photos that are ``kept`` stay where they are,
    and those beside them go to shards behind."""
    total = sum(photo_bytes)
    if kept is None:
        shards = shard_count(photo_bytes=total, label_bytes=label_bytes, shard_bytes=shard_bytes)
        return assign_shards(list(keys), seed=seed, shards=shards), shards
    at = pc.index_in(pa.array(keys, pa.string()), kept.keys)
    is_new = at.is_null().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(is_new).tolist()
    if not rows:
        return kept.shard[at.to_numpy()], kept.shards
    share = len(rows) / len(keys)  # of the labels, about
    more = shard_count(
        photo_bytes=sum(photo_bytes[row] for row in rows), label_bytes=int(label_bytes * share), shard_bytes=shard_bytes
    )
    shard = np.empty(len(keys), np.int32)
    shard[~is_new] = kept.shard[at.drop_null().to_numpy()]
    shard[is_new] = kept.shards + assign_shards([keys[row] for row in rows], seed=seed, shards=more)
    return shard, kept.shards + more


def shard_count(*, photo_bytes: int, label_bytes: int, shard_bytes: int) -> int:
    """Shards so that one holds about ``shard_bytes``, and its labels fit a worker's memory."""
    return max(1, -(-(photo_bytes + label_bytes) // shard_bytes), -(-label_bytes // MAX_LABEL_BYTES))
