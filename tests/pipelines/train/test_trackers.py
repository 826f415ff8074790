"""``--track``: a run's metrics go to others, too; what fails there stops no training."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.train.trackers import NAMES, Trackers
from tests.pipelines.train.tiny_run import lines, train_here, write_run_file, write_sets

# A package as each of them is called, which notes what it is told.
MODULE = """
import json
import sys
from pathlib import Path
from types import SimpleNamespace
SAID = Path(__file__).with_suffix(".jsonl")
def note(*values):
    with SAID.open("a") as stream:
        stream.write(json.dumps(values) + "\\n")
def init(**about): note("init", {name: str(value) for name, value in about.items() if name != "config"})
def log(values, step): note("log", step, values)
def finish(): note("finish")
def set_experiment(name): note("experiment", name)
def start_run(run_id, run_name):
    note("start", run_id, run_name)
    return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "run-1"))
def log_params(values): note("params", len(values))
def log_metrics(values, step): note("log", step, values)
def end_run(): note("finish")
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which all trackers are installed."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(MODULE)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)
    return folder


def said(packages: Path, name: str) -> list[Any]:
    return [json.loads(line) for line in (packages / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_told_and_goes_on_as_the_same_one(name: str, packages: Path, tmp_path: Path) -> None:
    for step in (1, 2):
        trackers = Trackers([name, name], tmp_path, {"model": {"preset": "toy"}, "seed": 0})
        trackers.log("train", step, {"loss": 0.5 / step, "note": "no number"})
        trackers.close()
    told = said(packages, name)
    assert [one for one in told if one[0] == "log"] == [
        ["log", 1, {"train/loss": 0.5}],
        ["log", 2, {"train/loss": 0.25}],
    ]
    assert sum(one[0] == "finish" for one in told) == 2
    begun = [one for one in told if one[0] in ("init", "start")]
    if name == "mlflow":
        assert begun == [["start", None, tmp_path.name], ["start", "run-1", None]]
        assert sum(one[0] == "params" for one in told) == 1
    else:
        assert begun[0] == begun[1]
        assert begun[0][1]["resume"] == "allow"


def test_one_that_fails_is_told_of_once_and_the_others_go_on(
    packages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packages / "wandb.py").write_text(MODULE + "\ndef log(values, step): raise OSError('no network')\n")
    trackers = Trackers(["wandb", "trackio"], tmp_path, {})
    for step in (1, 2):
        trackers.log("train", step, {"loss": 1})
    trackers.close()
    assert [one[1] for one in said(packages, "trackio") if one[0] == "log"] == [1, 2]
    assert capsys.readouterr().err.count("--track wandb: no network; it gets nothing more") == 1


def test_the_command_tells_what_metrics_jsonl_says(packages: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    sets = write_sets(tmp_path)
    run = write_run_file(tmp_path, schedule__length=3)
    assert train_here("--run", run, *sets, "--out", tmp_path / "run", "--track", "trackio") == 0
    told = [one for one in said(packages, "trackio") if one[0] == "log"]
    assert [one[1] for one in told] == [line["step"] for line in lines(tmp_path / "run")]
    assert said(packages, "trackio")[-1] == ["finish"]


def test_one_that_is_not_installed_is_one_line_before_anything_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.train.trackers.find_spec", lambda name: None)
    sets = write_sets(tmp_path)
    run = write_run_file(tmp_path, schedule__length=3)
    assert train_here("--run", run, *sets, "--out", tmp_path / "run", "--track", "wandb") == 1
    assert "--track wandb: the package is not installed: pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
