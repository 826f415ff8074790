"""Lines for people, on stderr. A training node has no rich, so this is plain text."""

import sys

from xdetr_data.errors import shown


def say(line: str = "") -> None:
    """A line for people."""
    sys.stderr.write(f"{shown(line)}\n")  # not print, which Ray doubles
    sys.stderr.flush()


def warn(line: str) -> None:
    """A line that should not be missed."""
    say(f"warning: {line}")


def fail(line: str) -> None:
    """The one line of an error."""
    say(f"error: {line}")


def in_one_line(error: BaseException) -> str:
    """All of an error's text without its line breaks, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def duration(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
