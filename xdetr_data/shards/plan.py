"""Which shard a photo belongs to, and how many shards there are: a function of the inputs, the seed and the sizes."""

import hashlib

import numpy as np
from numpy.typing import NDArray

MAX_LABEL_BYTES = 64 << 20  # of one shard: what bounds a worker's memory


def shard_of_key(key: str, *, seed: int, shards: int) -> int:
    """A seeded hash of the key: the same shard whatever else is in the dataset and whoever asks."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") % shards


def assign_shards(keys: list[str], *, seed: int, shards: int) -> NDArray[np.int32]:
    """Shard number of each key, ``[N]``."""
    return np.fromiter((shard_of_key(key, seed=seed, shards=shards) for key in keys), np.int32, len(keys))


def shard_count(*, photo_bytes: int, label_bytes: int, shard_bytes: int) -> int:
    """Shards so that one holds about ``shard_bytes``, and its labels fit a worker's memory."""
    return max(1, -(-(photo_bytes + label_bytes) // shard_bytes), -(-label_bytes // MAX_LABEL_BYTES))
