"""Results as one HTML page in the report's style: it asks nothing of a network and runs no script."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.drawing.lines import printable
from pipelines.evaluate.result import Curve, Mistake, Result
from pipelines.evaluate.show import percent
from pipelines.report.charts import COLORS
from pipelines.report.photos import PhotoBook
from xdetr_data.dataset import Dataset, UnknownKey, open_dataset
from xdetr_data.errors import InputError
from xdetr_data.photos.photo import BadPhoto
from xdetr_data.storage import Folder, split_address

SHOWN = 12  # mistakes of a kind on the page
WIDTH, HEIGHT = 420, 240  # of a curve, in its own units

Run = tuple[str, str, Result]  # its name, the dataset's address, what was found


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve as an SVG line of one run."""

    side: int
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves of one title, of all runs; what its axes end at."""

    title: str
    x_label: str
    y_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A mistake and its photo; ``photo`` is None where the dataset holds labels only."""

    mistake: Mistake
    photo: str | None
    size_hw: tuple[int, int]


def write_page(path: str, runs: Sequence[Run]) -> None:
    """Writes the page. Raises OutputError where it cannot be written."""
    folder, name = check_page(path)
    folder.write(name, render_page(runs))


def check_page(path: str) -> tuple[Folder, str]:
    """Folder and name of a page; raises InputError where the address is a folder or below a file."""
    folder, name = split_address(path)
    if not name or folder.is_folder(name):
        raise InputError(f"--html {path}: is a folder; give the name of a page, as in {path.rstrip('/')}/page.html")
    if folder.exists() and not folder.is_folder():
        raise InputError(f"--html {path}: {folder.url} is a file; give a page in a folder")
    return folder, name


def render_page(runs: Sequence[Run]) -> bytes:
    """The page as UTF-8; the same results give the same bytes. Text of the data is escaped."""
    environment = Environment(
        loader=PackageLoader("pipelines.evaluate", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    styles = Environment(loader=PackageLoader("pipelines.report", ""), undefined=StrictUndefined, trim_blocks=True)
    sides = [(number, COLORS[number % len(COLORS)]) for number in range(len(runs))]
    style = styles.get_template("style.css.j2").render(colors=[(1, "#c0392b"), (2, "#1f9d63")], sides=sides)
    environment.filters["printable"] = printable
    environment.filters["percent"] = percent
    photos = PhotoBook()
    shots = [(number, name, _shots(result, data, photos)) for number, (name, data, result) in enumerate(runs)]
    names = sorted({shot.photo for _, _, kinds in shots for own in kinds.values() for shot in own if shot.photo})
    page = environment.get_template("evaluation.html.j2").render(
        runs=list(enumerate(runs)),
        style=Markup(style),  # our own template, filled with colours alone
        style_hash=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        figures=_side_by_side([result for _, _, result in runs]),
        charts=_charts([result for _, _, result in runs]),
        shots=shots,
        photos=[(name, photos.uri(name)) for name in names],
        width=WIDTH,
        height=HEIGHT,
    )
    return page.encode()


def _side_by_side(results: Sequence[Result]) -> list[tuple[str, list[float | None], str, str]]:
    """Every figure that some run has: its name, a value a run, its protocol and what it compares with."""
    rows: dict[tuple[str, str], tuple[list[float | None], str]] = {}
    for number, result in enumerate(results):
        for one in result.figures:
            values, _ = rows.setdefault((one.name, one.protocol), ([None] * len(results), one.comparable))
            values[number] = one.value
    return [(name, values, protocol, comparable) for (name, protocol), (values, comparable) in rows.items()]


def _charts(results: Sequence[Result]) -> list[Chart]:
    titles = dict.fromkeys(curve.title for result in results for curve in result.curves)
    return [_chart([(n, c) for n, one in enumerate(results) for c in one.curves if c.title == t]) for t in titles]


def _chart(curves: Sequence[tuple[int, Curve]]) -> Chart:
    first = curves[0][1]
    xs, ys = ([v for _, one in curves for v in getattr(one, axis)] for axis in ("x", "y"))
    x_range, y_range = (min(0.0, *xs), max(1.0, *xs)), (min(0.0, *ys), max(1.0, *ys))

    def points(curve: Curve) -> str:
        return " ".join(
            f"{WIDTH * (x - x_range[0]) / (x_range[1] - x_range[0]):.1f},"
            f"{HEIGHT * (y_range[1] - y) / (y_range[1] - y_range[0]):.1f}"
            for x, y in zip(curve.x, curve.y, strict=True)
        )

    return Chart(
        title=first.title,
        x_label=first.x_label,
        y_label=first.y_label,
        x_range=x_range,
        y_range=y_range,
        lines=tuple(Line(side=number, points=points(curve)) for number, curve in curves),
    )


def _shots(result: Result, data: str, photos: PhotoBook) -> dict[str, list[Shot]]:
    """The worst mistakes by kind, each with its photo."""
    kinds: dict[str, list[Mistake]] = {}
    for one in result.mistakes:
        kinds.setdefault(one.kind, []).append(one)
    dataset = open_dataset(data) if kinds else None
    return {
        kind: [_shot(one, dataset, photos) for one in own[:SHOWN]] for kind, own in kinds.items() if dataset is not None
    }


def _shot(mistake: Mistake, dataset: Dataset, photos: PhotoBook) -> Shot:
    try:
        sample = dataset[mistake.key]
    except UnknownKey as error:
        raise InputError(f"{error}: the predictions are of another dataset") from error
    if sample.photo is None:
        return Shot(mistake=mistake, photo=None, size_hw=sample.record.image.size_hw)
    name = photos.add(sample.photo.data, mistake.key)
    return Shot(
        mistake=mistake, photo=None if isinstance(name, BadPhoto) else name, size_hw=sample.record.image.size_hw
    )
