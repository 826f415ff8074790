"""A canvas in pixels of the finished picture, origin at the top left, and a ruler for its text.

Text of data is never read as mathematics (``$``), and a glyph that no installed font has becomes a box, not a crash.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from pipelines.drawing.lines import Line, Run
from pipelines.drawing.naming import Naming
from xdetr_data.boxes import Box

DPI = 150
WIDTH = 1400
TEXT, SMALL, TAG = 11.0, 8.5, 8.0  # points
TAG_HEIGHT = 21.0
GREY = "#777777"
_FALLBACK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans", "Noto Emoji", "Symbola")
_TAG_GAP = 3.0


@cache
def _font(points: float, bold: bool) -> FontProperties:
    installed = set(fontManager.get_font_names())
    families = ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed)]
    return FontProperties(family=families, size=points, weight="bold" if bold else "normal")


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """Keeps matplotlib from warning of every character that no installed font has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


class Ruler:
    """Measures text in pixels of the finished picture."""

    def __init__(self) -> None:
        self._renderer = FigureCanvasAgg(Figure(dpi=DPI)).get_renderer()
        self._known: dict[tuple[str, float, bool], float] = {}

    def width(self, text: str, points: float, *, bold: bool = False) -> float:
        """Advance of a text, its outer spaces included."""
        key = (text, points, bold)
        if key not in self._known:
            self._known[key] = self._ink(f"|{text}|", points, bold) - self._ink("||", points, bold)
        return self._known[key]

    def _ink(self, text: str, points: float, bold: bool) -> float:
        return float(self._renderer.get_text_width_height_descent(text, _font(points, bold), ismath=False)[0])

    def tag(self, naming: Naming) -> tuple[float, float]:
        """Width and height of a number tag."""
        return self.width(str(naming.number), TAG, bold=True) + 9.0, TAG_HEIGHT

    def run(self, run: Run) -> float:
        """Advance of a run; a tag has a gap on both sides."""
        if run.is_tag and run.naming is not None:
            return self.tag(run.naming)[0] + 2 * _TAG_GAP
        return self.width(run.text, TEXT, bold=run.naming is not None)


class Page:
    """Draws on a figure of ``WIDTH`` × ``height`` pixels."""

    def __init__(self, height: float, ruler: Ruler) -> None:
        self.height = height
        self.ruler = ruler
        self.figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor="white")

    def photo(self, pixels: Any, place: Box) -> None:
        """A photo ``[H, W, 3]`` at a place."""
        x0, y0, x1, y1 = place
        axes = self.figure.add_axes(
            (x0 / WIDTH, 1 - y1 / self.height, (x1 - x0) / WIDTH, (y1 - y0) / self.height), frameon=False, zorder=-1
        )
        axes.imshow(pixels, aspect="auto", interpolation="bilinear")
        axes.set_axis_off()

    def text(self, x: float, baseline: float, text: str, points: float, *, bold: bool = False, **more: Any) -> None:
        """A text whose baseline is at ``baseline`` pixels from the top."""
        options = {"color": "black", "zorder": 5, **more}
        self.figure.text(
            x / WIDTH,
            1 - baseline / self.height,
            text,
            fontproperties=_font(points, bold),
            parse_math=False,
            **options,
        )

    def line(self, x0: float, x1: float, y: float, **look: Any) -> None:
        """A horizontal line."""
        place = 1 - y / self.height
        self.figure.add_artist(Line2D([x0 / WIDTH, x1 / WIDTH], [place, place], **look))

    def rectangle(self, place: Box, **look: Any) -> None:
        """A rectangle."""
        x0, y0, x1, y1 = place
        corner, width, height = (x0 / WIDTH, 1 - y1 / self.height), (x1 - x0) / WIDTH, (y1 - y0) / self.height
        self.figure.add_artist(Rectangle(corner, width, height, transform=self.figure.transFigure, **look))

    def area(self, outlines: Sequence[NDArray[np.float64]], **look: Any) -> None:
        """What closed outlines ``[N, 2]`` enclose, holes left out."""
        scale = np.array([1 / WIDTH, -1 / self.height])
        paths = [Path(line * scale + [0, 1], closed=True) for line in outlines]
        patch = PathPatch(Path.make_compound_path(*paths), transform=self.figure.transFigure, **look)
        self.figure.add_artist(patch)

    def tag(self, place: Box, naming: Naming) -> None:
        """A number in white on its colour."""
        x0, y0, x1, y1 = place
        self.rectangle(place, facecolor=naming.color, edgecolor="white", lw=0.6, zorder=8)
        centre = {"ha": "center", "va": "center_baseline", "color": "white", "zorder": 9}
        self.text((x0 + x1) / 2, (y0 + y1) / 2, str(naming.number), TAG, bold=True, **centre)

    def runs(self, x: float, baseline: float, line: Line) -> None:
        """A line of a sentence, in colours, underlined where several phrases overlap."""
        for run in line:
            advance = self.ruler.run(run)
            if run.is_tag and run.naming is not None:
                width, height = self.ruler.tag(run.naming)
                left, top = x + _TAG_GAP, baseline - height + 3
                self.tag((left, top, left + width, top + height), run.naming)
            else:
                self._words(x, baseline, run)
                for number, color in enumerate(run.lines):
                    self.line(x, x + advance, baseline + 5 + 3 * number, color=color, lw=1.1)
            x += advance

    def _words(self, x: float, baseline: float, run: Run) -> None:
        words = run.text.lstrip(" ")
        bold = run.naming is not None
        if words:
            left = x + self.ruler.width(" " * (len(run.text) - len(words)), TEXT, bold=bold)
            self.text(left, baseline, words, TEXT, bold=bold, color=run.naming.color if run.naming else "black")
