import json
from pathlib import Path

import pytest

from pipelines.commands import validate
from tests.data.tiny_dataset import KEYS, PREFIX, TinyDataset, build
from tests.pipelines.tiny import run_cli


@pytest.fixture
def dataset(tmp_path: Path) -> TinyDataset:
    return build(tmp_path / "dataset")


def test_a_valid_dataset_ends_with_0_and_one_line_of_counts(dataset: TinyDataset) -> None:
    ended = run_cli("validate", str(dataset.path), "--workers", "0")
    assert ended.code == 0
    assert ended.stderr.splitlines()[-1] == f"{dataset.path}: valid: 8 samples and 8 photos in 2 shards"
    assert ended.stdout == ""


def test_a_damaged_dataset_ends_with_4_and_names_what_is_wrong(dataset: TinyDataset) -> None:
    dataset.file(".stats.json").unlink()
    dataset.file(".tar").unlink()
    ended = run_cli("validate", str(dataset.path), "--workers", "0")
    assert ended.code == 4
    assert f"{PREFIX}-000000.tar: file-missing: is named in the manifest, but not there" in ended.stderr
    assert f"{PREFIX}-000000.stats.json: stats-missing" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(f"error: {dataset.path}: not valid: 2 violations")


def test_an_unfinished_dataset_ends_with_4_and_says_how_to_go_on(dataset: TinyDataset) -> None:
    (dataset.path / "manifest.json").unlink()
    ended = run_cli("validate", str(dataset.path))
    assert ended.code == 4
    assert "manifest.json: manifest-missing: is not there" in ended.stderr
    assert "--resume" in ended.stderr


def test_a_missing_folder_ends_with_1(tmp_path: Path) -> None:
    ended = run_cli("validate", str(tmp_path / "nothing"))
    assert ended.code == 1
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) == 1


def test_a_negative_number_of_workers_is_refused(dataset: TinyDataset) -> None:
    ended = run_cli("validate", str(dataset.path), "--workers", "-3")
    assert ended.code == 2
    assert "--workers -3" in ended.stderr


def test_the_printed_list_is_capped_and_json_gives_all(dataset: TinyDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "MAX_PRINTED", 3)
    dataset.edit_manifest(lambda m: m.update(seed=4))
    ended = run_cli("validate", str(dataset.path), "--workers", "0", "--json")
    assert ended.code == 4
    found = json.loads(ended.stdout)
    assert found["valid"] is False
    assert found["rows"] == len(KEYS)
    violations = found["violations"]
    assert len(violations) > 3
    assert set(violations[0]) == {"file", "key", "rule", "what", "remedy"}
    assert ended.stderr.count(": wrong-shard: ") == 3
    assert f"… and {len(violations) - 3} more; --json prints all" in ended.stderr


def test_json_of_a_valid_dataset_says_so(dataset: TinyDataset) -> None:
    found = json.loads(run_cli("validate", str(dataset.path), "--workers", "0", "--json").stdout)
    assert found["valid"] is True
    assert found["violations"] == []


def test_several_processes_find_the_same_as_one(dataset: TinyDataset) -> None:
    dataset.edit_json(lambda sample: sample.update(colour="red"))
    dataset.file(".parquet", 1).write_bytes(b"")
    one, two = (run_cli("validate", str(dataset.path), "--workers", n, "--json") for n in ("0", "2"))
    assert (one.code, two.code) == (4, 4)
    assert one.stdout == two.stdout


def test_text_of_a_damaged_file_cannot_style_the_terminal(dataset: TinyDataset) -> None:
    dataset.write_members([*dataset.members(), ("[bold red]x\x1b[31m.pkl", b"")])
    dataset.forge()
    ended = run_cli("validate", str(dataset.path), "--workers", "0")
    assert "[bold red]x" in ended.stderr
    assert "\x1b" not in ended.stderr
