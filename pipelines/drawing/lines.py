"""Sentences as lines of styled runs that fit a width: which characters belong to which phrase survives the wrapping."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.drawing.naming import Naming
from xdetr_data.record import Query

MAX_LINES = 8  # of one sentence; a caption of a whole page is cut
MAX_CHARS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Characters of one style: ``naming`` gives the colour, ``lines`` those of underlines, ``is_tag`` a number."""

    text: str
    naming: Naming | None = None
    lines: tuple[str, ...] = ()
    is_tag: bool = False


Measure = Callable[[Run], float]
Line = list[Run]


def printable(text: str) -> str:
    """White space as spaces and control characters as replacement characters: one line, as long as before."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def query_runs(query: Query, namings: Sequence[Naming | None]) -> list[Run]:
    """A sentence as runs. Where phrases overlap, the shortest gives the colour and the others underline.

    A phrase's number follows its last word.
    """
    text = printable(query.text)[:MAX_CHARS]
    owners: list[list[int]] = [[] for _ in text]
    ends: dict[int, list[int]] = {}
    size = [sum(end - begin for begin, end in phrase.spans) for phrase in query.phrases]
    for number in sorted(range(len(query.phrases)), key=lambda number: size[number]):
        for begin, end in query.phrases[number].spans:
            for place in range(begin, min(end, len(text))):
                owners[place].append(number)
        ends.setdefault(min(query.phrases[number].spans[-1][1], len(text)), []).append(number)
    runs: list[Run] = []
    for place, character in enumerate(text):
        style = _style(character, owners[place], namings)
        if runs and not runs[-1].is_tag and replace(runs[-1], text="") == replace(style, text=""):
            runs[-1] = replace(runs[-1], text=runs[-1].text + character)
        else:
            runs.append(style)
        for number in ends.get(place + 1, ()):
            if (naming := namings[number]) is not None:
                runs.append(Run(text=str(naming.number), naming=naming, is_tag=True))
    return runs


def _style(character: str, owners: Sequence[int], namings: Sequence[Naming | None]) -> Run:
    if not owners:
        return Run(text=character)
    first = namings[owners[0]]
    lines = tuple(naming.color if (naming := namings[owner]) else "#777777" for owner in owners[1:])
    return Run(text=character, naming=first, lines=lines if first else ("#777777", *lines))


def wrap(runs: Sequence[Run], width: float, measure: Measure) -> list[Line]:
    """Breaks runs into lines of at most ``width`` at spaces, and inside words that are longer than a line."""
    lines: list[Line] = [[]]
    used = 0.0
    for word in _words(runs):
        pieces = [word] if sum(map(measure, word)) <= width else _broken(word, width, measure)
        for piece in pieces:
            wide = sum(map(measure, piece))
            if lines[-1] and used + wide > width:
                lines.append([])
                used = 0.0
                piece = _without_space(piece)
            lines[-1].extend(piece)
            used += sum(map(measure, piece))
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], [Run(text="…")]]
    return lines


def _words(runs: Sequence[Run]) -> Iterator[Line]:
    """Runs up to the next space; a space begins the word that follows it, a tag stays with the word before."""
    word: Line = []
    for run in runs:
        if run.is_tag:
            word.append(run)
            continue
        for number, part in enumerate(run.text.split(" ")):
            if number and word:
                yield word
                word = []
            if text := (" " if number else "") + part:
                word.append(replace(run, text=text))
    if word:
        yield word


def _broken(word: Line, width: float, measure: Measure) -> Iterator[Line]:
    for run in word:
        rest = run.text
        while rest:
            count = len(rest)
            while count > 1 and (wide := measure(replace(run, text=rest[:count]))) > width:
                count = max(1, min(count - 1, int(count * width / wide)))
            yield [replace(run, text=rest[:count])]
            rest = rest[count:]


def _without_space(piece: Line) -> Line:
    return [replace(piece[0], text=piece[0].text.lstrip(" ")), *piece[1:]] if piece else piece
