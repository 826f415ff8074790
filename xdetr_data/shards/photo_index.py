"""Which photo a name means: codes that stand for rows of the photo table, or for why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# In place of a photo's row. A problem was accounted for where it was found, a blank is no element.
REJECTED, EXCLUDED, BEYOND_LIMIT, MISSING, UNKNOWN, BLANK, PROBLEM, AMBIGUOUS = range(-1, -9, -1)

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Index:
    """Sorted keys ``[M]`` (int64 ids, or names as bytes) and their codes ``[M]``."""

    keys: NDArray[Any]
    codes: Codes

    @classmethod
    def of(cls, codes: Mapping[str, int] | Mapping[int, int]) -> "Index":
        """The index of a mapping from names or ids to codes."""
        keys = sorted(codes)
        raw = [key.encode() if isinstance(key, str) else key for key in keys]
        found = np.array(raw) if raw else np.zeros(0, dtype=np.int64)
        order = np.argsort(found, kind="stable")  # names are in the order of their bytes, not of their characters
        return cls(found[order], np.array([codes[key] for key in keys], dtype=np.int32)[order])  # type: ignore[index]

    def find(self, keys: pa.Array) -> Codes:
        """Codes ``[N]`` of int64 ids or of names; PROBLEM where a key is null."""
        if pa.types.is_integer(keys.type):
            known = self._find(keys.fill_null(0).to_numpy(zero_copy_only=False))
            return np.where(keys.is_null().to_numpy(zero_copy_only=False), np.int32(PROBLEM), known)
        import pyarrow.compute as pc  # of a tenth of a second, and every command's help comes by

        encoded = keys.dictionary_encode()  # looks each name up once
        texts = encoded.dictionary.cast(pa.binary())
        # numpy gives every name the room of the longest: one that is longer than all known ones becomes no text
        texts = pc.if_else(pc.less_equal(pc.binary_length(texts), self.keys.dtype.itemsize), texts, b"\xff")
        codes = np.append(self._find(np.array(texts.to_pylist(), dtype=np.bytes_)), np.int32(PROBLEM))
        found: Codes = codes[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        return found

    def _find(self, keys: NDArray[Any]) -> Codes:
        if len(self.keys) == 0 or len(keys) == 0:
            return np.full(len(keys), UNKNOWN, dtype=np.int32)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.codes[at], UNKNOWN).astype(np.int32)
