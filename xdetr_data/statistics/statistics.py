"""Distributions of a dataset, from the Parquet files of its labels alone, a few thousand rows at a time.

Everything is counted exactly, so that the same dataset always gives the same statistics.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xdetr_data.boxes import area_xyxy
from xdetr_data.manifest import Manifest
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.reader import intact_labels, read_batches, stems
from xdetr_data.statistics.distributions import Binned, Histogram, Sums, histogram
from xdetr_data.statistics.words import words_of_spans, words_of_texts
from xdetr_data.storage import Folder

STATISTICS = "statistics.json"
ROWS_PER_BATCH = 4096
AREA_EDGES = (0.0, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
SCORE_EDGES = tuple(round(0.1 * step, 1) for step in range(11))

Ints = NDArray[np.int64]


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What ``stats`` prints and saves. Area is the box's share of its photo; words are separated by white space."""

    schema: int
    config_hash: str
    photos: int
    queries: int
    phrases: int
    regions: int
    textless_regions: int
    crowd_regions: int
    exhaustive_queries: int
    photos_by_source: dict[str, int]
    regions_by_source: dict[str, int]
    phrases_by_source: dict[str, int]
    queries_per_photo: Histogram
    phrases_per_photo: Histogram
    regions_per_photo: Histogram
    phrases_per_query: Histogram
    boxes_per_phrase: Histogram
    phrases_per_region: Histogram
    words_per_query: Histogram
    words_per_phrase: Histogram
    box_area: Binned
    phrase_score: Binned
    shard_rows: Histogram
    shard_bytes: Histogram
    accounting: dict[str, Any]


def collect_statistics(folder: Folder, manifest: Manifest, advance: Callable[[int], None]) -> Statistics:
    """Statistics of a dataset; ``advance`` is told the rows that are done. Raises InputError for damaged labels."""
    sums = Sums()
    for stem in stems(manifest):
        with intact_labels(folder, stem):
            for batch in read_batches(folder, stem, rows=ROWS_PER_BATCH):
                _count_batch(sums, batch)
                advance(batch.num_rows)
    tars = [one.bytes for entry in manifest.shards for one in entry.files if one.name.endswith(".tar")]
    by_name: dict[str, Any] = {
        **{name: sums.totals[name] for name in _TOTALS},
        **{name: dict(sorted(sums.names.get(name, Counter()).items())) for name in _NAMES},
        **{name: sums.histogram(name) for name in _HISTOGRAMS},
    }
    return Statistics(
        schema=SCHEMA_VERSION,
        config_hash=manifest.config_hash,
        **by_name,
        box_area=sums.binned("box_area", AREA_EDGES),
        phrase_score=sums.binned("phrase_score", SCORE_EDGES),
        shard_rows=histogram(Counter(entry.rows for entry in manifest.shards)),
        shard_bytes=histogram(Counter(tars)),
        accounting=manifest.accounting,
    )


_TOTALS = ("photos", "queries", "phrases", "regions", "textless_regions", "crowd_regions", "exhaustive_queries")
_NAMES = ("photos_by_source", "regions_by_source", "phrases_by_source")
_HISTOGRAMS = (
    "queries_per_photo",
    "phrases_per_photo",
    "regions_per_photo",
    "phrases_per_query",
    "boxes_per_phrase",
    "phrases_per_region",
    "words_per_query",
    "words_per_phrase",
)


def write_statistics(folder: Folder, statistics: Statistics) -> None:
    """Saves the statistics beside the shards; the same dataset gives the same bytes."""
    folder.write(STATISTICS, msgspec.json.format(msgspec.json.encode(statistics), indent=1))


def _lengths(lists: pa.Array) -> Ints:
    """Length of each list, ``[N]``."""
    return np.asarray(pc.list_value_length(lists).to_numpy(zero_copy_only=False), dtype=np.int64)


def _owner(lengths: Ints) -> Ints:
    """Which list each item of flattened lists belongs to, ``[sum of lengths]``."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _count_batch(sums: Sums, batch: pa.RecordBatch) -> None:
    regions = batch["regions"].flatten()
    queries = batch["queries"].flatten()
    phrases = queries.field("phrases").flatten()
    regions_of_photo, queries_of_photo = _lengths(batch["regions"]), _lengths(batch["queries"])
    phrases_of_query = _lengths(queries.field("phrases"))
    photo_of_query = _owner(queries_of_photo)
    photo_of_phrase = photo_of_query[_owner(phrases_of_query)]
    for name, count in (("photos", len(batch)), ("queries", len(queries)), ("phrases", len(phrases))):
        sums.totals[name] += count
    sums.totals["exhaustive_queries"] += pc.sum(queries.field("is_exhaustive")).as_py() or 0
    sums.names_of("photos_by_source", batch["image"].field("source"))
    sums.names_of("phrases_by_source", phrases.field("provenance").field("source"))
    sums.whole("queries_per_photo", queries_of_photo)
    sums.whole("regions_per_photo", regions_of_photo)
    sums.whole("phrases_per_query", phrases_of_query)
    sums.whole("phrases_per_photo", np.bincount(photo_of_phrase, minlength=len(batch)))
    _count_regions(sums, batch["image"], regions, regions_of_photo)
    _count_links(sums, phrases, photo_of_phrase, regions_of_photo)
    _count_words(sums, queries, phrases, _owner(phrases_of_query))
    scores = pc.drop_null(phrases.field("score")).to_numpy(zero_copy_only=False)
    sums.real("phrase_score", scores, SCORE_EDGES)


def _count_regions(sums: Sums, images: pa.StructArray, regions: pa.StructArray, regions_of_photo: Ints) -> None:
    sums.totals["regions"] += len(regions)
    sums.totals["crowd_regions"] += pc.sum(regions.field("is_crowd")).as_py() or 0
    sums.names_of("regions_by_source", regions.field("provenance").field("source"))
    boxes_xyxy = regions.field("box_xyxy").flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    height, width = (images.field(name).to_numpy(zero_copy_only=False) for name in ("height", "width"))
    photo_area = (height.astype(np.float64) * width)[_owner(regions_of_photo)]
    sums.real("box_area", area_xyxy(boxes_xyxy) / photo_area, AREA_EDGES)


def _count_links(sums: Sums, phrases: pa.StructArray, photo_of_phrase: Ints, regions_of_photo: Ints) -> None:
    """Phrase ↔ region links: a region is textless where no phrase names it."""
    boxes_of_phrase = _lengths(phrases.field("regions"))
    sums.whole("boxes_per_phrase", boxes_of_phrase)
    begin_of_photo = np.cumsum(regions_of_photo) - regions_of_photo
    named = begin_of_photo[photo_of_phrase[_owner(boxes_of_phrase)]]
    named = named + phrases.field("regions").flatten().to_numpy(zero_copy_only=False)
    phrases_of_region = np.bincount(named, minlength=int(regions_of_photo.sum()))
    sums.whole("phrases_per_region", phrases_of_region)
    sums.totals["textless_regions"] += int((phrases_of_region == 0).sum())


def _count_words(sums: Sums, queries: pa.StructArray, phrases: pa.StructArray, query_of_phrase: Ints) -> None:
    texts = queries.field("text").to_pylist()
    sums.whole("words_per_query", words_of_texts(texts))
    spans_of_phrase = _lengths(phrases.field("spans"))
    spans_char = phrases.field("spans").flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
    words = words_of_spans(texts, query_of_phrase[_owner(spans_of_phrase)], spans_char)
    sums.whole("words_per_phrase", np.bincount(_owner(spans_of_phrase), words, minlength=len(phrases)).astype(np.int64))


def distributions(statistics: Statistics) -> Iterator[tuple[str, Histogram]]:
    """The distributions of whole numbers with their names, in the order of the fields."""
    for name in statistics.__struct_fields__:
        value = getattr(statistics, name)
        if isinstance(value, Histogram):
            yield name, value
