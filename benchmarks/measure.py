"""Runs a command and tells its wall time, CPU time and the memory of all its processes together."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """``peak_rss_bytes`` adds up every process of the tree and counts shared pages once for each; ``peak_pss_bytes``
    counts them once."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_pss_bytes: int
    output: str


def measure(command: Sequence[str], *, interval_s: float = 0.5) -> Measured:
    """Runs to the end; raises CalledProcessError where the command fails."""
    started = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    peak_rss = peak_pss = 0
    cpu: dict[int, float] = {}
    while process.poll() is None:
        rss = pss = 0
        for one in _tree(process):
            try:
                memory = one.memory_full_info()
                times = one.cpu_times()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue  # it ended between the listing and the look: the next round sees the rest
            rss += memory.rss
            pss += memory.pss
            cpu[one.pid] = times.user + times.system
        peak_rss, peak_pss = max(peak_rss, rss), max(peak_pss, pss)
        time.sleep(interval_s)
    wall = time.monotonic() - started
    output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return Measured(
        wall_s=wall, cpu_s=sum(cpu.values()), peak_rss_bytes=peak_rss, peak_pss_bytes=peak_pss, output=output
    )


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
