"""Every command from a checkpoint to its figures: the same again without the model, after a kill, from a teacher."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from pipelines.evaluate import predict
from pipelines.evaluate.cli import app
from pipelines.evaluate.predictions import MANIFEST, read_answers
from tests.pipelines.evaluate.cli import figures_of, run_eval
from tests.pipelines.evaluate.conftest import TOY
from tests.pipelines.labelling.checkpoints import save_dino
from xdetr_data.storage import Folder

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).with_name("cli_flags.txt")
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
DATA = {"boxes": "lvis", "lvis": "lvis", "presence": "lvis", "flickr30k": "flickr30k", "refcoco": "refcoco"}
SHOWN = {
    "boxes": {"AP", "AP50", "AR@1", "AR@300"},
    "lvis": {"AP fixed", "APr fixed", "APc standard", "APf standard", "AR fixed"},
    "presence": {"cgF1", "positive micro-F1", "image-level MCC", "cgF1 best"},
    "flickr30k": {"R@1 any", "R@10 merged", "upper bound any"},
    "refcoco": {"P@1 IoU testA", "P@1 GIoU testA", "P@10 IoU testA"},
}


def test_no_flag_comes_or_goes_by_accident() -> None:
    lines = []
    for name, command in sorted(typer.main.get_command(app).commands.items()):  # type: ignore[attr-defined]
        lines += [f"{name} {'/'.join([*one.opts, *one.secondary_opts])}" for one in command.params]
    assert "\n".join(lines) == GOLDEN.read_text().rstrip("\n"), f"if this is meant, change {GOLDEN.name} with it"


@pytest.mark.parametrize("args", [[], *([name] for name in COMMANDS)], ids=lambda args: " ".join(args) or "xdetr-eval")
def test_help_answers_within_a_second(args: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pipelines.evaluate.cli", *args, "--help"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == 0
    assert "Usage: " in ended.stdout
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 1.0


@pytest.mark.parametrize("task", DATA)
def test_a_checkpoint_is_measured_and_kept_predictions_give_the_same_figures(
    task: str, sets: dict[str, Path], tmp_path: Path
) -> None:
    data, kept, page = sets[DATA[task]], tmp_path / "kept", tmp_path / "page.html"
    first = run_eval(task, "--ckpt", TOY, "--data", data, "--out", kept, "--json", "--html", page)
    figures = figures_of(first)
    assert SHOWN[task] <= set(figures)
    assert all(value is None or -1 <= value <= 1 for value in figures.values())
    # the photos are noise: among a handful of small boxes, as RefCOCO's here, a checkpoint may well find none
    assert task == "refcoco" or any(figures.values())
    assert figures_of(run_eval("score", kept, "--data", data, "--json")) == figures
    text = page.read_text()
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert all(name in text for name in SHOWN[task])


def test_a_run_that_was_killed_goes_on_with_the_shards_that_are_missing(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("flickr30k", "--ckpt", TOY, "--data", sets["flickr30k"], "--json")
    whole = figures_of(run_eval(*args, "--out", tmp_path / "whole"))
    done: list[str] = []
    real = predict.PredictWorker.__call__

    def interrupted(self: predict.PredictWorker, stem: str) -> object:
        if done:
            raise KeyboardInterrupt
        done.append(stem)
        return real(self, stem)

    with monkeypatch.context() as patch:
        patch.setattr(predict.PredictWorker, "__call__", interrupted)
        ended = run_eval(*args, "--out", tmp_path / "cut")
    assert ended.code == 130
    assert "say the same again" in ended.stderr
    assert not (tmp_path / "cut" / MANIFEST).exists()
    [file] = (tmp_path / "cut").glob("*.parquet")
    before = file.stat().st_mtime_ns
    assert run_eval("score", tmp_path / "cut", "--data", sets["flickr30k"]).errors == [
        f"error: {tmp_path / 'cut'}: holds no finished predictions; make them with 'xdetr-eval TASK --ckpt … --data …'"
    ]
    assert figures_of(run_eval(*args, "--out", tmp_path / "cut")) == whole
    assert file.stat().st_mtime_ns == before
    for stem in ("made-000000", "made-000001", "made-000002"):
        one, other = (read_answers(Folder(str(tmp_path / name)), stem) for name in ("whole", "cut"))
        assert {key: {n: a.scores.tolist() for n, a in own.items()} for key, own in one.items()} == {
            key: {n: a.scores.tolist() for n, a in own.items()} for key, own in other.items()
        }


def test_a_run_that_was_shot_goes_on(sets: dict[str, Path], tmp_path: Path) -> None:
    args = ["lvis", "--ckpt", TOY, "--data", str(sets["lvis"]), "--batch-size", "1", "--json", "--out"]
    command = [sys.executable, "-m", "pipelines.evaluate.cli", *args, str(tmp_path / "cut")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(tmp_path.glob("cut/*.parquet")):
            time.sleep(0.005)
        process.kill()
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("cut/*.parquet")}
    assert files
    figures = figures_of(run_eval(*args, tmp_path / "cut"))
    assert figures == figures_of(run_eval(*args, tmp_path / "whole"))
    assert files.items() <= {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("cut/*.parquet")}.items()
    assert not list(tmp_path.glob("cut/.*"))


def test_workers_on_ray_give_the_same_figures(sets: dict[str, Path], tmp_path: Path) -> None:
    args = ("lvis", "--ckpt", TOY, "--data", sets["lvis"], "--json")
    here = figures_of(run_eval(*args, "--out", tmp_path / "here"))
    assert figures_of(run_eval(*args, "--out", tmp_path / "ray", "--workers", 2)) == here


def test_ranks_of_torchrun_share_the_shards(sets: dict[str, Path], tmp_path: Path) -> None:
    args = ["refcoco", "--ckpt", TOY, "--data", str(sets["refcoco"]), "--json", "--out"]
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29713",
        "-m",
        "--",
    ]
    ended = subprocess.run(
        [*launch, "pipelines.evaluate.cli", *args, str(tmp_path / "ranks")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    [result] = json.loads(ended.stdout).values()
    here = figures_of(run_eval(*args, tmp_path / "here"))
    assert {one["name"]: one["value"] for one in result["figures"]} == here


@pytest.mark.parametrize("task", DATA)
def test_the_same_command_runs_a_teacher(task: str, sets: dict[str, Path], tmp_path: Path) -> None:
    dino = save_dino(tmp_path / "dino")
    figures = figures_of(run_eval(task, "--ckpt", dino, "--data", sets[DATA[task]], "--out", tmp_path / "k", "--json"))
    assert SHOWN[task] <= set(figures)


def test_two_runs_stand_side_by_side(sets: dict[str, Path], tmp_path: Path) -> None:
    kept = []
    for keep in (3, 300):
        kept.append(tmp_path / f"keep-{keep}")
        args = ("--data", sets["refcoco"], "--out", kept[-1], "--keep", keep)
        assert run_eval("refcoco", "--ckpt", TOY, *args).code == 0
    ended = run_eval("score", *kept, "--data", sets["refcoco"], "--json", "--html", tmp_path / "page.html")
    assert len(json.loads(ended.stdout)) == 2
    assert all(str(one) in (tmp_path / "page.html").read_text() for one in kept)


def test_labels_are_measured_against_a_true_dataset(sets: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    figures = figures_of(run_eval("labels", sets["labelled"], "--truth", sets["flickr30k"], "--json", "--html", page))
    assert figures["precision all"] == figures["recall all"] == pytest.approx(14 / 27)
    assert figures["precision plural"] is not None
    assert figures["calibration error"] is not None
    assert "trust: precision of labels over their score" in page.read_text()
    same = figures_of(run_eval("labels", sets["flickr30k"], "--truth", sets["flickr30k"], "--json"))
    assert same["f1 all"] == 1.0
    assert same["calibration error"] is None


def wrong(*args: object) -> str:
    ended = run_eval(*args)
    assert ended.code in (1, 2)
    [line] = ended.errors
    return line


def test_what_does_not_fit_is_said_in_one_line(sets: dict[str, Path], tmp_path: Path) -> None:
    toy = ("--ckpt", TOY, "--out")
    assert "has no vocabulary" in wrong("lvis", *toy, tmp_path / "a", "--data", sets["refcoco"])
    assert "no phrase has a chain" in wrong("flickr30k", *toy, tmp_path / "b", "--data", sets["refcoco"])
    assert "expression of one box" in wrong("refcoco", *toy, tmp_path / "c", "--data", sets["flickr30k"])
    assert "presence needs phrases of both" in wrong("presence", *toy, tmp_path / "d", "--data", sets["refcoco"])
    kept = tmp_path / "kept"
    assert run_eval("refcoco", *toy, kept, "--data", sets["refcoco"]).code == 0
    assert "another model" in wrong("refcoco", *toy, kept, "--data", sets["refcoco"], "--keep", 5)
    assert "another build" in wrong("score", kept, "--data", sets["lvis"])
    assert "no such choice" in wrong("score", kept, "--data", sets["refcoco"], "--protocol", "fixed")
    assert "--gpus 1" in wrong("refcoco", *toy, kept, "--data", sets["refcoco"], "--gpus", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    assert "no predictions" in wrong("refcoco", *toy, tmp_path / "other", "--data", sets["refcoco"])
    file = next(kept.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    assert "say the command that predicted it again" in wrong("score", kept, "--data", sets["refcoco"])


def test_files_that_were_lost_or_cut_are_predicted_again(sets: dict[str, Path], tmp_path: Path) -> None:
    again = ("refcoco", "--ckpt", TOY, "--data", sets["refcoco"], "--out", tmp_path / "kept", "--json")
    figures = figures_of(run_eval(*again))
    one, other, third = sorted((tmp_path / "kept").glob("*.parquet"))
    one.unlink()
    other.write_bytes(other.read_bytes()[:-9])
    before = third.stat().st_mtime_ns
    assert "not as it was written (2 such)" in (ended := run_eval(*again)).stderr
    assert figures_of(ended) == figures_of(run_eval("score", again[6], "--data", sets["refcoco"], "--json")) == figures
    assert third.stat().st_mtime_ns == before
    (tmp_path / "kept" / MANIFEST).write_text("{")
    assert "predict again, with --overwrite" in wrong(*again)
    assert figures_of(run_eval(*again, "--overwrite")) == figures


def test_a_threshold_that_is_no_number_is_refused(sets: dict[str, Path], tmp_path: Path) -> None:
    flags = ("--ckpt", TOY, "--data", sets["lvis"], "--out", tmp_path / "kept")
    assert "give a number" in wrong("presence", *flags, "--threshold", "nan")
