import json
from pathlib import Path

import pytest

from tests.data.tiny_dataset import KEYS, build
from tests.pipelines.tiny import run_cli


def test_distributions_are_printed_and_saved(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    ended = run_cli("stats", str(dataset.path))
    assert ended.code == 0
    assert ended.stdout == ""
    for title in ("totals", "photos by source", "distributions", "box area", "in = out + rejected"):
        assert title in ended.stderr
    saved = json.loads((tmp_path / "statistics.json").read_text())
    assert saved["photos"] == len(KEYS)
    assert saved["textless_regions"] == len(KEYS)
    assert saved["queries_per_photo"]["counts"] == {"2": len(KEYS)}


def test_json_on_stdout_is_what_is_saved(tmp_path: Path) -> None:
    ended = run_cli("stats", str(build(tmp_path).path), "--json")
    assert json.loads(ended.stdout) == json.loads((tmp_path / "statistics.json").read_text())


def test_nothing_is_saved_if_told_so(tmp_path: Path) -> None:
    assert run_cli("stats", str(build(tmp_path).path), "--no-save").code == 0
    assert not (tmp_path / "statistics.json").exists()


def test_saved_statistics_leave_the_dataset_valid(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    run_cli("stats", str(dataset.path))
    assert run_cli("validate", str(dataset.path), "--workers", "0").code == 0


def test_a_folder_without_a_dataset_is_one_line(tmp_path: Path) -> None:
    ended = run_cli("stats", str(tmp_path))
    assert ended.code == 1
    assert "has no manifest.json" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("field", ["in", "out", "rejected"])
@pytest.mark.parametrize("value", ["many", None, {"plan": 7}])
def test_an_accounting_that_is_none_is_one_line_that_names_the_manifest(
    field: str, value: object, tmp_path: Path
) -> None:
    dataset = build(tmp_path).path
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["accounting"]["units"]["photo"][field] = value
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    for command in ("stats", "report"):
        ended = run_cli(command, str(dataset), *(["--out", str(tmp_path / "r.html")] if command == "report" else []))
        assert ended.code == 1
        (line,) = ended.stderr.splitlines()
        assert f"{dataset}/manifest.json: the accounting is none" in line
    assert "accounting-unreadable" in run_cli("validate", str(dataset), "--workers=0").stderr


def test_labels_without_photos_have_statistics_too(tmp_path: Path) -> None:
    assert run_cli("stats", str(build(tmp_path, metadata_only=True).path)).code == 0
