"""The process that reads narratives: what it says, and how it ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import msgspec
import psutil
import pytest

from pipelines.labelling import narration
from pipelines.labelling.narration import Line, NotTold, Told, tell
from xdetr_data.errors import ConfigError, XdetrDataError

ORPHAN = """
import os, signal
from pipelines.labelling import narration

narration.tell(None, ())
print(narration._reader().process.pid, flush=True)
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


def test_a_caption_that_nobody_can_have_said_is_rejected() -> None:
    (((found,),),) = (tell(None, [[line("dog " * 20_000)]]),)
    assert isinstance(found, NotTold)
    assert (found.reason, found.detail[:32]) == ("caption-too-long", "the caption has 80,000 character")


def test_a_process_killed_at_work_is_one_line_and_the_next_call_has_a_new_one() -> None:
    tell(None, ())
    pid = narration._reader().process.pid
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(XdetrDataError, match=r"narratives.jsonl:1.*exit code -9.*--resume"):
        tell(None, [[line("A dog.")]])
    assert len(tell(None, [[line("A dog.")]])) == 1


def test_a_process_killed_while_it_waits_is_replaced() -> None:
    tell(None, ())
    process = narration._reader().process
    process.kill()
    process.wait()
    narration.start(None)
    assert len(tell(None, [[line("A dog.")]])) == 1


def test_it_ends_with_its_parent_and_says_nothing() -> None:
    """The parent is a script that comes through a pipe and has no ``__main__`` guard."""
    parent = subprocess.run([sys.executable, "-"], input=ORPHAN, capture_output=True, text=True, timeout=120)
    assert parent.returncode == -signal.SIGKILL
    child = int(parent.stdout)
    deadline = time.monotonic() + 20
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)
    assert parent.stderr == ""


def test_ctrl_c_leaves_it_alone_and_the_end_of_its_parent_ends_it() -> None:
    script = (
        "import os, time; from pipelines.labelling import narration; narration.start(None); "
        "print(os.getpid(), flush=True); [time.sleep(0.1) for _ in range(600)]"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    os.killpg(int(parent.stdout.readline()), signal.SIGINT)  # while spaCy is being imported
    _, complaints = parent.communicate(timeout=120)
    assert complaints.count("Traceback") == 1  # the parent's own
    assert "spacy" not in complaints
