"""What differs between two nested tables of plain values."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(was: Any, now: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Yields dotted key, old and new value of every difference; lists and tuples are alike."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in [*was, *(key for key in now if key not in was)]:
            yield from differences(was.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    elif _plain(was) != _plain(now):
        yield place, was, now


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
