"""What people see: progress with an ETA and plain lines, on stderr; machine output goes to stdout.

Nothing of a line is markup, and addresses stand in it without secrets.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from xdetr_data.errors import shown

console = Console(stderr=True, highlight=False, soft_wrap=True)

_PLURALS = {"box": "boxes", "query": "queries"}


@contextmanager
def progress(title: str, total: int, *, is_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar with an ETA; yields the function that advances it. Without a terminal, a line at the start and the end."""
    if not console.is_terminal:
        say(f"{title} …")
        yield lambda _: None
        say(f"{title}: done")
        return
    amount = DownloadColumn() if is_bytes else MofNCompleteColumn()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        amount,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    ) as bar:
        task = bar.add_task(title, total=total or None)
        yield lambda count: bar.advance(task, count)


def say(line: str = "") -> None:
    """A line for people."""
    console.print(Text(shown(line)))


def warn(line: str) -> None:
    """A line that should not be missed."""
    console.print(Text.assemble(("warning:", "bold yellow"), f" {shown(line)}"))


def fail(line: str) -> None:
    """The one line of an error."""
    console.print(Text.assemble(("error:", "bold red"), f" {shown(line)}"))


def plural(unit: str) -> str:
    """Several of a unit: box → boxes."""
    return _PLURALS.get(unit, f"{unit}s")


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table for people; columns after the first are numbers."""
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
