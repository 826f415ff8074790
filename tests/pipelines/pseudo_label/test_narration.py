"""The process that reads narratives: what it says, and how it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from pipelines.pseudo_label import narration
from pipelines.pseudo_label.narration import Line, NotTold, Told, tell
from xdetr_data.errors import ConfigError, XdetrDataError

CHILD_OF_KILLED_PARENT = """
import os, signal
from pipelines.pseudo_label import narration

if __name__ == "__main__":
    narration.tell(None, ())
    (child,) = narration._process()._processes
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def line(caption: str) -> Line:
    told = {"dataset_id": "open_images_train", "image_id": "a", "caption": caption}
    return Line("narratives.jsonl:1", msgspec.json.encode(told))


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_is_told_is_in_the_order_of_the_lines() -> None:
    photos = [[line("A red ball."), Line("here:7", b"{"), line(" ")], [], [line("Two dogs. A cat.")]]
    first, second, third = tell(None, photos)
    assert [type(one) for one in first] == [Told, NotTold, NotTold]
    assert [one.reason for one in first if isinstance(one, NotTold)] == ["unreadable-narrative", "empty-caption"]
    assert second == []
    (told,) = third
    assert isinstance(told, Told)
    assert [sentence.text for sentence in told.sentences] == ["Two dogs.", "A cat."]


def test_a_language_pipeline_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="xx_not_there"):
        tell("xx_not_there", [[line("A dog.")]])


def test_a_killed_process_is_one_line_and_the_next_call_has_a_new_one() -> None:
    tell(None, ())
    (pid,) = narration._process()._processes
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(XdetrDataError, match="--resume"):
        tell(None, ())
    assert len(tell(None, [[line("A dog.")]])) == 1


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(CHILD_OF_KILLED_PARENT)
    parent = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, timeout=120)
    assert parent.returncode == -signal.SIGKILL
    child = int(parent.stdout)
    deadline = time.monotonic() + 20
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)
