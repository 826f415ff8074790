"""A command in a forked child of this process, which has all imported already: thousands of runs are affordable."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """How a forked command ended; ``code`` is None where it was ended for taking too long."""

    code: int | None
    said: str

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.said

    @property
    def errors(self) -> list[str]:
        return [line for line in self.said.splitlines() if line.startswith("error:")]


def run_forked(command: Callable[[], object], argv: Sequence[str], log: Path, patience_s: float) -> Run:
    """Runs a command line's entry point in a child; what it prints goes to ``log``."""
    child = os.fork()
    if not child:
        _become(command, argv, log)
    limit = time.monotonic() + patience_s
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return Run(os.waitstatus_to_exitcode(status), log.read_text(errors="replace"))
        if time.monotonic() > limit:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Run(None, log.read_text(errors="replace"))
        time.sleep(0.005)


def _become(command: Callable[[], object], argv: Sequence[str], log: Path) -> None:
    code = 70
    try:
        os.setsid()
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        os.fsync = lambda _: None
        sys.argv = list(argv)
        try:
            command()
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
