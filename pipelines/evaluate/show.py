"""Results on the terminal."""

from pipelines import console
from pipelines.evaluate.result import Result


def show(results: dict[str, Result]) -> None:
    """A table for each run, figures in per cent; below it by which protocol each is, and with what it compares."""
    for name, result in results.items():
        measured = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in result.measured.items())
        notes = list(dict.fromkeys((one.protocol, one.comparable) for one in result.figures))
        console.table(
            f"{result.task}: {name} ({measured})",
            ["", "%", "note"],
            [
                [one.name, percent(one.value), f"({notes.index((one.protocol, one.comparable)) + 1})"]
                for one in result.figures
            ],
        )
        for number, (protocol, comparable) in enumerate(notes, start=1):
            console.say(f"({number}) {protocol}; comparable {comparable}")


def percent(value: float | None) -> str:
    """A figure for people; a dash where there is nothing to measure."""
    return "–" if value is None else f"{round(100 * value, 2) + 0.0:.2f}"  # never -0.00
