"""A sample as shapes and runs of text, in pixels of its photo: what the page's SVG and sentences are made of."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.drawing.lines import Run, printable, query_runs
from pipelines.drawing.naming import Cast, Naming, cast_of
from pipelines.drawing.tags import place_tags
from pipelines.report.collect import Shot
from xdetr_data.boxes import Box
from xdetr_data.masks import mask_outlines
from xdetr_data.record import GroundedImage, Phrase, Region
from xdetr_data.spans import span_text

MAX_QUERIES = 8
MANY_SHOTS, FEW_QUERIES = 100, 3  # on a page of so many samples a panel shows so few sentences
MAX_CHIPS = 24
SHOWN_WIDTH, SHOWN_HEIGHT = 520, 420  # pixels on the screen that tags and insets are measured for
_TAG_HEIGHT, _DIGIT, _PADDING, _INSET = 17.0, 7.5, 8.0, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A rectangle ``x, y, width, height`` in the colour ``number``, 0 for a box without one."""

    x: float
    y: float
    width: float
    height: float
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A region with its frames, one for each naming; ``kind`` is named, textless or left-out. ``mask``: the path of its
    pixels in SVG's words, "" where it was not segmented."""

    region: int
    kind: str
    is_crowd: bool
    title: str
    frames: tuple[Frame, ...]
    mask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Characters of one look: the colour of the phrase, underlines of phrases below it; ``is_tag`` is its number."""

    text: str
    number: int | None
    under: tuple[int, ...]
    is_tag: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A scored label in one line."""

    number: int
    text: str
    score: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One sample, ready to be written down. Lengths are in pixels of the photo; ``unit`` is about one of the screen.

    ``kinds`` is what the page's filter finds it by: labelled or unlabelled, and no-box, textless, crowd where it has
    a phrase without a box, a box without a phrase, a crowd.
    """

    shot: Shot
    size_hw: tuple[int, int]
    unit: float
    drawn: tuple[Drawn, ...]
    tags: tuple[Frame, ...]
    sentences: tuple[tuple[Words, ...], ...]
    chips: tuple[Chip, ...]
    more_queries: int
    more_chips: int
    textless: int
    numbers: int
    kinds: tuple[str, ...]


def panel_of(shot: Shot, max_queries: int = MAX_QUERIES) -> Panel:
    """Lays a sample out, at most ``max_queries`` sentences of it."""
    record = shot.record
    height, width = record.image.size_hw
    unit = max(width / SHOWN_WIDTH, height / SHOWN_HEIGHT)
    cast = cast_of(record, max_queries)
    chips = _chips(record, cast)
    drawn = _drawn(record, cast, unit)
    queries = record.queries[:max_queries]
    return Panel(
        shot=shot,
        size_hw=record.image.size_hw,
        unit=unit,
        drawn=drawn,
        tags=_tags(drawn, unit, (width, height)),
        sentences=tuple(
            _words(query_runs(query, namings), cast) for query, namings in zip(queries, cast.of_phrase, strict=True)
        ),
        chips=tuple(chips[:MAX_CHIPS]),
        more_queries=len(record.queries) - len(queries),
        more_chips=max(0, len(chips) - MAX_CHIPS),
        textless=len(cast.textless),
        numbers=len(cast.namings),
        kinds=tuple(_kinds(record, has_textless=bool(cast.textless))),
    )


def _kinds(record: GroundedImage, *, has_textless: bool) -> Iterator[str]:
    phrases = [phrase for query in record.queries for phrase in query.phrases]
    yield "labelled" if any(phrase.regions for phrase in phrases) else "unlabelled"
    if not all(phrase.regions for phrase in phrases):
        yield "no-box"
    if has_textless:
        yield "textless"
    if any(region.is_crowd for region in record.regions):
        yield "crowd"


def _drawn(record: GroundedImage, cast: Cast, unit: float) -> tuple[Drawn, ...]:
    """Regions from large to small, so that none lies under a larger one."""
    namings: dict[int, list[Naming]] = defaultdict(list)
    for naming in cast.namings:
        for index in naming.regions:
            namings[index].append(naming)
    textless = set(cast.textless)
    order = sorted(range(len(record.regions)), key=lambda index: -_area(record.regions[index].box_xyxy))
    return tuple(
        Drawn(
            region=index,
            kind="textless" if index in textless else "named" if namings[index] else "left-out",
            is_crowd=record.regions[index].is_crowd,
            title=_region_title(record.regions[index], namings[index]),
            frames=_frames(record.regions[index].box_xyxy, namings[index], unit),
            mask=_mask_path(record, index),
        )
        for index in order
    )


def _frames(box_xyxy: Box, namings: Sequence[Naming], unit: float) -> tuple[Frame, ...]:
    """A frame for each naming, one inside the other."""
    x0, y0, x1, y1 = box_xyxy
    frames = []
    for depth, number in enumerate([naming.number for naming in namings] or [0]):
        dx = min(depth * _INSET * unit, (x1 - x0) / 4)
        dy = min(depth * _INSET * unit, (y1 - y0) / 4)
        frames.append(Frame(x=x0 + dx, y=y0 + dy, width=x1 - x0 - 2 * dx, height=y1 - y0 - 2 * dy, number=number))
    return tuple(frames)


def _mask_path(record: GroundedImage, region: int) -> str:
    mask = record.regions[region].mask
    outlines = mask_outlines(mask, record.image.size_hw) if mask else []
    return "".join(f"M{' '.join(f'{x:g},{y:g}' for x, y in line.tolist())}Z" for line in outlines)


def _region_title(region: Region, namings: Sequence[Naming]) -> str:
    said = "; ".join(f"{naming.number} {' / '.join(naming.texts)}" for naming in namings)
    box = ", ".join(f"{value:g}" for value in region.box_xyxy)
    return printable(f"{said or 'no phrase shown'} · [{box}] · {_who(region)}")


def _who(statement: Region | Phrase) -> str:
    origin = statement.provenance
    return " ".join(part for part in (origin.source, origin.annotation_id, origin.detail) if part)


def _area(box_xyxy: Box) -> float:
    return (box_xyxy[2] - box_xyxy[0]) * (box_xyxy[3] - box_xyxy[1])


def _tags(drawn: Sequence[Drawn], unit: float, canvas_wh: tuple[int, int]) -> tuple[Frame, ...]:
    frames = [frame for one in drawn for frame in one.frames if frame.number]
    boxes = [(one.x, one.y, one.x + one.width, one.y + one.height) for one in frames]
    sizes = [((_DIGIT * len(str(one.number)) + _PADDING) * unit, _TAG_HEIGHT * unit) for one in frames]
    return tuple(
        Frame(x=x0, y=y0, width=x1 - x0, height=y1 - y0, number=frame.number)
        for frame, (x0, y0, x1, y1) in zip(frames, place_tags(boxes, sizes, canvas_wh), strict=True)
    )


def _words(runs: Sequence[Run], cast: Cast) -> tuple[Words, ...]:
    number_of = {naming.color: naming.number for naming in cast.namings}
    return tuple(
        Words(
            text=run.text,
            number=run.naming.number if run.naming else None,
            under=tuple(dict.fromkeys(number_of.get(color, 0) for color in run.lines)),
            is_tag=run.is_tag,
        )
        for run in runs
    )


def _chips(record: GroundedImage, cast: Cast) -> list[Chip]:
    """The scored labels of the shown sentences."""
    return [
        Chip(
            number=naming.number,
            text=printable(span_text(phrase.spans, query.text)),
            score=f"{phrase.score:.2f}",
            detail=printable(phrase.provenance.detail),
        )
        for query, namings in zip(record.queries, cast.of_phrase, strict=False)
        for phrase, naming in zip(query.phrases, namings, strict=True)
        if naming is not None and phrase.score is not None
    ]
