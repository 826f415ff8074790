"""Bars drawn by matplotlib: as SVG in light and dark for the page, as PNG for papers. Same bars, same bytes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pipelines.drawing.page import boxes_for_missing_glyphs
from pipelines.report.bars import Bars

COLORS = ("#2f6fd0", "#e07b16", "#1f9d63")
_SIZE_INCHES = (4.8, 2.55)
_PNG_DPI = 200
_CROWDED = 12  # bars from which on the labels are turned


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of text and lines on a background; None leaves the page's own."""

    ink: str
    grid: str
    background: str | None


LIGHT = Theme(ink="#3b4252", grid="#d9dee7", background=None)
DARK = Theme(ink="#c9d1de", grid="#3a4353", background=None)
PAPER = Theme(ink="#222222", grid="#dddddd", background="white")


def chart_svg(bars: Bars, theme: Theme) -> bytes:
    """A chart for the page: no title and no legend, for the page has both."""
    with matplotlib.rc_context({"svg.hashsalt": bars.name, "svg.fonttype": "path"}):
        return _saved(_chart(bars, theme), "svg", {"Date": None, "Creator": None})


def chart_png(bars: Bars, names: Sequence[str]) -> bytes:
    """A chart that stands alone: with its title, and the datasets' names where there are several."""
    figure = _chart(bars, PAPER)
    figure.suptitle(bars.title, x=0.02, ha="left", fontsize=10, fontweight="bold", color=PAPER.ink)
    if len(names) > 1:
        for number, (name, color) in enumerate(zip(names, COLORS, strict=False)):
            label = f"■ {name if len(name) <= 36 else name[:35] + '…'}"
            place = {"x": 0.985, "y": 0.86 - 0.075 * number, "ha": "right", "va": "top"}
            figure.text(s=label, color=color, fontsize=8, parse_math=False, zorder=9, **place)
    return _saved(figure, "png", {"Software": None})


def _chart(bars: Bars, theme: Theme) -> Figure:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_visible(theme.background is not None)
    figure.patch.set_facecolor(theme.background or "none")
    axes = figure.add_subplot(facecolor="none")
    wide = 0.84 / len(bars.shares)
    for number, (shares, color) in enumerate(zip(bars.shares, COLORS, strict=False)):
        left = [bar - 0.42 + number * wide for bar in range(len(shares))]
        axes.bar(left, shares, wide * 0.94, align="edge", color=color, zorder=3)
    places = [place - 0.5 if bars.at_edges else float(place) for place in range(len(bars.ticks))]
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if len(bars.ticks) > _CROWDED - 1 else {}
    turned = {} if max(map(len, bars.ticks)) < 3 or (bars.at_edges and len(bars.ticks) < _CROWDED) else turned
    axes.set_xticks(places, bars.ticks, fontsize=7.5, **turned)
    axes.set_xlim(-0.6, len(bars.shares[0]) - 0.4)
    top = max(0.01, 1.08 * max(max(shares) for shares in bars.shares))
    axes.set_ylim(0, top)
    axes.set_xlabel(bars.unit, fontsize=8, color=theme.ink)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top > 0.1 else 1, symbol=" %"))
    axes.tick_params(colors=theme.ink, labelsize=7.5, length=0)
    axes.grid(axis="y", color=theme.grid, linewidth=0.7, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.grid)
    return figure


def _saved(figure: Figure, file_format: str, metadata: dict[str, None]) -> bytes:
    sink = io.BytesIO()
    with boxes_for_missing_glyphs():
        figure.savefig(sink, format=file_format, dpi=_PNG_DPI, metadata=metadata)
    return sink.getvalue()
