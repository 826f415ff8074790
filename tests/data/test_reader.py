from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tiny_dataset import KEYS, PREFIX, TinyDataset, build, sample
from xdetr_data.errors import InputError
from xdetr_data.schema import to_json
from xdetr_data.shards import reader
from xdetr_data.shards.nearest import nearest_keys
from xdetr_data.shards.reader import find, read_keys, read_photo_of, read_records, read_samples, stems
from xdetr_data.shards.writer import write_samples
from xdetr_data.storage import Folder


@pytest.fixture
def dataset(tmp_path: Path) -> TinyDataset:
    return build(tmp_path)


def test_reading_inverts_writing(dataset: TinyDataset) -> None:
    found = [one for stem in stems(dataset.manifest) for one in read_samples(dataset.folder, stem)]
    assert sorted(found, key=lambda one: one.record.key) == [sample(key) for key in KEYS]


def test_samples_without_photos_are_read_too(tmp_path: Path) -> None:
    dataset = build(tmp_path, metadata_only=True)
    found = [one for stem in stems(dataset.manifest) for one in read_samples(dataset.folder, stem)]
    assert {one.photo for one in found} == {None}


def test_a_dataset_at_another_address_is_read_the_same() -> None:
    folder = Folder("memory://reader-test")
    write_samples(folder, "x-000000", [sample(key) for key in KEYS])
    assert list(read_samples(folder, "x-000000")) == [sample(key) for key in KEYS]
    assert list(read_records(folder, "x-000000")) == [sample(key).record for key in KEYS]


def test_samples_come_one_by_one_before_the_tar_is_read_to_its_end(dataset: TinyDataset) -> None:
    with dataset.file(".tar").open("r+b") as tar:
        tar.truncate(dataset.file(".tar").stat().st_size // 2)
    samples = read_samples(dataset.folder, stems(dataset.manifest)[0])
    assert next(samples).record.key == KEYS[0]
    with pytest.raises(InputError, match=r"tiny-train-000000.tar: the tar is cut off inside the member"):
        list(samples)


def test_labels_are_those_of_the_tar(dataset: TinyDataset) -> None:
    for stem in stems(dataset.manifest):
        assert list(read_records(dataset.folder, stem)) == [s.record for s in read_samples(dataset.folder, stem)]


def test_keys_are_those_of_all_shards(dataset: TinyDataset) -> None:
    assert sorted(read_keys(dataset.folder, dataset.manifest)) == KEYS


def test_every_key_is_found_with_its_photo(dataset: TinyDataset) -> None:
    for key in KEYS:
        found = find(dataset.folder, dataset.manifest, key)
        assert found is not None
        assert found.record == sample(key).record
        assert read_photo_of(dataset.folder, found) == sample(key).photo


def test_a_key_is_found_without_opening_a_tar_and_only_in_its_own_shard(
    dataset: TinyDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, manifest = dataset.keys(1)[0], dataset.manifest
    opened: list[str] = []
    real = Folder.open
    monkeypatch.setattr(Folder, "open", lambda self, name: opened.append(name) or real(self, name))
    assert find(dataset.folder, manifest, key)
    assert opened == [f"{PREFIX}-000001.parquet"]


def test_only_the_row_group_that_can_hold_a_key_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = build(tmp_path)
    table = pq.read_table(dataset.file(".parquet"))
    pq.write_table(table, dataset.file(".parquet"), row_group_size=1)
    read: list[int] = []
    real = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        reader.pq.ParquetFile, "read_row_group", lambda self, i, **more: read.append(i) or real(self, i, **more)
    )
    keys = dataset.keys()
    assert find(dataset.folder, dataset.manifest, keys[3])
    assert set(read) == {3}


def test_a_key_in_another_shard_than_its_hash_says_is_found_all_the_same(dataset: TinyDataset) -> None:
    dataset.edit_manifest(lambda m: m.update(seed=4))
    assert all(find(dataset.folder, dataset.manifest, key) for key in KEYS)


def test_an_unknown_key_is_not_found(dataset: TinyDataset) -> None:
    assert find(dataset.folder, dataset.manifest, "coco_999") is None


def test_labels_without_photos_have_no_photo(tmp_path: Path) -> None:
    dataset = build(tmp_path, metadata_only=True)
    found = find(dataset.folder, dataset.manifest, KEYS[0])
    assert found is not None
    assert read_photo_of(dataset.folder, found) is None


@pytest.mark.parametrize("damage", [b"", b"PAR1 no parquet PAR1"])
def test_damaged_labels_are_one_line(dataset: TinyDataset, damage: bytes) -> None:
    for shard in (0, 1):
        dataset.file(".parquet", shard).write_bytes(damage)
    with pytest.raises(InputError, match=r"\.parquet: cannot be read"):
        find(dataset.folder, dataset.manifest, KEYS[0])
    with pytest.raises(InputError, match=r"\.parquet: cannot be read"):
        list(read_records(dataset.folder, stems(dataset.manifest)[0]))


@pytest.mark.parametrize(
    ("json", "message"), [(b"{", "key 'coco_.*not a sample of schema 1"), (None, "has no coco_.*json")]
)
def test_a_sample_without_good_labels_is_named(dataset: TinyDataset, json: bytes | None, message: str) -> None:
    name = f"{dataset.keys()[0]}.json"
    kept = [(one, data if one != name else json) for one, data in dataset.members() if one != name or json]
    dataset.write_members([(one, data) for one, data in kept if data is not None])
    with pytest.raises(InputError, match=message):
        list(read_samples(dataset.folder, stems(dataset.manifest)[0]))


def test_nearest_keys_hold_or_end_as_what_was_typed() -> None:
    keys = ["coco_000000000139", "coco_000000001390", "vg_139", "flickr_77"]
    assert nearest_keys("139", keys) == ["vg_139", "coco_000000000139", "coco_000000001390"]
    assert nearest_keys("coc_000000000139", keys)[0] == "coco_000000000139"
    assert nearest_keys("coco_000000000138", keys)[0] == "coco_000000000139"
    assert nearest_keys("something else", keys) == []


@given(st.lists(st.text("ab1_", max_size=6), max_size=20), st.text("ab1_", max_size=6))
def test_nearest_keys_exist_and_are_few(keys: list[str], key: str) -> None:
    near = nearest_keys(key, keys)
    assert len(near) <= 3
    assert set(near) <= set(keys)


def test_json_in_the_tar_is_the_codecs(dataset: TinyDataset) -> None:
    members = dict(dataset.members())
    assert members[f"{dataset.keys()[0]}.json"] == to_json(sample(dataset.keys()[0]).record)
