"""The report's figures as PNG files: its charts, and its samples drawn as in the paper's figures A and B."""

import io
import re
from collections.abc import Iterator, Sequence

from PIL import Image

from pipelines.drawing.figure import draw_sample, photo_pixels, render
from pipelines.drawing.page import TEXT, WIDTH, Page, Ruler, boxes_for_missing_glyphs
from pipelines.report.charts import COLORS, chart_png
from pipelines.report.collect import Report, Shot
from pipelines.report.page import charts_of
from pipelines.report.panel import MAX_QUERIES

OWN_NAME = re.compile(
    r"(gallery|lowest)(-[0-9]+)+\.png|(queries|boxes|words)-per-[a-z]+\.png|(box-size|scores|trace-agreement)\.png"
)
_COLUMN = 1000  # pixels of a sample's width where several stand side by side
_STRIP = 64


def figures(report: Report) -> Iterator[tuple[str, bytes]]:
    """File names and PNG bytes of all figures, one at a time; the same report gives the same bytes."""
    names = [side.name for side in report.sides]
    for bars in charts_of(report):
        yield f"{bars.name}.png", chart_png(bars, names)
    for gallery in report.galleries:
        of_side = "" if len(report.galleries) == 1 else f"-{gallery.sides[0] + 1}"
        for number, row in enumerate(gallery.rows, start=1):
            yield f"gallery{of_side}-{number:02d}.png", _side_by_side(report, row)
    for side, shots in enumerate(report.lowest, start=1):
        of_side = "" if len(report.sides) == 1 else f"-{side}"
        for number, shot in enumerate(shots, start=1):
            yield f"lowest{of_side}-{number:02d}.png", _side_by_side(report, [shot])


def _side_by_side(report: Report, row: Sequence[Shot]) -> bytes:
    pictures = [_column(report, shot) for shot in row]
    if len(pictures) > 1:
        size = [(_COLUMN, round(one.height * _COLUMN / one.width)) for one in pictures]
        pictures = [one.resize(wh, Image.Resampling.LANCZOS) for one, wh in zip(pictures, size, strict=True)]
    sheet = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)), "white")
    left = 0
    for one in pictures:
        sheet.paste(one, (left, 0))
        left += one.width
    sink = io.BytesIO()
    sheet.save(sink, "PNG", compress_level=6)
    return sink.getvalue()


def _column(report: Report, shot: Shot) -> Image.Image:
    """A sample below the name of its dataset."""
    page = Page(_STRIP, Ruler())
    score = "" if shot.label is None else f"   score {shot.label.score:.3f}"
    title = f"{report.sides[shot.side].name}{score}"
    page.text(28, 44, title, TEXT + 3, bold=True, color=COLORS[shot.side])
    pixels = None if shot.photo is None else photo_pixels(report.photos.jpeg(shot.photo))
    parts = [page.figure]
    with boxes_for_missing_glyphs():
        parts.append(draw_sample(shot.record, pixels, max_queries=MAX_QUERIES))
    images = [Image.open(io.BytesIO(render(part, "png"))).convert("RGB") for part in parts]
    column = Image.new("RGB", (WIDTH, sum(one.height for one in images)), "white")
    column.paste(images[0], (0, 0))
    column.paste(images[1], (0, images[0].height))
    return column
