"""The same command again, a dataset that was moved, a disk without room: a run goes on, or one line says why."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.train.folder import LOCK
from pipelines.train.saved import saved_paths
from tests.pipelines.train.tiny_run import ROOT, lines, train_here, write_run_file, write_sets


def test_go_on_begins_a_run_goes_on_with_it_and_refuses_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, sets = tmp_path / "run", write_sets(tmp_path)
    file = write_run_file(tmp_path, schedule__length=4, data__workers=0)
    command = ("--go-on", "--run", file, *sets, "--out", run)
    assert train_here(*command) == 0
    whole = lines(run)
    saved_paths(run)[-1].unlink()
    assert train_here(*command) == 0
    assert "resuming after step 3 of 4 steps" in capsys.readouterr().err
    assert lines(run) == whole
    assert train_here(*command, "--seed", "5") == 1
    assert "holds a run with other values" in capsys.readouterr().err
    assert train_here(*command[1:]) == 1
    assert "holds something already; go on with --resume" in capsys.readouterr().err


def test_what_torchrun_starts_again_goes_on_without_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, sets = tmp_path / "run", write_sets(tmp_path)
    command = ("--run", write_run_file(tmp_path, schedule__length=2, data__workers=0), *sets, "--out", run)
    assert train_here(*command) == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert train_here(*command) == 0


def test_a_dataset_that_was_moved_is_known_by_its_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, sets = tmp_path / "run", write_sets(tmp_path)
    assert train_here("--run", write_run_file(tmp_path, schedule__length=4, data__workers=0), *sets, "--out", run) == 0
    saved_paths(run)[-1].unlink()
    (tmp_path / "full").rename(tmp_path / "moved")
    assert train_here("--resume", run) == 1
    assert "--resume RUN --full" in capsys.readouterr().err
    assert train_here("--resume", run, "--full", tmp_path / "weak") == 1
    assert "is no dataset that the run began with" in capsys.readouterr().err
    assert train_here("--resume", run, "--full", tmp_path / "moved") == 0
    assert [line["step"] for line in lines(run)] == [1, 2, 3, 4]


@pytest.mark.parametrize("limit_bytes", [100_000, 300_000])
def test_no_room_for_a_checkpoint_is_one_line(limit_bytes: int, tmp_path: Path) -> None:
    file = write_run_file(tmp_path, schedule__length=3, data__workers=0)
    command = [sys.executable, "-m", "pipelines.train", "--run", str(file), *write_sets(tmp_path)]
    ended = subprocess.run(
        [*command, "--out", str(tmp_path / "run")],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "cannot be written" in ended.stderr
    assert "make room, then --resume" in ended.stderr
    assert not list((tmp_path / "run").rglob("*.tmp-*"))


def test_a_run_that_another_process_trains_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sets = tmp_path / "run", write_sets(tmp_path)
    assert train_here("--run", write_run_file(tmp_path, schedule__length=4, data__workers=0), *sets, "--out", run) == 0
    saved_paths(run)[-1].unlink()
    monkeypatch.setattr("pipelines.train.folder.LOCK_PATIENCE_S", 0.5)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(run / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert train_here("--resume", run) == 1
        assert "another process trains this run" in capsys.readouterr().err
        other.kill()
    assert train_here("--resume", run) == 0


def test_a_run_is_written_to_a_folder_of_this_machine_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = [one if one.startswith("--") else f"file://{one}" for one in write_sets(tmp_path)]
    command = ("--run", write_run_file(tmp_path, schedule__length=2, data__workers=0), *sets, "--out")
    assert train_here(*command, "memory://bucket/run") == 1
    assert "--out memory://bucket/run: a run is written to a folder of this machine" in capsys.readouterr().err
    assert not (tmp_path / "memory:").exists()
    assert train_here(*command, f"file://{tmp_path}/run") == 0
    assert train_here("--resume", f"file://{tmp_path}/run") == 0
    assert not (tmp_path / "file:").exists()
    line = lines(tmp_path / "run")[0]
    assert line["targets/photos"] == 5
    assert line["targets/photos_without_boxes"] == 2
    assert {"targets/phrases_cut", "targets/phrases_without_region"} <= set(line)
