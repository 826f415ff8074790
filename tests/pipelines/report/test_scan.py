from pathlib import Path

import numpy as np
import pytest

from pipelines.report import scan
from pipelines.report.scan import LabelScan, keys_of, rank, scan_labels
from tests.pipelines.report.datasets import record, scored, write_dataset
from xdetr_data.manifest import read_manifest
from xdetr_data.storage import Folder


def scanned(address: str, *, seed: int = 0, lowest: int = 4) -> LabelScan:
    folder = Folder(address)
    return scan_labels(folder, read_manifest(folder), seed=seed, lowest=lowest, advance=lambda _: None)


def test_the_lowest_labels_are_those_of_a_plain_sort(tmp_path: Path) -> None:
    records = scored(30)
    every = sorted(
        (phrase.score, one.key, number, place)
        for one in records
        for number, query in enumerate(one.queries)
        for place, phrase in enumerate(query.phrases)
        if phrase.score is not None and phrase.regions
    )
    found = scanned(write_dataset(tmp_path / "d", records), lowest=7).lowest
    assert [(one.score, one.key, one.query, one.phrase) for one in found] == every[:7]


def test_neither_ties_nor_the_draw_depend_on_the_size_of_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = write_dataset(tmp_path / "d", [record(number, score=0.5) for number in range(1, 20)])
    whole = scanned(address)
    monkeypatch.setattr(scan, "ROWS_PER_BATCH", 3)
    small = scanned(address)
    assert whole.lowest == small.lowest
    assert np.array_equal(whole.ranks, small.ranks)


def test_phrases_without_boxes_or_scores_are_no_labels_to_look_at(tmp_path: Path) -> None:
    assert scanned(write_dataset(tmp_path / "d", [record(1)])).lowest == ()


def test_the_rank_of_a_photo_is_the_same_in_every_dataset_and_another_for_another_seed(tmp_path: Path) -> None:
    small = scanned(write_dataset(tmp_path / "small", [record(3)]))
    large = scanned(write_dataset(tmp_path / "large", [record(number) for number in range(1, 9)]))
    assert small.ranks.tolist() == [rank(record(3).key, 0)]
    assert small.ranks[0] in large.ranks
    assert small.ranks[0] not in scanned(str(tmp_path / "large"), seed=1).ranks


def test_keys_come_in_the_order_of_the_draw(tmp_path: Path) -> None:
    records = [record(number) for number in range(1, 9)]
    folder = Folder(write_dataset(tmp_path / "d", records))
    ranks = scanned(folder.url).ranks[:5]
    expected = sorted((one.key for one in records), key=lambda key: rank(key, 0))[:5]
    assert keys_of(folder, read_manifest(folder), ranks, 0) == expected
