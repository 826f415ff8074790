"""Several processes: under torchrun, and under Ray when a worker is lost; and a node with nothing but the necessary."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.train.command import parser
from pipelines.train.saved import load_newest, saved_paths
from tests.pipelines.train.tiny_run import ROOT, lines, start, train_here, write_run_file, write_sets

PATIENCE_S = 900  # for what takes a minute on a machine that has nothing else to do

# What a bare GPU node lacks; it has torch, transformers, Pillow, numpy, scipy, pyarrow, msgspec, webdataset.
NOT_ON_A_BARE_NODE = (
    *("ray", "spacy", "fiftyone", "typer", "rich", "pydantic", "pandas", "matplotlib", "hotcoco", "pycocotools"),
    *("tensorboard", "tensorboardX", "ijson", "jsonschema", "timm", "jinja2"),
)
BLOCKED = """
import runpy, sys
sys.modules.update(dict.fromkeys({names!r}))
sys.argv = ["xdetr-train", *{flags!r}]
runpy.run_module("pipelines.train", run_name="__main__")
"""


def test_a_bare_node_trains_with_one_line_about_the_missing_tensorboard(tmp_path: Path) -> None:
    run = tmp_path / "run"
    file = write_run_file(tmp_path, schedule__length=2, data__workers=0)
    flags = [str(flag) for flag in ("--run", file, *write_sets(tmp_path), "--out", run)]
    script = BLOCKED.format(names=NOT_ON_A_BARE_NODE, flags=flags)
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [line["step"] for line in lines(run)] == [1, 2]
    assert (run / "model" / "model.safetensors").is_file()
    assert ended.stderr.count("warning: ") == 1
    assert "tensorboard is not installed" in ended.stderr


def test_no_flag_comes_or_goes_by_accident() -> None:
    flags = sorted(flag for action in parser()._actions for flag in action.option_strings)
    golden = Path(__file__).with_name("cli_flags.txt")
    assert "\n".join(flags) == golden.read_text().rstrip("\n"), f"if this is meant, change {golden.name} with it"


@pytest.mark.parametrize("flags", [[], ["--help"]])
def test_help_answers_within_a_second_and_has_examples(flags: list[str]) -> None:
    before = sum(psutil.Process().cpu_times()[2:4])
    ended = subprocess.run(
        [sys.executable, "-m", "pipelines.train", *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    spent = sum(psutil.Process().cpu_times()[2:4]) - before
    assert ended.returncode == 0
    assert "xdetr-train --resume RUN" in ended.stdout
    assert spent < 1.0  # of the processor, not of the clock


def torchrun(*flags: str | Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]  # any free port
    return subprocess.run(
        [*command, "-m", "--", "pipelines.train", *(str(flag) for flag in flags)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


@pytest.mark.slow
def test_two_processes_take_the_same_steps_and_resume_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run, sets = tmp_path / "run", write_sets(tmp_path)
    file = write_run_file(tmp_path, schedule__length=4, data__workers=0)
    ended = torchrun("--run", file, *sets, "--out", run, environment=dict(os.environ))
    assert ended.returncode == 0, ended.stderr
    assert [line["step"] for line in lines(run)] == [1, 2, 3, 4]
    state = load_newest(run)
    assert state is not None
    assert [(one["epoch"], one["step"]) for one in state["loader"]] == [(1, 2), (1, 2)]  # 16 photos: 2 steps of 2 × 3
    saved_paths(run)[-1].unlink()
    whole = lines(run)
    again = torchrun("--resume", run, environment=dict(os.environ))
    assert again.returncode == 0, again.stderr
    assert "resuming after step 3 of 4 steps" in again.stderr
    assert lines(run) == whole
    assert train_here("--resume", run) == 1
    assert "began with 2 processes and 1 are here" in capsys.readouterr().err


def ray_workers(driver: int) -> list[psutil.Process]:
    """The processes that train: Ray names a process after the actor class in it."""
    below = psutil.Process(driver).children(recursive=True)
    return [one for one in below if "RayTrainWorker" in " ".join([one.name(), *one.cmdline()])]


@pytest.mark.slow
def test_a_worker_killed_under_ray_comes_back_and_the_run_ends_with_the_same_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray would let its workers wait for whatever else runs
    run, sets = tmp_path / "run", write_sets(tmp_path)
    file = write_run_file(tmp_path, schedule__length=40, data__workers=0)
    flags = ("--launcher", "ray", "--num-workers", "2", "--device", "cpu", "--run", file, *sets, "--out", run)
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = start(*flags, stderr=stderr)
    limit = time.monotonic() + PATIENCE_S
    while len(lines(run)) < 5:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.05)
    workers = ray_workers(process.pid)
    assert len(workers) == 2, [one.cmdline() for one in psutil.Process(process.pid).children(recursive=True)]
    workers[-1].kill()
    reached = len(lines(run))
    assert process.wait(timeout=PATIENCE_S) == 0, log.read_text()
    assert reached < 40, "killed too late to show anything"
    assert [line["step"] for line in lines(run)] == list(range(1, 41))
    state = load_newest(run)
    assert state is not None
    assert state["step"] == 40
    assert "resuming after" in log.read_text()
    assert "Failed to query" not in log.read_text()


def test_the_version_and_a_completion_script_are_printed() -> None:
    from importlib.metadata import version

    for flags, wanted in ((["--version"], version("xdetr-data")), (["--print-completion", "bash"], "--go-on")):
        ended = subprocess.run(
            [sys.executable, "-m", "pipelines.train", *flags], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0
        assert wanted in ended.stdout
