"""The cores of this machine that a process may use."""

import os


def cores() -> int:
    """How many there are, as the scheduler sees it (a container or taskset may allow fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
