"""Progress within shards: what a shard's process has done of it so far, it leaves beside the shards now and then."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from pipelines.folder import WORK
from pipelines.stage import Stage, every
from xdetr_data.storage import Folder

Item = TypeVar("Item")

AT = f"{WORK}/at-"
TELL_S = 10.0  # how often a process leaves word of how far it is


def telling(out: Folder, stem: str, items: Iterable[Item], every_s: float = TELL_S) -> Iterator[Item]:
    """Hands on the photos of a shard, and leaves word of how many there were so far."""
    name, last, is_told = _at(stem), time.monotonic(), False
    for count, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last >= every_s:
            out.put(name, msgspec.json.encode(count), replace=True)
            last, is_told = time.monotonic(), True
    if is_told:
        out.remove(name)


@contextmanager
def watched(out: Folder, stage: Stage, waiting: Mapping[int, str]) -> Iterator[None]:
    """Shows, as long as the block runs, how far the shards are that still are ``waiting``, by their stems."""
    for name in out.names(f"{AT}*"):  # what an earlier run left
        out.remove(name)
    with every(TELL_S, lambda: stage.look(under_way(out, list(waiting.values())))):
        yield


def under_way(out: Folder, stems: Iterable[str]) -> int:
    """How many photos are done of shards that are not, as their processes left word."""
    there = set(out.names(f"{AT}*"))
    return sum(_told(out, name) for name in map(_at, stems) if name in there)


def _at(stem: str) -> str:
    return f"{AT}{stem.replace('/', '-')}.json"


def _told(out: Folder, name: str) -> int:
    try:
        return msgspec.json.decode(out.read(name), type=int)
    except (OSError, msgspec.DecodeError):  # finished in this moment, or cut short when its process was killed
        return 0
