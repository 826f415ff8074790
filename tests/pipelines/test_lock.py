"""One run at a time writes a folder; a lock whose owner is gone is no obstacle."""

import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines import lock
from pipelines.folder import LOCK
from pipelines.lock import Owner, locked
from tests.pipelines.tiny import World, run_cli, usual_args
from xdetr_data.errors import OutputError
from xdetr_data.storage import Folder


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "out") if request.param == "local" else f"memory://{uuid.uuid4().hex}/out")


def left_by(out: Folder, **changes: Any) -> None:
    """A lock that somebody else left."""
    now = time.time()
    mine = {"token": "theirs", "host": socket.gethostname(), "pid": os.getppid(), "process_began": ""}
    out.put(LOCK, msgspec.json.encode(Owner(**mine | {"since_s": now, "alive_s": now} | changes)), replace=True)


def pid_of_nobody() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_second_run_is_refused_in_a_line_that_says_whose_the_folder_is(out: Folder) -> None:
    with locked(out):
        with pytest.raises(OutputError, match=f"another run is writing it .process {os.getpid()} of"), locked(out):
            pass
        assert out.exists(LOCK)
    assert not out.exists(LOCK)
    with locked(out):
        pass


def test_the_lock_is_given_back_after_an_error_too_and_leaves_nothing(out: Folder) -> None:
    with pytest.raises(ZeroDivisionError), locked(out):
        _ = 1 // 0
    assert out.names("_work/*") == []


@pytest.mark.parametrize(
    "left",
    [
        {"pid": pid_of_nobody()},
        {"process_began": "another process had this number"},
        {"pid": os.getpid(), "process_began": "an earlier process of this number"},
        {"host": "elsewhere", "alive_s": time.time() - 2 * lock.STALE_S},
    ],
    ids=["its-process-is-gone", "its-process-is-another-one", "it-was-this-process-before", "no-sign-of-life"],
)
def test_a_lock_whose_owner_is_gone_is_taken_over(left: dict[str, Any], out: Folder) -> None:
    left_by(out, **left)
    with locked(out):
        assert b'"theirs"' not in out.read(LOCK)


def test_a_lock_that_was_cut_short_is_taken_over(out: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_SETTLE_S", 0.01)
    out.put(LOCK, b'{"token": "the', replace=True)
    with locked(out):
        pass


def test_a_run_on_another_machine_holds_it_while_it_shows_signs_of_life(out: Folder) -> None:
    left_by(out, host="elsewhere", alive_s=time.time() - 60)
    with pytest.raises(OutputError, match=r"of elsewhere .*last sign of life 60 s ago.*10 minutes after"), locked(out):
        pass
    assert b"elsewhere" in out.read(LOCK)


def test_the_owner_shows_signs_of_life(out: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    with locked(out):
        first = last = read_owner(out)
        deadline = time.monotonic() + 10
        while last.alive_s == first.alive_s:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            last = read_owner(out)
        assert last.token == first.token


def read_owner(out: Folder) -> Owner:
    """Whose the lock is; it is empty while it is being written."""
    while not (data := out.read(LOCK)):
        time.sleep(0.001)
    return msgspec.json.decode(data, type=Owner)


@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_a_command_on_a_folder_that_a_run_is_writing_is_one_line_and_harms_nothing(how: str, tmp_path: Path) -> None:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with locked(Folder(str(tmp_path / "out"))):
        ended = run_cli(*usual_args(tmp_path), how)
    assert ended.code == 1
    assert len(ended.errors) == 1
    assert "another run is writing it" in ended.errors[0]
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_lock_that_a_killed_run_left_in_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    World().write(tmp_path)
    left_by(Folder(str(tmp_path / "out")), pid=pid_of_nobody())
    assert run_cli(*usual_args(tmp_path)).code == 0
    assert not (tmp_path / "out" / "_work").exists()
    assert run_cli(*usual_args(tmp_path), "--overwrite").code == 0
    assert not (tmp_path / "out" / "_work").exists()
