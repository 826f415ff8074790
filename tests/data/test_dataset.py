"""``open_dataset``: what people expect of a mapping, of data frames, and of a read over a network."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tiny_dataset import KEYS, PREFIX, SHARDS, SIZE_HW, TinyDataset, build, jpeg, sample
from tests.strategies import grounded_images
from xdetr_data import Dataset, open_dataset
from xdetr_data.accounting import Tally
from xdetr_data.dataset import UnknownKey
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest, ShardEntry, read_manifest, write_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.index import index_name
from xdetr_data.shards.reader import stems
from xdetr_data.shards.tables import COLUMNS
from xdetr_data.shards.writer import Sample, write_samples
from xdetr_data.spans import span_text
from xdetr_data.storage import Folder


@pytest.fixture
def tiny(tmp_path: Path) -> TinyDataset:
    return build(tmp_path / "OUT")


@pytest.fixture
def dataset(tiny: TinyDataset) -> Dataset:
    return open_dataset(str(tiny.path))


def without_index(tiny: TinyDataset) -> Dataset:
    """The dataset as it was written before there was an index."""
    for shard in range(SHARDS):
        tiny.file(".idx", shard).unlink()
    manifest = tiny.manifest
    shards = [
        msgspec.structs.replace(one, files=[file for file in one.files if not file.name.endswith(".idx")])
        for one in manifest.shards
    ]
    write_manifest(tiny.folder, msgspec.structs.replace(manifest, shards=shards))
    tiny.write_done_markers()
    return open_dataset(str(tiny.path))


def test_every_sample_is_found_by_its_key_with_its_photo(dataset: Dataset) -> None:
    assert len(dataset) == len(KEYS)
    assert sorted(dataset.keys()) == KEYS
    assert [dataset[key] for key in KEYS] == [sample(key) for key in KEYS]


def test_samples_come_in_the_order_of_the_keys(dataset: Dataset) -> None:
    assert [one.record.key for one in dataset.samples()] == list(dataset)
    assert [*dataset.samples()] == [*dataset.values()]


def test_an_unknown_key_is_a_key_error_in_one_line_that_names_the_dataset(dataset: Dataset) -> None:
    with pytest.raises(KeyError) as raised:
        dataset["coco_1"]
    assert isinstance(raised.value, UnknownKey)
    assert isinstance(raised.value, InputError)
    assert str(raised.value) == f"{dataset.folder.url}: has no sample 'coco_1'; keys() lists those that it has"
    assert "coco_1" not in dataset
    assert dataset.get("coco_1") is None
    with pytest.raises(UnknownKey, match="has no sample 7"):
        dataset[7]  # type: ignore[index]
    assert KEYS[0] in dataset


def test_labels_without_photos_are_found_too(tmp_path: Path) -> None:
    dataset = open_dataset(str(build(tmp_path, metadata_only=True).path))
    assert dataset[KEYS[3]] == sample(KEYS[3], photo=False)


def test_a_folder_without_a_dataset_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no manifest.json"):
        open_dataset(str(tmp_path))


def test_a_dataset_made_before_there_was_an_index_is_read_by_key_too(tiny: TinyDataset) -> None:
    dataset = without_index(tiny)
    assert [dataset[key] for key in KEYS] == [sample(key) for key in KEYS]
    assert "coco_1" not in dataset


def test_an_index_that_the_manifest_names_is_not_done_without(tiny: TinyDataset, dataset: Dataset) -> None:
    for shard in range(SHARDS):
        tiny.file(".idx", shard).unlink()
    with pytest.raises(InputError, match=rf"{PREFIX}-00000.\.idx: cannot be read"):
        dataset[KEYS[0]]


def test_a_damaged_index_is_one_line_with_a_remedy(tiny: TinyDataset, dataset: Dataset) -> None:
    for shard in range(SHARDS):
        tiny.file(".idx", shard).write_text("v1.2 1\njpg 512\n")
    with pytest.raises(InputError, match=r"\.idx: line 2 does not name the members .*; copy it again"):
        dataset[KEYS[0]]


def test_an_index_of_another_tar_never_gives_another_sample(tiny: TinyDataset, dataset: Dataset) -> None:
    key, other = tiny.keys()[:2]
    text = tiny.file(".idx").read_text()
    tiny.file(".idx").write_text(text.replace(key, "x").replace(other, key).replace("x.", f"{other}."))
    with pytest.raises(InputError, match=rf"those of '{other}'; see 'xdetr-data validate"):
        dataset[key]


def test_a_tar_that_was_cut_off_is_one_line(tiny: TinyDataset, dataset: Dataset) -> None:
    last = tiny.keys()[-1]
    with tiny.file(".tar").open("r+b") as tar:
        tar.truncate(1000)
    with pytest.raises(InputError, match=r"000000\.tar: ends before byte .*; copy it again"):
        dataset[last]


@pytest.fixture
def remote() -> Iterator[Dataset]:
    """The same samples at an address that is no path."""
    folder = Folder("memory://dataset-test")
    rows, files = write_samples(folder, "x-000000", [sample(key) for key in KEYS])
    write_manifest(
        folder,
        Manifest(
            schema=1, recipe="", tool_version="", prefix="x", split="", seed=0, config={}, config_hash="h", inputs=[],
            exclusions=[], accounting=Tally().to_builtins(), rows=rows,
                shards=[ShardEntry(shard=0, rows=rows, files=files)], rejects=[],
        ),
    )  # fmt: skip
    yield open_dataset(folder.url)
    MemoryFileSystem().rm("/dataset-test", recursive=True)


def test_over_a_network_only_the_sample_s_bytes_are_asked_for(remote: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEYS[0] in remote  # the index is read
    asked: list[tuple[str, int, int]] = []
    cat_file, opened = MemoryFileSystem.cat_file, MemoryFileSystem.open

    def counted(self: Any, path: str, start: int, end: int) -> bytes:
        asked.append((path, start, end))
        monkeypatch.setattr(MemoryFileSystem, "open", opened)
        return cat_file(self, path, start=start, end=end)

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was opened as a whole")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    monkeypatch.setattr(MemoryFileSystem, "open", refused)
    found = remote[KEYS[5]]
    assert found == sample(KEYS[5])
    ((path, start, end),) = asked
    assert path.endswith("x-000000.tar")
    assert found.photo is not None
    assert found.json is not None
    assert end - start < len(found.photo.data) + len(found.json) + 1024 + 512  # a header between, blocks of 512


def test_a_dataset_travels_to_another_process_after_it_was_read(dataset: Dataset) -> None:
    dataset[KEYS[0]]
    assert pickle.loads(pickle.dumps(dataset))[KEYS[1]] == sample(KEYS[1])


def test_a_label_is_a_row_with_its_words_and_its_box(dataset: Dataset) -> None:
    labels = dataset.to_pandas()
    assert list(labels) == list(COLUMNS["labels"])
    assert labels["key"].tolist() == list(dataset)
    first = labels.iloc[0]
    assert (first["phrase"], first["text"], first["source"]) == ("red man", "a red man runs.", "coco")
    assert first[["x0", "y0", "x1", "y1"]].tolist() == [1.0, 2.0, 10.5, 20.0]
    assert pd.isna(first["score"])


def test_a_sample_is_a_row_with_its_counts(dataset: Dataset) -> None:
    samples = dataset.to_pandas("samples").set_index("key").sort_index()
    assert samples.index.tolist() == KEYS
    height, width = SIZE_HW
    assert samples.loc[KEYS[0], ["width", "height", "queries", "phrases", "regions", "textless_regions"]].tolist() == [
        *(width, height, 2, 1, 2, 1)
    ]


def test_rows_that_there_are_not_are_named(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="choose one of labels, samples, queries, regions"):
        dataset.to_pandas("boxes")  # type: ignore[arg-type]


def test_rejects_are_those_of_all_shards(dataset: Dataset) -> None:
    rejects = dataset.rejects()
    assert list(rejects) == ["key", "unit", "stage", "reason", "detail", "input_ref"]
    assert rejects.groupby(["unit", "stage", "reason"]).size().to_dict() == {("box", "merge", "twice"): SHARDS}


def test_damaged_labels_are_one_line(tiny: TinyDataset, dataset: Dataset) -> None:
    tiny.file(".parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=f"{PREFIX}-000000.parquet"):
        dataset.to_pandas()


def test_a_phrase_of_a_region_that_there_is_not_is_damage(tiny: TinyDataset, dataset: Dataset) -> None:
    for wrong in (2, -1):
        tiny.edit_rows(lambda rows, wrong=wrong: rows[0]["queries"][0]["phrases"][0].update(regions=[wrong]))  # type: ignore[misc]
        with pytest.raises(InputError, match=r"000000.parquet: is damaged \(a phrase names a region that"):
            dataset.to_pandas()


def of_records(records: list[GroundedImage]) -> Dataset:
    folder = Folder("memory://dataset-frames-test")
    keyed = [msgspec.structs.replace(one, key=f"k{number:03d}") for number, one in enumerate(records)]
    rows, files = write_samples(folder, "x-000000", [Sample(one, None) for one in keyed])
    manifest = Manifest(
        schema=1, recipe="", tool_version="", prefix="x", split="", seed=0, config={}, config_hash="h", inputs=[],
        exclusions=[], accounting={}, rows=rows, shards=[ShardEntry(shard=0, rows=rows, files=files)], rejects=[],
    )  # fmt: skip
    return Dataset(folder, manifest)


@given(st.lists(grounded_images(), max_size=5))
@settings(max_examples=25)
def test_labels_are_what_walking_through_the_records_gives(records: list[GroundedImage]) -> None:
    dataset = of_records(records)
    expected = [
        (one.record.key, query.text, span_text(phrase.spans, query.text), phrase.score, box, query_at, phrase_at)
        for one in dataset.samples()
        for query_at, query in enumerate(one.record.queries)
        for phrase_at, phrase in enumerate(query.phrases)
        for box in ([one.record.regions[index].box_xyxy for index in phrase.regions] or [None])
    ]
    found = dataset.to_pandas()
    columns = ["key", "text", "phrase", "score", "x0", "y0", "x1", "y1", "query_index", "phrase_index"]
    assert [
        (key, text, phrase, None if np.isnan(score) else score, None if np.isnan(box[0]) else tuple(box), query, place)
        for key, text, phrase, score, *box, query, place in found[columns].itertuples(index=False)
    ] == expected
    assert len(dataset.to_pandas("queries")) == sum(len(one.queries) for one in records)
    regions = dataset.to_pandas("regions")
    assert len(regions) == sum(len(one.regions) for one in records)
    samples = dataset.to_pandas("samples")
    assert samples["textless_regions"].sum() == (regions["phrases"] == 0).sum()


def test_a_dataset_without_samples_has_frames_with_columns() -> None:
    dataset = of_records([])
    assert {rows: list(dataset.to_pandas(rows)) for rows in COLUMNS} == {
        rows: list(columns) for rows, columns in COLUMNS.items()
    }
    assert "k000" not in dataset
    assert list(dataset.rejects()) == ["key", "unit", "stage", "reason", "detail", "input_ref"]


def test_frames_are_the_whole_frame_in_pieces(dataset: Dataset) -> None:
    pieces = list(dataset.frames("regions"))
    assert len(pieces) == SHARDS
    assert pd.concat(pieces, ignore_index=True).equals(dataset.to_pandas("regions"))


def test_importing_the_package_imports_nothing_and_a_sample_needs_no_pandas(tiny: TinyDataset) -> None:
    script = (
        "import sys, xdetr_data\n"
        "assert 'pyarrow' not in sys.modules and 'xdetr_data.dataset' not in sys.modules\n"
        f"xdetr_data.open_dataset({str(tiny.path)!r})[{KEYS[0]!r}]\n"
        "assert 'pandas' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_index_is_beside_every_tar_and_in_the_manifest(tiny: TinyDataset) -> None:
    manifest = read_manifest(tiny.folder)
    named = {file.name for entry in manifest.shards for file in entry.files}
    assert {index_name(stem) for stem in stems(manifest)} <= named
    assert len(jpeg(1)) > 512  # a photo is more than a block, or offsets would prove little
