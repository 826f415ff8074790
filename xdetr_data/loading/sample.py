"""One sample, loaded: labels and photo read, queries chosen, photo, boxes and phrases changed together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import Boxes
from xdetr_data.errors import RecordError
from xdetr_data.loading.classes import Chosen, Classes, choose_classes, known_texts, sample_queries
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.pixels import Pixels, Recolour, draw_recolour, render
from xdetr_data.loading.view import View, draw_view, see
from xdetr_data.photos.decoding import open_photo
from xdetr_data.record import GroundedImage, Query
from xdetr_data.schema import from_json
from xdetr_data.spans import Span

# A mirrored photo makes these words wrong; "leftmost", "right-hand" and "rights" begin like them.
_SIDES = re.compile(r"\b(left|right|east|west|clockwise|anticlockwise|counter-?clockwise|o'?clock)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPhrase:
    """Character spans of the query's text ↔ indices into the loaded regions."""

    spans: tuple[Span, ...]
    regions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedQuery:
    """A chosen query with the phrases that still name something."""

    text: str
    phrases: tuple[LoadedPhrase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCounts:
    """What was loaded, and what was left out or not done, and why."""

    photos: int = 0
    photos_unreadable: int = 0
    photos_cropped: int = 0
    photos_flipped: int = 0
    photos_not_flipped_for_text: int = 0
    crowd_regions: int = 0
    regions_cropped: int = 0
    regions_cropped_away: int = 0
    phrases_without_region: int = 0

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        """Sums."""
        return LoadCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPhoto:
    """``boxes_xyxy_norm [R, 4]`` are in units of what the pixels show, and so are ``crowds_xyxy_norm [C, 4]``: boxes
    around objects that nobody told apart.

    ``pixels [H, W, 4]`` as ``render`` gives them; whoever turns them into floats applies ``recolour`` in the same go.
    ``known_texts``: those that may be held against the photo's objects; None: any text may.
    """

    key: str
    pixels: Pixels
    recolour: Recolour | None
    boxes_xyxy_norm: Boxes
    crowds_xyxy_norm: Boxes
    queries: tuple[LoadedQuery, ...]
    counts: LoadCounts
    known_texts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSample:
    """A sample that cannot be used, and why."""

    key: str
    detail: str


def says_side(text: str) -> bool:
    """Whether a text tells left from right."""
    return _SIDES.search(text) is not None


def queries_of_paragraph(queries: Sequence[Query], paragraph: int) -> list[Query]:
    """All queries of one of a photo's groups, numbered in the order of its queries; raises IndexError past the last.

    A photo without queries is one paragraph without queries.
    """
    groups = list(dict.fromkeys(query.group for query in queries)) or [""]
    return [query for query in queries if query.group == groups[paragraph]]


def choose_queries(
    queries: Sequence[Query], config: DataConfig, rng: np.random.Generator, classes: Classes | None = None
) -> Chosen:
    """The queries of one visit to a whole photo, in their order: a sample of them."""
    if classes is not None:
        return choose_classes(queries, classes, config, rng)
    return Chosen(queries=sample_queries(queries, config.queries_per_photo, rng))


def load_sample(
    key: str,
    labels: bytes,
    photo: bytes | None,
    number: int,
    config: DataConfig,
    paragraph: int | None = None,
    classes: Classes | None = None,
) -> LoadedPhoto | UnreadableSample:
    """Decodes and augments one sample of the pass ``number``: the photo, or one of its paragraphs, each of which has
    draws of its own. ``classes``: the vocabulary, of a dataset of classes. Never raises for bad bytes."""
    try:
        record = from_json(labels)
        if record.key != key:
            return UnreadableSample(key=key, detail=f"its labels are those of {record.key}")
        if photo is None:
            return UnreadableSample(key=key, detail="has no photo")
    except RecordError as error:
        return UnreadableSample(key=key, detail=str(error))
    entropy = [config.seed, number, crc32(key.encode())]
    if paragraph is None:
        rng = np.random.default_rng(entropy)
        return _augment(record, choose_queries(record.queries, config, rng, classes), photo, rng, config)
    try:
        queries = queries_of_paragraph(record.queries, paragraph)
    except IndexError:
        return UnreadableSample(key=key, detail=f"its labels have no paragraph {paragraph}, which its Parquet row has")
    known = None if classes is None else known_texts(record.queries, queries, classes)
    rng = np.random.default_rng([*entropy, paragraph])
    return _augment(record, Chosen(queries=queries, known=known), photo, rng, config)


def _augment(
    record: GroundedImage, chosen: Chosen, data: bytes, rng: np.random.Generator, config: DataConfig
) -> LoadedPhoto | UnreadableSample:
    size_hw, queries = record.image.size_hw, chosen.queries
    named = {region for query in queries for phrase in query.phrases for region in phrase.regions}
    usable = [index for index, region in enumerate(record.regions) if not region.is_crowd]
    may_flip = not any(says_side(query.text) for query in queries)
    safe = [record.regions[index].box_xyxy for index in usable if index in named]
    view = draw_view(rng, size_hw, safe, config, may_flip=may_flip)
    recolour = draw_recolour(rng, config.jitter)
    pixels = _pixels(data, size_hw, view)
    if isinstance(pixels, str):
        return UnreadableSample(key=record.key, detail=pixels)
    seen = see([record.regions[index].box_xyxy for index in usable], view)
    is_kept = _has_area(seen.boxes_xyxy_norm)
    place = {old: new for new, old in enumerate(old for old, kept in zip(usable, is_kept, strict=True) if kept)}
    loaded = tuple(_remap(query, place) for query in queries)
    phrases = sum(len(query.phrases) for query in queries)
    counts = LoadCounts(
        photos=1,
        photos_cropped=int(view.crop_xyxy != (0, 0, size_hw[1], size_hw[0])),
        photos_flipped=int(view.is_flipped),
        photos_not_flipped_for_text=int(config.flip > 0 and not may_flip),
        crowd_regions=len(record.regions) - len(usable),
        regions_cropped=int((seen.kept[is_kept] < 1 - 1e-9).sum()),
        regions_cropped_away=len(usable) - len(place),
        phrases_without_region=phrases - sum(len(query.phrases) for query in loaded),
    )
    crowds = see([region.box_xyxy for region in record.regions if region.is_crowd], view).boxes_xyxy_norm
    return LoadedPhoto(
        key=record.key,
        pixels=pixels,
        recolour=recolour,
        boxes_xyxy_norm=seen.boxes_xyxy_norm[is_kept],
        crowds_xyxy_norm=crowds[_has_area(crowds)],
        queries=(*loaded, *(LoadedQuery(text=text, phrases=()) for text in chosen.unknown)),
        counts=counts,
        known_texts=chosen.known,
    )


def _has_area(boxes_xyxy_norm: Boxes) -> NDArray[np.bool_]:
    """``[R]`` True for what the view shows a part of; as in DETR, that part is the object's box, however small.

    A phrase names no such sliver: a crop shows at least ``MIN_KEPT`` of every region that is named.
    """
    sides = boxes_xyxy_norm[:, 2:] - boxes_xyxy_norm[:, :2]
    has_area: NDArray[np.bool_] = sides.min(axis=1) > 0
    return has_area


def _pixels(data: bytes, size_hw: tuple[int, int], view: View) -> Pixels | str:
    """Pixels of the view, or why the photo has none."""
    try:
        photo = open_photo(data)
        if (photo.height, photo.width) != size_hw:
            return f"the photo is {photo.width}x{photo.height} pixels, its labels are for {size_hw[1]}x{size_hw[0]}"
        return render(photo, view)
    except Exception as error:  # on damaged bytes Pillow raises almost anything
        return f"{type(error).__name__}: {error}"


def _remap(query: Query, place: dict[int, int]) -> LoadedQuery:
    """The query with its phrases pointing at the kept regions; its text, and so its spans, stay as they are."""
    phrases = [
        LoadedPhrase(spans=phrase.spans, regions=tuple(place[region] for region in phrase.regions if region in place))
        for phrase in query.phrases
    ]
    return LoadedQuery(text=query.text, phrases=tuple(phrase for phrase in phrases if phrase.regions))
