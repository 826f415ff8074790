"""Distributions of a dataset, from the Parquet files of its labels alone, a few thousand rows at a time.

Everything is counted exactly, so that the same dataset always gives the same statistics.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from xdetr_data.boxes import area_xyxy
from xdetr_data.manifest import Manifest
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.reader import intact_labels, read_batches, stems
from xdetr_data.shards.tables import BOX, Tables, per
from xdetr_data.statistics.distributions import Binned, Histogram, Sums, histogram
from xdetr_data.statistics.words import words_of_spans, words_of_texts
from xdetr_data.storage import Folder

STATISTICS = "statistics.json"
ROWS_PER_BATCH = 4096
PHRASES = "queries.list.element.phrases.list.element"
COLUMNS = (
    *("image.source", "image.height", "image.width"),
    *(f"regions.list.element.{name}" for name in ("box_xyxy", "is_crowd", "provenance.source")),
    *(f"queries.list.element.{name}" for name in ("text", "is_exhaustive")),
    *(f"{PHRASES}.{name}" for name in ("spans", "regions", "score", "provenance.source")),
)
AREA_EDGES = (0.0, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
SCORE_EDGES = tuple(round(0.1 * step, 1) for step in range(11))


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
            for batch in read_batches(folder, stem, COLUMNS, ROWS_PER_BATCH):
                _count_batch(sums, Tables(batch))
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


def _count_batch(sums: Sums, tables: Tables) -> None:
    photos, queries, phrases = tables.photos, tables.queries, tables.phrases
    regions, links = tables.regions, tables.links
    phrases_of_region = per(links["region"], regions)
    for name, count in (
        ("photos", len(photos)),
        ("queries", len(queries)),
        ("phrases", len(phrases)),
        ("regions", len(regions)),
        ("textless_regions", (phrases_of_region == 0).sum()),
        ("crowd_regions", regions["is_crowd"].sum()),
        ("exhaustive_queries", queries["is_exhaustive"].sum()),
    ):
        sums.totals[name] += int(count)
    sums.names_of("photos_by_source", photos["source"])
    sums.names_of("phrases_by_source", phrases["provenance"])
    sums.names_of("regions_by_source", regions["provenance"])
    sums.whole("queries_per_photo", per(queries["photo"], photos))
    sums.whole("regions_per_photo", per(regions["photo"], photos))
    sums.whole("phrases_per_photo", per(queries["photo"].take(phrases["query"]), photos))
    sums.whole("phrases_per_query", per(phrases["query"], queries))
    sums.whole("boxes_per_phrase", phrases["boxes"])
    sums.whole("phrases_per_region", phrases_of_region)
    _count_words(sums, tables)
    photo_area = (photos["height"] * photos["width"].astype("float64")).take(regions["photo"]).to_numpy()
    sums.real("box_area", area_xyxy(regions[[*BOX]].to_numpy()) / photo_area, AREA_EDGES)
    sums.real("phrase_score", phrases["score"].dropna().to_numpy(), SCORE_EDGES)


def _count_words(sums: Sums, tables: Tables) -> None:
    texts, spans = tables.queries["text"].tolist(), tables.spans
    text_of_span = tables.phrases["query"].to_numpy()[spans["phrase"]]
    words = words_of_spans(texts, text_of_span, spans[["begin", "end"]].to_numpy())
    sums.whole("words_per_query", words_of_texts(texts))
    sums.whole("words_per_phrase", per(spans["phrase"], tables.phrases, words))


def distributions(statistics: Statistics) -> Iterator[tuple[str, Histogram]]:
    """The distributions of whole numbers with their names, in the order of the fields."""
    for name in statistics.__struct_fields__:
        value = getattr(statistics, name)
        if isinstance(value, Histogram):
            yield name, value
