"""Bars drawn by matplotlib: as SVG in light and dark for the page, as PNG for papers. Same bars, same bytes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipelines.drawing.page import boxes_for_missing_glyphs
from pipelines.report.bars import Bars

COLORS = ("#2f6fd0", "#e07b16", "#1f9d63")
_WIDTH_INCHES, _HEIGHT_INCHES = 4.8, 2.55
_MARGINS_INCHES = (0.46, 0.06, 0.42, 0.06)  # left, right, below, above
_LINE_INCHES = 0.18
_MAX_NAME = 60
_PNG_DPI = 200
_FEW, _CROWDED = 6, 12  # bars below which there is room left, and from which on the labels are turned


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of text and of lines."""

    ink: str
    grid: str


LIGHT = Theme(ink="#3b4252", grid="#d9dee7")
DARK = Theme(ink="#c9d1de", grid="#3a4353")


def chart_svgs(bars: Bars) -> tuple[bytes, bytes]:
    """A chart for a light and for a dark page, without title and legend, for the page has both."""
    with matplotlib.rc_context({"svg.hashsalt": bars.name, "svg.fonttype": "path"}):
        figure = _chart(bars, header_inches=0.0)
        figure.patch.set_visible(False)
        light = _saved(figure, "svg", {"Date": None, "Creator": None})
    dark = light.replace(LIGHT.ink.encode(), DARK.ink.encode()).replace(LIGHT.grid.encode(), DARK.grid.encode())
    return light, dark


def chart_png(bars: Bars, names: Sequence[str]) -> bytes:
    """A chart that stands alone: with its title, and the datasets' names where there are several."""
    legend = [(name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…") for name in names if len(names) > 1]
    header_inches = _LINE_INCHES * (1.7 + len(legend))
    figure = _chart(bars, header_inches)
    height = _HEIGHT_INCHES + header_inches
    place = {"ha": "left", "va": "center", "parse_math": False}
    figure.text(0.02, 1 - _LINE_INCHES / height, bars.title, fontsize=10, weight="bold", color=LIGHT.ink, **place)
    for number, (name, color) in enumerate(zip(legend, COLORS, strict=False)):
        figure.text(0.02, 1 - _LINE_INCHES * (2.2 + number) / height, f"■ {name}", fontsize=8, color=color, **place)
    return _saved(figure, "png", {"Software": None})


def _chart(bars: Bars, header_inches: float) -> Figure:
    is_turned = len(bars.ticks) >= _CROWDED and max(map(len, bars.ticks)) > 3
    height = _HEIGHT_INCHES + header_inches
    left, right, below, above = _MARGINS_INCHES
    figure = Figure(figsize=(_WIDTH_INCHES, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=left / _WIDTH_INCHES,
        right=1 - right / _WIDTH_INCHES,
        bottom=(below + (0.2 if is_turned else 0.0)) / height,
        top=1 - (above + header_inches) / height,
    )
    axes = figure.add_subplot(facecolor="none")
    wide = 0.84 / len(bars.shares)
    for number, (shares, color) in enumerate(zip(bars.shares, COLORS, strict=False)):
        begins = [bar - 0.42 + number * wide for bar in range(len(shares))]
        axes.bar(begins, shares, wide * 0.94, align="edge", color=color, zorder=3)
    _label(axes, bars, is_turned)
    return figure


def _label(axes: Axes, bars: Bars, is_turned: bool) -> None:
    places = [place - 0.5 if bars.at_edges else float(place) for place in range(len(bars.ticks))]
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_turned else {}
    axes.set_xticks(places, bars.ticks, **turned)
    room = 0.1 + max(0, _FEW - len(bars.shares[0])) / 2  # few bars are not to fill the chart
    axes.set_xlim(-0.5 - room, len(bars.shares[0]) - 0.5 + room)
    axes.set_xlabel(bars.unit, fontsize=8, color=LIGHT.ink)
    top = max(0.01, 1.08 * max(max(shares) for shares in bars.shares))
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top > 0.1 else 1, symbol=" %"))
    axes.tick_params(labelcolor=LIGHT.ink, labelsize=7.5, length=0)
    axes.grid(axis="y", color=LIGHT.grid, linewidth=0.7, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT.grid)


def _saved(figure: Figure, file_format: str, metadata: dict[str, None]) -> bytes:
    sink = io.BytesIO()
    with boxes_for_missing_glyphs():
        figure.savefig(sink, format=file_format, dpi=_PNG_DPI, metadata=metadata)
    return sink.getvalue()
