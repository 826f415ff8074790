"""Commands that are killed at random moments and resumed, as real processes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
Moment = tuple[str, float]  # seconds after a phase was announced ("reading ids"); "" is the first word


@contextlib.contextmanager
def running(args: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """The command as a process group of its own, with an unblocked stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *args],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        kill_group(process)
        assert process.stderr is not None
        process.stderr.close()


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the process and its children, some of which may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def random_moments(phases: Sequence[str], count: int, longest_s: float) -> list[Moment]:
    """Moments in one phase after the other, most of them soon after its beginning, for some phases are short."""
    rng = random.Random(20)
    return [(phases[number % len(phases)], longest_s * rng.random() ** 3) for number in range(count)]


def kill_and_resume(args: Sequence[str], out: Path, moments: Sequence[Moment], check: Callable[[], None]) -> list[str]:
    """Kills the command at each moment, and resumes it; where it ends first, starts afresh.

    Returns the phase in which each kill came: the last line that was said, up to its ellipsis or colon.
    """
    phases = []
    for phase, delay_s in moments:
        with running([*args, "--resume"]) as process:
            said = read_until(process, phase)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay_s)
            ended = process.poll() is not None
            kill_group(process)
            assert process.stderr is not None
            said += process.stderr.read() or b""
        if ended:
            assert process.returncode == 0, said.decode()
            check()
            shutil.rmtree(out)
        else:
            phases.append(said.decode().strip().splitlines()[-1].split(" …")[0].split(":")[0])
    with running([*args, "--resume"]) as process:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()
    check()
    return phases


def read_until(process: "subprocess.Popen[bytes]", phase: str) -> bytes:
    """What the process says until it announces a phase, or until its end."""
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    said = b""
    while process.poll() is None:
        said += process.stderr.read() or b""
        if said and phase.encode() in said:
            break
        time.sleep(0.002)
    return said
