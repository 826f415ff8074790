"""What comes with the package by name."""

from pathlib import Path

import pytest

from pipelines import bundled
from pipelines.train.command import main
from tests.pipelines.tiny import Ended, run_here

ROOT = Path(__file__).parents[2]


def train(*args: str) -> Ended:
    return run_here(main, "xdetr-train", *args)


def test_every_run_file_and_checkpoint_has_a_name() -> None:
    assert {path.resolve() for path in bundled.run_files().values()} == {
        path.resolve() for path in (ROOT / "manifests" / "runs").glob("*.yaml")
    }
    assert bundled.checkpoint("toy") == str(ROOT / "manifests" / "checkpoints" / "xdetr-toy")


def test_what_is_there_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()
    assert bundled.checkpoint("toy") != "toy", "a folder that happens to be called so"
    (tmp_path / "toy" / "config.json").write_text("{}")
    assert bundled.checkpoint("toy") == "toy"
    (tmp_path / "pretrain").write_text("a file of one's own")
    assert bundled.run_file("pretrain") == "pretrain"
    assert bundled.checkpoint("IDEA-Research/grounding-dino-tiny") == "IDEA-Research/grounding-dino-tiny"


def test_runs_are_listed_with_their_titles() -> None:
    ended = train("--list-runs")
    assert ended.code == 0
    lines = ended.stdout.splitlines()
    assert [one.split()[0] for one in lines] == list(bundled.run_files())
    assert any(one.startswith("toy ") and "X-DETR toy" in one for one in lines)


def test_a_run_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    for name in ("pretrian", str(tmp_path / "no.yaml"), str(tmp_path)):
        ended = train("--run", name, "--full", str(tmp_path), "--dry-run")
        assert ended.code == 2
        assert "no such file, and no name of --list-runs" in ended.stderr


def test_a_run_file_is_taken_by_its_name(tmp_path: Path) -> None:
    ended = train("--run", "toy", "--full", str(tmp_path / "none"), "--dry-run")
    assert ended.code == 1, "the name is understood; the dataset is what is missing"
    assert "--full" in ended.stderr
