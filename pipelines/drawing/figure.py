"""Draws one sample: photo, boxes, numbers, legend and sentences, in pixels of the finished picture."""

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipelines.drawing.lines import Line, printable, query_runs, wrap
from pipelines.drawing.naming import Cast, Naming, cast_of
from pipelines.drawing.page import GREY, SMALL, TEXT, WIDTH, Page, Ruler, boxes_for_missing_glyphs
from pipelines.drawing.tags import place_tags
from xdetr_data.boxes import Box
from xdetr_data.masks import mask_outlines
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.record import GroundedImage

MARGIN = 28
MAX_PHOTO_HEIGHT = 1100
LINE_HEIGHT, LEGEND_HEIGHT, PARAGRAPH_GAP = 33, 32, 6
MAX_LINES = 400  # of one picture
MAX_TAGGED = 26  # characters of a phrase in the legend
FORMATS = ("png", "pdf", "svg")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """An entry of the legend: a number tag or a line style, and what it stands for."""

    label: str
    width: float
    naming: Naming | None = None
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Everything that a picture shows, with its height, before anything is drawn."""

    cast: Cast
    sentences: list[list[Line]]
    legend: list[list[_Entry]]
    photo_xyxy: Box
    height: int


def draw_sample(sample: GroundedImage, photo: Pixels | None, *, max_queries: int) -> Figure:
    """The picture of a sample; ``photo [H, W, 3]`` of any resolution, None for a blank one. At most ``max_queries``."""
    ruler = Ruler()
    with boxes_for_missing_glyphs():
        layout = _lay_out(sample, max_queries, ruler)
    page = Page(layout.height, ruler)
    page.text(MARGIN, 34, _heading(sample), SMALL, color=GREY)
    _draw_photo(page, photo, layout.photo_xyxy)
    _draw_regions(page, sample, layout)
    baseline = layout.photo_xyxy[3] + 44
    for entries in layout.legend:
        _draw_legend(page, entries, baseline)
        baseline += LEGEND_HEIGHT
    baseline += 2 * PARAGRAPH_GAP
    for lines in layout.sentences:
        for number, line in enumerate(lines):
            if number == 0:
                page.text(MARGIN, baseline, "•", TEXT, color=GREY)
            page.runs(MARGIN + 22, baseline, line)
            baseline += LINE_HEIGHT
        baseline += PARAGRAPH_GAP
    if left_out := len(sample.queries) - len(layout.sentences):
        page.text(
            MARGIN,
            baseline,
            f"… and {left_out:,} more {'query' if left_out == 1 else 'queries'}, not shown",
            SMALL,
            color=GREY,
        )
    return page.figure


def render(figure: Figure, file_format: str) -> bytes:
    """The figure as the bytes of a file; the same sample gives the same bytes."""
    sink = io.BytesIO()
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}[file_format]
    with boxes_for_missing_glyphs():
        figure.savefig(sink, format=file_format, metadata=metadata)
    return sink.getvalue()


def photo_pixels(data: bytes) -> Pixels:
    """A photo's bytes as pixels ``[H, W, 3]``, no larger than the picture needs; InputError if it does not decode."""
    small = decode_photo(data, least_px=2 * WIDTH)
    small.thumbnail((2 * WIDTH, 2 * WIDTH))
    return np.asarray(small)


def _heading(sample: GroundedImage) -> str:
    height, width = sample.image.size_hw
    name = printable(sample.image.file_name)
    counts = f"{len(sample.queries):,} queries, {len(sample.regions):,} regions"
    return f"{sample.key}  ·  {name[-60:]}  ·  {width}×{height}  ·  {counts}"


def _lay_out(sample: GroundedImage, max_queries: int, ruler: Ruler) -> _Layout:
    shown = min(max_queries, len(sample.queries))
    cast = cast_of(sample, shown)
    sentences: list[list[Line]] = []
    for query, namings in zip(sample.queries, cast.of_phrase, strict=False):
        lines = wrap(query_runs(query, namings), WIDTH - 2 * MARGIN - 22, ruler.run)
        if sum(map(len, sentences)) + len(lines) > MAX_LINES:
            break
        sentences.append(lines)
    if len(sentences) < shown:
        cast = cast_of(sample, len(sentences))
    legend = _legend(sample, cast, ruler)
    photo_xyxy = _photo_place(sample.image.size_hw)
    height = photo_xyxy[3] + 44 + LEGEND_HEIGHT * len(legend) + 2 * PARAGRAPH_GAP + MARGIN
    height += sum(LINE_HEIGHT * len(lines) + PARAGRAPH_GAP for lines in sentences)
    return _Layout(cast=cast, sentences=sentences, legend=legend, photo_xyxy=photo_xyxy, height=round(height))


def _photo_place(size_hw: tuple[int, int]) -> Box:
    height, width = size_hw
    scale = min((WIDTH - 2 * MARGIN) / width, MAX_PHOTO_HEIGHT / height)
    shown_wh = max(8.0, width * scale), max(8.0, height * scale)
    left = (WIDTH - shown_wh[0]) / 2
    return (left, 48.0, left + shown_wh[0], 48.0 + shown_wh[1])


def _legend(sample: GroundedImage, cast: Cast, ruler: Ruler) -> list[list[_Entry]]:
    """Entries in lines: what each number is, then the styles of boxes without one."""
    entries: list[tuple[str, Naming | None, str]] = []
    for naming in cast.namings:
        said = printable(naming.texts[0])
        said = said if len(said) <= MAX_TAGGED else f"{said[: MAX_TAGGED - 1]}…"
        more = f" ×{len(naming.regions)}" if len(naming.regions) > 1 else ""
        entries.append((f"{said}{more}", naming, ""))
    if cast.textless:
        entries.append((f"{len(cast.textless):,} textless (detection only)", None, "--"))
    if cast.left_out:
        entries.append((f"{len(cast.left_out):,} of queries not shown", None, "-"))
    if any(region.is_crowd for region in sample.regions):
        entries.append(("crowd", None, ":"))
    lines: list[list[_Entry]] = []
    used = float(WIDTH)
    for label, tagged, style in entries:
        width = (ruler.tag(tagged)[0] if tagged else 44.0) + 8 + ruler.width(label, SMALL) + 24
        if used + width > WIDTH - 2 * MARGIN:
            lines.append([])
            used = 0.0
        lines[-1].append(_Entry(label=label, width=width, naming=tagged, style=style))
        used += width
    return lines


def _draw_legend(page: Page, entries: Sequence[_Entry], baseline: float) -> None:
    x = float(MARGIN)
    for entry in entries:
        if entry.naming is not None:
            width, height = page.ruler.tag(entry.naming)
            page.tag((x, baseline - height + 4, x + width, baseline + 4), entry.naming)
        else:
            width = 44.0
            page.line(x, x + width, baseline - 6, color=GREY, lw=1.6, linestyle=entry.style)
        page.text(x + width + 8, baseline, entry.label, SMALL, color="#333333")
        x += entry.width


def _draw_photo(page: Page, photo: Pixels | None, place: Box) -> None:
    if photo is not None:
        page.photo(photo, place)
        return
    page.rectangle(place, facecolor="#f1f1f1", edgecolor="#cccccc", lw=0.8, zorder=-1)
    x0, y0, x1, y1 = place
    page.text((x0 + x1) / 2, (y0 + y1) / 2, "labels without photo", TEXT, color="#b5b5b5", ha="center", zorder=0)


def _draw_regions(page: Page, sample: GroundedImage, layout: _Layout) -> None:
    """Masks and boxes from large to small, so that none hides another; then the numbers."""
    places = [_place(region.box_xyxy, sample.image.size_hw, layout.photo_xyxy) for region in sample.regions]
    namings_of: dict[int, list[Naming]] = defaultdict(list)
    for naming in layout.cast.namings:
        for region in naming.regions:
            namings_of[region].append(naming)
    textless = set(layout.cast.textless)
    for region in sorted(range(len(places)), key=lambda region: -_area(places[region])):
        _draw_mask(page, sample, region, layout.photo_xyxy, namings_of[region])
        crowd = ":" if sample.regions[region].is_crowd else None
        if region in textless:
            page.rectangle(places[region], fill=False, edgecolor="white", lw=1.8, zorder=2)
            page.rectangle(places[region], fill=False, edgecolor="#555555", lw=1.8, linestyle=crowd or "--", zorder=2)
        elif not namings_of[region]:
            page.rectangle(places[region], fill=False, edgecolor="white", lw=1.6, alpha=0.7, zorder=2)
            page.rectangle(places[region], fill=False, edgecolor=GREY, lw=0.8, linestyle=crowd or "-", zorder=2)
        for depth, naming in enumerate(namings_of[region]):
            inset = _inset(places[region], 5.0 * depth)
            page.rectangle(inset, fill=False, edgecolor="white", lw=3.2, alpha=0.7, zorder=3)
            page.rectangle(inset, fill=False, edgecolor=naming.color, lw=2.0, linestyle=crowd or "-", zorder=3)
    tagged = [(places[region], naming) for region in sorted(namings_of) for naming in namings_of[region]]
    x0, y0, x1, y1 = layout.photo_xyxy
    spots = place_tags(
        [_moved(place, -x0, -y0) for place, _ in tagged],
        [page.ruler.tag(naming) for _, naming in tagged],
        (x1 - x0, y1 - y0),
    )
    for spot, (_, naming) in zip(spots, tagged, strict=True):
        page.tag(_moved(spot, x0, y0), naming)


def _draw_mask(page: Page, sample: GroundedImage, region: int, photo_xyxy: Box, namings: Sequence[Naming]) -> None:
    """The pixels of an object that was segmented, in the colour of its first number."""
    mask, size_hw = sample.regions[region].mask, sample.image.size_hw
    if not mask:
        return
    scale = np.array([photo_xyxy[2] - photo_xyxy[0], photo_xyxy[3] - photo_xyxy[1]]) / size_hw[::-1]
    outlines = [line * scale + photo_xyxy[:2] for line in mask_outlines(mask, size_hw)]
    page.area(outlines, facecolor=namings[0].color if namings else GREY, edgecolor="none", alpha=0.35, zorder=1)


def _place(box_xyxy: Box, size_hw: tuple[int, int], photo_xyxy: Box) -> Box:
    """A box in pixels of the photo → pixels of the picture."""
    scale = (photo_xyxy[2] - photo_xyxy[0]) / size_hw[1], (photo_xyxy[3] - photo_xyxy[1]) / size_hw[0]
    x0, y0, x1, y1 = box_xyxy
    return _moved((x0 * scale[0], y0 * scale[1], x1 * scale[0], y1 * scale[1]), photo_xyxy[0], photo_xyxy[1])


def _moved(box: Box, dx: float, dy: float) -> Box:
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


def _inset(box: Box, depth: float) -> Box:
    x, y = min(depth, (box[2] - box[0]) / 4), min(depth, (box[3] - box[1]) / 4)
    return (box[0] + x, box[1] + y, box[2] - x, box[3] - y)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
