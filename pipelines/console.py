"""What people see: progress with an ETA and plain lines, on stderr; machine output goes to stdout.

Nothing of a line is markup, and addresses stand in it without secrets.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pipelines.stage import Stage, every
from xdetr_data.errors import shown

console = Console(stderr=True, highlight=False, soft_wrap=True)

SAY_S = 30.0  # how often a line says how far a stage is, where there is no terminal
stages: list[Stage] = []  # those that run, and those that failed, the outermost first

_log = logging.getLogger("xdetr-data")
_log.setLevel(logging.INFO)
_log.propagate = False
_PLURALS = {"box": "boxes", "query": "queries"}


@contextmanager
def progress(title: str, total: int, *, is_bytes: bool = False, unit: str = "") -> Iterator[Stage]:
    """A bar with an ETA; yields the counter that advances it. Without a terminal, a line now and then."""
    stage = Stage(title, total, "B" if is_bytes else unit)
    stages.append(stage)
    if console.is_terminal and _lines().isEnabledFor(logging.INFO):
        with _bar(stage):
            yield stage
    else:
        say(f"{title} …")
        with every(SAY_S, lambda: say(f"{time.strftime('%H:%M:%S')} {stage.line()}")):
            yield stage
        say(f"{title}: done")
    stages.remove(stage)


@contextmanager
def _bar(stage: Stage) -> Iterator[None]:
    amount = DownloadColumn() if stage.unit == "B" else MofNCompleteColumn()
    left = TimeRemainingColumn(elapsed_when_finished=True)
    with Progress(TextColumn("{task.description}"), BarColumn(), amount, left, console=console) as bar:
        task = bar.add_task(stage.title, total=stage.total or None)
        stage.changed = lambda: bar.update(task, completed=stage.at)
        yield


def say(line: str = "") -> None:
    """A line for people."""
    _lines().info(shown(line))


def detail(line: str) -> None:
    """A line for those who want to know more (``--verbose``)."""
    _lines().debug(shown(line))


def warn(line: str) -> None:
    """A line that should not be missed."""
    _lines().warning(shown(line))


def fail(line: str) -> None:
    """The one line of an error."""
    _lines().error(shown(line))


def _lines() -> logging.Logger:
    """Where lines go. Packages that configure logging for themselves, such as Ray's, disable the loggers of others."""
    _log.disabled = False
    return _log


def listen(verbosity: int) -> None:
    """Which lines are shown: 0 all but details, 1 those too, with times; -1 warnings and errors only."""
    _log.setLevel({-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity])


@contextmanager
def also_to(handler: logging.Handler) -> Iterator[None]:
    """Hands every line to a second handler, too, as long as the block runs; a log file has their times."""
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        handler.close()


class _ToPeople(logging.Handler):
    """Shows lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a line, with its time where details are wanted."""
        line = record.getMessage()
        before = f"{time.strftime('%H:%M:%S')} " if _log.level == logging.DEBUG else ""
        if record.levelno >= logging.ERROR:
            console.print(Text.assemble(("error:", "bold red"), f" {line}"))
        elif record.levelno >= logging.WARNING:
            console.print(Text.assemble(("warning:", "bold yellow"), f" {line}"))
        else:
            console.print(Text(before + line))


_log.addHandler(_ToPeople())


def plural(unit: str) -> str:
    """Several of a unit: box → boxes."""
    return _PLURALS.get(unit, f"{unit}s")


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table for people; columns after the first are numbers."""
    if not _lines().isEnabledFor(logging.INFO):
        return
    result = Table(title=Text(title, "table.title"), title_justify="left")
    for position, name in enumerate(columns):
        result.add_column(Text(name), justify="right" if position else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text(shown(cell)) for cell in row))
    console.print(result)


def accounting_table(accounting: dict[str, Any]) -> None:
    """In = out + rejected, unit by unit, with stages and reasons below."""
    rows = []
    for unit, flows in accounting["units"].items():
        rejected = sum(sum(reasons.values()) for reasons in flows["rejected"].values())
        rows.append([plural(unit), f"{flows['in']:,}", f"{flows['out']:,}", f"{rejected:,}"])
        for stage, reasons in flows["rejected"].items():
            rows += [[f"  {stage}: {reason}", "", "", f"{count:,}"] for reason, count in reasons.items()]
    rows += [
        [f"({what.replace('-', ' ')})", "", f"{count:,}", ""] for what, count in accounting["notes"].items() if count
    ]
    table("in = out + rejected", ["", "in", "out", "rejected"], rows)


def print_json(value: object) -> None:
    """Machine output: one JSON value on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
    sys.stdout.flush()
