"""``--where`` of a search, as rows of a part: photos by key, source, file and size, objects by objectness and area."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.where import OPERATORS, Condition, parse_conditions

_PHOTO = {"key": False, "source": False, "file": False, "width": True, "height": True}
_OBJECT = {"objectness": True, "area": True}
_COLUMNS = {"file": "file_name"}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
HELP = "fields of the photo: {}; of the object: {} (share of the photo); operators: {}".format(
    ", ".join(_PHOTO), ", ".join(_OBJECT), " ".join(OPERATORS)
)

Where = tuple[Condition, ...]


def parse_where(text: str | None) -> Where:
    """Reads a filter, or none; raises ConfigError saying what is wrong and what there is."""
    return () if text is None else parse_conditions(text, _PHOTO | _OBJECT, HELP)


def fitting(where: Where, photos: pa.Table, counts: NDArray[np.int64], objects: Callable[[str], Any]) -> Any:
    """Which objects ``[N]`` fit; ``counts`` are the objects of each photo, ``objects`` gives a column of theirs."""
    photo_fits = np.ones(len(counts), bool)
    for one in where:
        if one.field in _PHOTO:
            photo_fits &= _photo_fits(one, photos[_COLUMNS.get(one.field, one.field)])
    fits = np.repeat(photo_fits, counts)
    for one in where:
        if one.field in _OBJECT:
            fits &= _COMPARE[one.operator](objects(one.field), one.value)
    return fits


def _photo_fits(one: Condition, column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if one.operator == "~":
        found = pc.match_substring(column, str(one.value), ignore_case=True)
        return np.asarray(found.to_numpy(), bool)
    return np.asarray(_COMPARE[one.operator](column.to_numpy(), one.value), bool)
