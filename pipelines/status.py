"""What a run says of itself beside what it makes, for ``xdetr-data status``: where it is, how far, and what it said.

It stands in ``_work/status.json`` as long as the run is not finished, also after it failed.
"""

import collections
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from pipelines import console
from pipelines.folder import LOG, STATUS, WORK
from pipelines.stage import every
from xdetr_data.errors import XdetrDataError, shown
from xdetr_data.storage import Folder

WRITE_S = 10.0
LINES = 20


class StageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A stage as it was; ``unit`` is of what is counted, in the plural (bytes: ``B``)."""

    title: str
    unit: str
    at: int
    total: int
    per_second: float
    left_s: float | None
    rejected: int
    written: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says of itself. Times are seconds since 1970; ``error`` is what ended it, or nothing."""

    command: str
    host: str
    pid: int
    since_s: float
    written_s: float
    stage: StageStatus | None
    lines: list[str]
    error: str


@contextmanager
def telling_status(out: Folder) -> Iterator[None]:
    """Writes how the run stands every ten seconds, and what ended it; on this machine's disk also all its lines."""
    recent = _Recent()
    console.stages.clear()  # of an earlier run of this process
    since = time.time()

    def write(error: str = "") -> None:
        try:
            out.put(STATUS, msgspec.json.encode(_status(recent, since, error)), replace=True)
        except (XdetrDataError, OSError) as problem:
            console.warn(f"how the run stands could not be written: {problem}")

    with ExitStack() as stack:
        stack.enter_context(console.also_to(recent))
        if out.is_local:
            write()  # which makes the folder
            stack.enter_context(console.also_to(logging.FileHandler(out.path(LOG), encoding="utf-8")))
        stack.enter_context(every(WRITE_S, write))
        try:
            yield
        except BaseException as error:
            write(" ".join(str(error).split()) or type(error).__name__)
            raise
    out.remove(STATUS)  # of what is finished, its manifest tells
    out.remove(LOG)
    if not out.names(f"{WORK}/*"):
        out.remove(WORK)


def read_status(out: Folder) -> Status | None:
    """How an unfinished run stands; None where it does not say."""
    try:
        return msgspec.json.decode(out.read(STATUS), type=Status) if out.exists(STATUS) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError):
        return None  # it is being written in this moment


def _status(recent: "_Recent", since: float, error: str) -> Status:
    stage = console.stages[-1] if console.stages else None
    return Status(
        command=shown(shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])),
        host=socket.gethostname(),
        pid=os.getpid(),
        since_s=since,
        written_s=time.time(),
        stage=stage
        and StageStatus(
            title=stage.title,
            unit=stage.unit,
            at=stage.at,
            total=stage.total,
            per_second=stage.per_second,
            left_s=stage.left_s,
            rejected=stage.rejected,
            written=stage.written,
        ),
        lines=list(recent.lines),
        error=shown(error),
    )


class _Recent(logging.Handler):
    """Keeps the last lines, with their times."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: collections.deque[str] = collections.deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a line."""
        self.lines.append(self.format(record))
