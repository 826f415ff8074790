"""A dataset opened for training: refused in one line where it is incomplete, else read as it was written."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.loading.painted import PREFIX, painted_set
from xdetr_data.errors import InputError
from xdetr_data.loading.shard_set import open_shards
from xdetr_data.schema import to_json
from xdetr_data.shards.reader import read_samples


def edit_manifest(path: Path, change: Callable[[Any], Any]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_samples_are_read_as_they_were_written_by_this_and_by_another_process(tmp_path: Path) -> None:
    found = open_shards(str(painted_set(tmp_path / "set", [5, 0, 3])), "full")
    assert found.rows_per_shard == (5, 0, 3)
    for one in (found, pickle.loads(pickle.dumps(found))):
        for shard, rows in enumerate(one.rows_per_shard):
            written = list(read_samples(one.folder, f"{PREFIX}-{shard:06d}"))
            assert len(written) == rows
            for row, sample in enumerate(written):
                location = one.locate(shard, row)
                assert location.key == sample.record.key
                assert sample.photo is not None
                assert one.read(location) == (to_json(sample.record), sample.photo.data)


def test_a_set_on_other_storage_is_read_alike(tmp_path: Path) -> None:
    import fsspec

    path = painted_set(tmp_path / "set", [3])
    memory = fsspec.filesystem("memory")
    for file in path.iterdir():
        memory.pipe(f"/loading/{file.name}", file.read_bytes())
    here, there = open_shards(str(path), "full"), open_shards("memory://loading", "full")
    assert [here.read(here.locate(0, n)) for n in range(3)] == [there.read(there.locate(0, n)) for n in range(3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(schema=9), "is of schema 9, this version reads 1"),
        (lambda manifest: manifest.update(rows=7), "the manifest states 7 samples"),
        (lambda manifest: manifest.update(config={"metadata_only": True}), "--metadata-only and holds no photos"),
        (lambda manifest: manifest.update(rows=0, shards=[]), "holds no sample"),
    ],
)
def test_a_manifest_that_cannot_be_trained_from_is_refused(
    tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    path = painted_set(tmp_path / "set", [2])
    edit_manifest(path, change)
    with pytest.raises(InputError, match=message) as refused:
        open_shards(str(path), "full")
    assert "\n" not in str(refused.value)


def test_a_set_without_manifest_or_with_a_tar_missing_or_cut_short_is_refused(tmp_path: Path) -> None:
    path = painted_set(tmp_path / "set", [2, 2])
    tar = path / f"{PREFIX}-000001.tar"
    data = tar.read_bytes()
    tar.write_bytes(data[:-512])
    with pytest.raises(InputError, match=r"-000001.tar has \d+ bytes, \d+ are stated"):
        open_shards(str(path), "pseudo")
    tar.unlink()
    with pytest.raises(InputError, match=r"--pseudo .*-000001.tar is missing"):
        open_shards(str(path), "pseudo")
    (path / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"has no manifest.json"):
        open_shards(str(path), "pseudo")


def test_a_tar_that_holds_other_samples_than_stated_is_refused_when_its_turn_comes(tmp_path: Path) -> None:
    path = painted_set(tmp_path / "set", [4])
    tar = path / f"{PREFIX}-000000.tar"
    data = tar.read_bytes()
    (path / "more").mkdir()
    smaller = (painted_set(path / "more", [3]) / tar.name).read_bytes()
    tar.write_bytes(smaller + bytes(len(data) - len(smaller)))
    with pytest.raises(InputError, match="holds 3 samples, the manifest states 4"):
        open_shards(str(path), "full").locate(0, 0)
    tar.write_bytes(b"x" * 600 + data[600:])
    with pytest.raises(InputError, match="no valid header"):
        open_shards(str(path), "full").locate(0, 0)
