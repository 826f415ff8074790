from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tiny_dataset import KEYS, PREFIX, TinyDataset, build
from tests.strategies import grounded_images, texts
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest, ShardEntry
from xdetr_data.record import GroundedImage
from xdetr_data.shards.writer import Sample, write_samples
from xdetr_data.spans import span_text
from xdetr_data.statistics import collect as module
from xdetr_data.statistics.collect import STATISTICS, Statistics, collect_statistics, write_statistics
from xdetr_data.statistics.distributions import Histogram, Sums, histogram
from xdetr_data.statistics.words import words_of_spans, words_of_texts
from xdetr_data.storage import Folder


def collected(samples: list[GroundedImage], batch: int = 3) -> Statistics:
    folder = Folder("memory://statistics-test")
    rows, files = write_samples(folder, "x-000000", [Sample(one, None) for one in samples])
    manifest = Manifest(
        schema=1, recipe="", tool_version="", prefix="x", split="", seed=0, config={}, config_hash="h", inputs=[],
        exclusions=[], accounting={"units": {}, "notes": {}}, rows=rows,
        shards=[ShardEntry(shard=0, rows=rows, files=files)], rejects=[],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_BATCH", batch)
        return collect_statistics(folder, manifest, lambda _: None)


def slow_histograms(samples: list[GroundedImage]) -> dict[str, Counter[int]]:
    """The same distributions, one value after another."""
    queries = [query for one in samples for query in one.queries]
    phrases = [(query, phrase) for query in queries for phrase in query.phrases]
    return {
        "queries_per_photo": Counter(len(one.queries) for one in samples),
        "regions_per_photo": Counter(len(one.regions) for one in samples),
        "phrases_per_photo": Counter(sum(len(query.phrases) for query in one.queries) for one in samples),
        "phrases_per_query": Counter(len(query.phrases) for query in queries),
        "boxes_per_phrase": Counter(len(phrase.regions) for _, phrase in phrases),
        "phrases_per_region": Counter(slow_uses(one, index) for one in samples for index in range(len(one.regions))),
        "words_per_query": Counter(len(query.text.split()) for query in queries),
        "words_per_phrase": Counter(
            sum(len(query.text[begin:end].split()) for begin, end in phrase.spans) for query, phrase in phrases
        ),
    }


def slow_uses(sample: GroundedImage, index: int) -> int:
    return sum(index in phrase.regions for query in sample.queries for phrase in query.phrases)


@given(st.lists(grounded_images(), max_size=7))
@settings(max_examples=25)
def test_distributions_are_what_counting_one_by_one_gives(samples: list[GroundedImage]) -> None:
    found = collected(samples)
    slow = slow_histograms(samples)
    assert {name: Counter(getattr(found, name).counts) for name in slow} == slow
    regions = [region for one in samples for region in one.regions]
    assert (found.photos, found.regions) == (len(samples), len(regions))
    assert found.textless_regions == slow["phrases_per_region"][0]
    assert found.crowd_regions == sum(region.is_crowd for region in regions)
    assert found.exhaustive_queries == sum(query.is_exhaustive for one in samples for query in one.queries)
    assert found.photos_by_source == dict(Counter(one.image.source for one in samples))
    assert found.regions_by_source == dict(Counter(region.provenance.source for region in regions))


@given(st.lists(grounded_images(), max_size=5))
@settings(max_examples=10)
def test_the_size_of_a_batch_does_not_matter(samples: list[GroundedImage]) -> None:
    one, other = collected(samples, 1), collected(samples, 1000)
    assert one.box_area.counts == other.box_area.counts
    assert one.words_per_phrase == other.words_per_phrase


@given(st.lists(grounded_images(), max_size=5))
@settings(max_examples=10)
def test_areas_are_shares_of_the_photo(samples: list[GroundedImage]) -> None:
    found = collected(samples).box_area
    shares = [
        (x1 - x0) * (y1 - y0) / (one.image.size_hw[0] * one.image.size_hw[1])
        for one in samples
        for x0, y0, x1, y1 in (region.box_xyxy for region in one.regions)
    ]
    assert found.count == len(shares)
    for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False):
        assert count == sum(low <= share < high or (high == 1.0 and share >= 1.0) for share in shares)
    assert found.mean == (pytest.approx(sum(shares) / len(shares), abs=1e-8) if shares else None)


@given(st.lists(texts().filter(bool), min_size=1, max_size=4), st.data())
def test_words_of_spans_are_counted_as_split_counts_them(found: list[str], data: st.DataObject) -> None:
    index = st.integers(0, len(found) - 1)
    chosen = data.draw(st.lists(index, max_size=6))
    spans = []
    for text in chosen:
        begin = data.draw(st.integers(0, len(found[text]) - 1))
        spans.append((begin, data.draw(st.integers(begin + 1, len(found[text])))))
    counted = words_of_spans(found, np.array(chosen, np.int64), np.array(spans, np.int64).reshape(-1, 2))
    assert counted.tolist() == [
        len(span_text([span], found[text]).split()) for text, span in zip(chosen, spans, strict=True)
    ]
    assert words_of_texts(found).tolist() == [len(text.split()) for text in found]


def test_a_value_on_an_edge_belongs_to_the_bin_above_and_the_largest_to_the_last() -> None:
    sums = Sums()
    sums.real("x", np.array([0.0, 0.25, 0.25, 0.5, 1.0]), (0.0, 0.25, 0.5, 1.0))
    assert sums.binned("x", (0.0, 0.25, 0.5, 1.0)).counts == [1, 2, 2]


def test_quantiles_are_values_that_occur() -> None:
    found = histogram(Counter({1: 10, 2: 85, 50: 5}))
    assert found == Histogram(count=100, mean=4.3, min=1, median=2, p95=2, max=50, counts={1: 10, 2: 85, 50: 5})
    assert histogram(Counter()).mean is None


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    saved = []
    for _ in range(2):
        write_statistics(dataset.folder, collect_statistics(dataset.folder, dataset.manifest, lambda _: None))
        saved.append((tmp_path / STATISTICS).read_bytes())
    assert saved[0] == saved[1]


def test_shard_sizes_and_accounting_come_from_the_manifest(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    told: list[int] = []
    found = collect_statistics(dataset.folder, dataset.manifest, told.append)
    assert sum(told) == found.photos == len(KEYS)
    assert found.accounting == dataset.manifest.accounting
    assert found.shard_bytes.max == max(dataset.file(".tar", shard).stat().st_size for shard in (0, 1))


def test_damaged_labels_are_one_line(tmp_path: Path) -> None:
    dataset: TinyDataset = build(tmp_path)
    dataset.file(".parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=f"{PREFIX}-000000.parquet"):
        collect_statistics(dataset.folder, dataset.manifest, lambda _: None)
