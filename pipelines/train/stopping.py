"""SIGTERM and SIGINT: the first asks the loop to save and end after its step, a second one ends at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from pipelines.train.say import say

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


@dataclass(slots=True)
class StopRequest:
    """``code``: the exit code of the signal that came, or 0."""

    code: int = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Listens while the block runs. In a thread (as under Ray) no signal arrives, and none is waited for."""
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    before: dict[int, Any] = {}

    def asked(number: int, _: FrameType | None) -> None:
        say(f"{signal.Signals(number).name}: saving after this step; once more ends at once, without saving")
        request.code = 128 + number
        for other, handler in before.items():
            signal.signal(other, handler)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, asked)
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
