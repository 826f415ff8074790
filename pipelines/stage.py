"""How far a part of a run is: one counter, from which come the bar, the lines where there is no terminal, and what
``xdetr-data status`` reads."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.filesize import decimal


class Stage:
    """A part of a run that knows how much there is to do, and how much is done.

    Attributes:
        unit: of what ``total`` counts, in the plural; bytes are ``B``.
        done, under_way: what is finished, and what is done of what is not.
        kept: how much of ``done`` an earlier run had done, which says nothing of this one's pace.
        rejected, written: photos rejected, and bytes written, as far as the stage tells.
    """

    def __init__(self, title: str, total: int, unit: str = "") -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = self.under_way = self.kept = self.rejected = self.written = 0
        self.changed: Callable[[], None] = lambda: None
        self._began = time.monotonic()

    def __call__(self, count: int) -> None:
        """So much more is done."""
        self.done += count
        self.changed()

    def keep(self, count: int) -> None:
        """So much was done before."""
        self.kept += count
        self(count)

    def finish(self, count: int, *, rejected: int, written: int) -> None:
        """So much of what was under way is done."""
        self.under_way = max(0, self.under_way - count)
        self.rejected += rejected
        self.written += written
        self(count)

    def look(self, under_way: int) -> None:
        """So much is done of what is not finished."""
        self.under_way = under_way
        self.changed()

    @property
    def at(self) -> int:
        """How far it is."""
        return min(self.done + self.under_way, self.total or self.done)

    @property
    def per_second(self) -> float:
        """The pace since it began."""
        return max(0, self.at - self.kept) / max(1e-9, time.monotonic() - self._began)

    @property
    def left_s(self) -> float | None:
        """Seconds until it is done, if its pace stays; None where nobody can tell."""
        return (self.total - self.at) / self.per_second if self.total and self.at > self.kept else None

    def line(self) -> str:
        """All of it in one line."""
        return describe(
            self.title, self.unit, self.at, self.total, self.per_second, self.left_s, self.rejected, self.written
        )


def describe(
    title: str, unit: str, at: int, total: int, per_second: float, left_s: float | None, rejected: int, written: int
) -> str:
    """``building shards: 1,200 of 4,000 photos (30 %), 310 photos/s, 0:12:30 left, 3 rejected, 1.2 GB written``."""

    def amount(count: float) -> str:
        return decimal(round(count)) if unit == "B" else f"{count:,.0f}" if count >= 10 else f"{count:.3g}"

    what = "" if unit in ("", "B") else f" {unit}"
    parts = [f"{amount(at)} of {amount(total)}{what} ({at / total:.0%})" if total else f"{amount(at)}{what}"]
    parts += [f"{amount(per_second)}{what}/s"] if per_second else []
    parts += [f"{clock(left_s)} left"] if left_s is not None else []
    parts += [f"{rejected:,} rejected"] if rejected else []
    parts += [f"{decimal(written)} written"] if written else []
    return f"{title}: {', '.join(parts)}"


def clock(seconds: float) -> str:
    """``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


@contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Calls something every so many seconds, in a thread, as long as the block runs."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            call()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
