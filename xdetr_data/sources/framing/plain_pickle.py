"""Pickles of plain containers: loaded without running anything that they name."""

import io
import pickle
from typing import Any

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import read_input

MAX_PICKLE_BYTES = 256 << 20  # several times what the largest refer pickle has


class _PlainUnpickler(pickle.Unpickler):
    """Loads containers, text and numbers only; a pickle that names any class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks to run {module}.{name}")


def read_refs(path: str) -> list[Any]:
    """The list that a refer pickle holds, of Python 2 or 3, plain or gzip.

    Raises InputError where the file is damaged or huge, names a class or function, or holds something else than a list.
    """
    data = read_input(path, max_bytes=MAX_PICKLE_BYTES)
    try:
        refs = _PlainUnpickler(io.BytesIO(data), encoding="latin-1").load()
    except Exception as error:  # a damaged pickle can raise almost anything
        raise InputError(f"{path}: is not a plain refer pickle ({error}); it was not run") from error
    if not isinstance(refs, list):
        raise InputError(
            f"{path}: holds a {type(refs).__name__}, no list of referring expressions; is it the right file?"
        )
    return refs
