"""What a run says of itself while it runs, after it failed, and when it is killed; what is said without a terminal."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import console, progress, stage, status
from pipelines.stage import Stage
from tests.pipelines.tiny import Ended, World, files_of, run_cli, usual_args
from xdetr_data.storage import Folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    return tmp_path


def standing(folder: Path, *more: str) -> Ended:
    return run_cli("status", str(folder / "out"), *more)


def test_what_is_finished_is_complete_and_nothing_of_the_run_is_left(world: Path) -> None:
    assert run_cli(*usual_args(world)).code == 0
    assert not (world / "out" / "_work").exists()
    ended = standing(world, "--json")
    assert ended.code == 0
    assert "complete: 2 samples in 1 shards (build-mixed-star)" in ended.stderr
    assert json.loads(ended.stdout)[str(world / "out")]["state"] == "complete"


def test_what_failed_says_why_and_how_to_go_on(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.engine.run.build_shard", broken)
        assert run_cli(*usual_args(world)).code == 1
    ended = standing(world)
    assert ended.code == 0
    for said in (": stopped", "ended by: the disk is on fire", "--resume", "building shards: 0 of 2 photos", "| 20"):
        assert said in ended.stderr
    assert "building shards" in (world / "out" / "_work" / "log.txt").read_text()
    assert run_cli(*usual_args(world), "--resume").code == 0
    assert not (world / "out" / "_work").exists()


def test_a_run_under_way_is_seen_from_outside_and_a_killed_one_has_stopped(world: Path) -> None:
    slow = (
        "import sys, time\n"
        "from pipelines.cli import main\n"
        "from pipelines.engine import run, shards\n"
        "def slowly(*_):\n    time.sleep(60)\n"
        "run.build_shard = slowly\n"
        "main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, *usual_args(world)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "building shards" in standing(world).stderr or None)
        ended = standing(world, "--json")
        told = json.loads(ended.stdout)[str(world / "out")]
        assert told["state"] == "running"
        assert told["status"]["pid"] == process.pid
        assert told["status"]["stage"]["total"] == 2
        assert f"running: process {process.pid} on " in ended.stderr
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert ": stopped" in standing(world).stderr


def wait_for(call: object, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if call():  # type: ignore[operator]
            return
        time.sleep(0.5)
    raise AssertionError("it did not come")


@pytest.mark.parametrize("content", [b"", b"{", b'{"command": 3}', b"\xff"])
def test_a_damaged_status_is_none(world: Path, content: bytes) -> None:
    work = world / "out" / "_work"
    work.mkdir(parents=True)
    (work / "run.json").write_text('{"config_hash": "x"}')
    (work / "status.json").write_bytes(content)
    ended = standing(world)
    assert (ended.code, ended.errors) == (0, [])
    assert ": stopped" in ended.stderr


def test_a_folder_of_nothing_of_ours_is_one_line(tmp_path: Path) -> None:
    for address in (str(tmp_path), str(tmp_path / "none"), "s4://bucket/x"):
        ended = run_cli("status", address)
        assert (ended.code, len(ended.errors)) == (1, 1)
        assert address in ended.errors[0]


def test_a_shard_tells_how_far_it_is_and_takes_the_word_back(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    photos = progress.telling(out, "grounded/photos-000003", range(5), every_s=0.0)
    for count in range(3):
        assert next(photos) == count
    assert progress.under_way(out, ["grounded/photos-000003", "grounded/photos-000004"]) == 2
    assert list(photos) == [3, 4]
    assert files_of(tmp_path) == {}
    (tmp_path / "_work" / "at-a.json").write_bytes(b"")
    assert progress.under_way(out, ["a"]) == 0


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SAY_S", 0.05)
    with console.progress("building shards", 400, unit="photos") as counter:
        counter.keep(100)
        counter.finish(100, rejected=3, written=2_000_000)
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "building shards …"
    assert lines[-1] == "building shards: done"
    shape = (
        r"\d\d:\d\d:\d\d building shards: 200 of 400 photos \(50%\), [\d,.]+ photos/s, 0:00:\d\d left, "
        r"3 rejected, 2.0 MB written"
    )
    assert re.fullmatch(shape, lines[1]), lines[1]


def test_a_pace_counts_what_this_run_did(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(stage.time, "monotonic", lambda: now[0])
    counter = Stage("x", 1000, "photos")
    counter.keep(500)
    assert counter.left_s is None
    now[0] += 10
    counter.look(50)
    assert (counter.at, counter.per_second, counter.left_s) == (550, 5.0, 90.0)
    counter.finish(100, rejected=0, written=0)
    assert (counter.at, counter.under_way) == (600, 0)


def test_quiet_says_warnings_only_and_verbose_times_and_shards(world: Path) -> None:
    quiet = run_cli(*usual_args(world), "-q")
    assert quiet.code == 0
    assert [line.partition(":")[0] for line in quiet.stderr.splitlines()] == ["warning"]
    verbose = run_cli(*usual_args(world), "--overwrite", "-v")
    assert re.search(r"^\d\d:\d\d:\d\d mixed-star-train-000000: 2 samples in ", verbose.stderr, re.MULTILINE)
    usual = run_cli(*usual_args(world), "--overwrite")
    assert "mixed-star-train-000000: 2 samples" not in usual.stderr
    assert run_cli(*usual_args(world), "-q", "-v").code == 2


def test_a_log_file_has_every_line_with_its_time(world: Path) -> None:
    log = world / "run.log"
    for more in ((), ("--resume",)):
        assert run_cli(*usual_args(world), f"--log={log}", *more).code == 0
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING) ", line) for line in lines)
    assert any("already complete" in line for line in lines)
    assert run_cli(*usual_args(world), "--overwrite", f"--log={world}").code == 2
    assert run_cli(*usual_args(world), "--overwrite", f"--log={world}/no/such/run.log").code == 1


def test_secrets_of_addresses_stay_out_of_what_a_run_says(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["xdetr-data", "build", "https://user:word@host/a?token=1"])
    with status.telling_status(Folder(str(world / "out"))):
        text = (world / "out" / "_work" / "status.json").read_text()
    assert "word" not in text
    assert "token" not in text


def test_a_training_run_stands_where_its_metrics_are(tmp_path: Path) -> None:
    (tmp_path / "started.json").write_text("{}")
    assert ": stopped: step 0" in run_cli("status", str(tmp_path)).stderr
    step = {"kind": "train", "step": 40, "steps": 100, "total": 3.5, "step_s": 0.5, "waiting_share": 0.01}
    figures = {"kind": "evaluate", "step": 20, "boxes/ap50": 0.25, "boxes/ap": 0.1}
    (tmp_path / "metrics.jsonl").write_text(f"{json.dumps(figures)}\n{json.dumps(step)}\n" + '{"kind": "tra')
    said = run_cli("status", str(tmp_path)).stderr
    assert ": stopped: step 40 of 100 (40%)" in said
    assert "loss 3.500, 0.50 s a step (1% waiting)" in said
    assert "on --val at step 20: boxes/ap50 0.250" in said
    assert f"go on: xdetr-train --resume {tmp_path}" in said
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'ab'); fcntl.lockf(f, fcntl.LOCK_EX); "
        "print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = run_cli("status", str(tmp_path)).stderr
        process.kill()
    assert ": running: step 40 of 100 (40%)" in said
    assert "0:00:30 left" in said
