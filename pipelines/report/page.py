"""The report as one HTML page that asks nothing of a network and runs one script, its own, allowed by its hash."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.drawing.lines import printable
from pipelines.drawing.naming import color_of
from pipelines.report.bars import Bars, bars_of
from pipelines.report.charts import COLORS, chart_svgs
from pipelines.report.collect import Report, Side
from pipelines.report.heat import CELLS, heat_paths
from pipelines.report.panel import FEW_QUERIES, MANY_SHOTS, MAX_QUERIES, Panel, panel_of
from pipelines.report.photos import data_uri

PAGE_BYTES = 2_900_000  # photos are made smaller where there are too many of them for a page of this size
LEAST_PHOTO_BYTES = 2_000
_PLURALS = {"box": "boxes", "query": "queries"}
_PHOTOS_HERE = "<!-- photos -->"  # once on the page: the data's own text is escaped
_IMAGE = '<image id="{name}" width="1" height="1" preserveAspectRatio="none" href="{uri}"/>\n'
_KINDS = (
    ("labelled", "with a labelled phrase"),
    ("unlabelled", "with no labelled phrase"),
    ("no-box", "with a phrase without a box"),
    ("textless", "with textless boxes"),
    ("crowd", "with a crowd"),
)
_TOTALS = ("photos", "queries", "phrases", "regions", "textless_regions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A line of the accounting: what a stage dropped for a reason; ``share`` is of what came in."""

    stage: str
    reason: str
    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One unit's way through a build."""

    unit: str
    came_in: int
    went_out: int
    rejected: int
    drops: tuple[Drop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart of the page, in two colour schemes."""

    bars: Bars
    light: str
    dark: str


def render_page(report: Report) -> bytes:
    """The page as UTF-8; the same report gives the same bytes. Text of the data is escaped."""
    max_queries = FEW_QUERIES if report.samples > MANY_SHOTS else MAX_QUERIES
    galleries = [
        {"sides": gallery.sides, "rows": [[panel_of(shot, max_queries) for shot in row] for row in gallery.rows]}
        for gallery in report.galleries
    ]
    lowest = [[panel_of(shot, max_queries) for shot in shots] for shots in report.lowest]
    panels = [panel for gallery in galleries for row in gallery["rows"] for panel in row]
    panels += [panel for row in lowest for panel in row]
    shown = sorted({panel.shot.photo for panel in panels if panel.shot.photo is not None})
    environment = Environment(
        loader=PackageLoader("pipelines.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["megabytes"] = _megabytes
    environment.filters["px"] = _px
    style = environment.get_template("style.css.j2").render(colors=_colors(panels), sides=list(enumerate(COLORS)))
    script = files("pipelines.report").joinpath("page.js").read_text()
    page = environment.get_template("report.html.j2").render(
        report=report,
        style=Markup(style),  # our own template, filled with colours alone
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        photos_here=Markup(_PHOTOS_HERE),
        flows=[flows_of(side) for side in report.sides],
        totals=_totals(report),
        charts=list(_charts(report)),
        heat=[list(heat_paths(side.scan.centres)) for side in report.sides],
        cells=CELLS,
        galleries=galleries,
        lowest=lowest,
        kinds=[one for one in _KINDS if any(one[0] in panel.kinds for panel in panels)],
        sources=sorted({panel.shot.record.image.source for panel in panels}),
        blank=sum(panel.shot.photo is None for panel in panels),
    )
    head, _, rest = page.partition(_PHOTOS_HERE)
    return f"{head}{_photos(report, shown, PAGE_BYTES - len(page.encode()))}{rest}".encode()


def _photos(report: Report, names: Sequence[str], room_bytes: int) -> str:
    """The photos' copies as images that the page's drawings use, of like size in bytes where the room is short."""
    share = max(LEAST_PHOTO_BYTES, room_bytes // max(1, len(names))) - len(_IMAGE)
    return "".join(_IMAGE.format(name=name, uri=report.photos.uri(name, share)) for name in names)


def _hash(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def flows_of(side: Side) -> list[Flow]:
    """The accounting of a dataset, unit by unit."""
    flows = []
    for unit in side.tally.units():
        came_in = side.tally.count(unit, "in")
        drops = tuple(
            Drop(stage=stage, reason=reason, count=count, share=count / max(1, came_in))
            for stage, reasons in side.tally.rejects(unit).items()
            for reason, count in reasons.items()
        )
        flows.append(
            Flow(
                unit=_PLURALS.get(unit, f"{unit}s"),
                came_in=came_in,
                went_out=side.tally.count(unit, "out"),
                rejected=side.tally.total_rejected(unit),
                drops=drops,
            )
        )
    return flows


def charts_of(report: Report) -> list[Bars]:
    """The bars of the report's charts."""
    return bars_of([side.statistics for side in report.sides], [side.scan.agreement for side in report.sides])


def _totals(report: Report) -> list[tuple[str, list[int]]]:
    return [(name.replace("_", " "), [getattr(side.statistics, name) for side in report.sides]) for name in _TOTALS]


def _charts(report: Report) -> Iterator[Chart]:
    for bars in charts_of(report):
        light, dark = (data_uri(svg, "image/svg+xml") for svg in chart_svgs(bars))
        yield Chart(bars=bars, light=light, dark=dark)


def _colors(panels: list[Panel]) -> list[tuple[int, str]]:
    """The colours of all numbers on the page."""
    most = max((panel.numbers for panel in panels), default=0)
    return [(number, color_of(number - 1)) for number in range(1, most + 1)]


def _megabytes(size: Any) -> str:
    return f"{size / 1e6:,.1f} MB"


def _px(length: float) -> str:
    """A length in as few characters as a hundredth of a pixel needs."""
    return f"{length:.2f}".rstrip("0").rstrip(".")
