"""The report as one HTML page that asks nothing of a network and runs no script."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.drawing.lines import printable
from pipelines.drawing.naming import color_of
from pipelines.report.bars import Bars, bars_of
from pipelines.report.charts import COLORS, chart_svgs
from pipelines.report.collect import Report, Side
from pipelines.report.panel import Panel, panel_of
from pipelines.report.photos import data_uri

_PLURALS = {"box": "boxes", "query": "queries"}
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
    galleries = [
        {"sides": gallery.sides, "rows": [[panel_of(shot) for shot in row] for row in gallery.rows]}
        for gallery in report.galleries
    ]
    lowest = [[panel_of(shot) for shot in shots] for shots in report.lowest]
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
    style = environment.get_template("style.css.j2").render(colors=_colors(panels), sides=list(enumerate(COLORS)))
    page = environment.get_template("report.html.j2").render(
        report=report,
        style=Markup(style),  # our own template, filled with colours alone
        style_hash=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        photos=[(name, report.photos.uri(name)) for name in shown],
        flows=[flows_of(side) for side in report.sides],
        totals=_totals(report),
        charts=list(_charts(report)),
        galleries=galleries,
        lowest=lowest,
        blank=sum(panel.shot.photo is None for panel in panels),
    )
    return page.encode()


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
