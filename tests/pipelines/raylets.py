"""A Ray cluster of several nodes on this machine, whose nodes are lost, stopped and added."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
STORE_BYTES = 100 << 20


class Raylets:
    """Nodes of a CPU each; the first one is the head, and a driver on this machine is its guest."""

    def __init__(self, count: int) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False},
        )
        self.nodes: list[Any] = [self._cluster.head_node]
        for _ in range(count - 1):
            self.add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        self.nodes.append(self._cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, wait=False))

    def lose(self, node: int) -> None:
        """All that a node runs ends at once, as when the machine does."""
        for process in self._processes(node):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self, node: int) -> None:
        """The node's processes that work get SIGSTOP; Ray's own do not."""
        for process in self._workers(node):
            process.suspend()

    def works(self, node: int) -> bool:
        """Whether a process of a pool has started there."""
        return bool(self._workers(node))

    def _workers(self, node: int) -> list[psutil.Process]:
        return [one for one in self._processes(node) if _name(one).startswith("ray::_Process")]

    def _processes(self, node: int) -> list[psutil.Process]:
        own = [info.process.pid for group in self.nodes[node].all_processes.values() for info in group]
        found = []
        for pid in own:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                found += [process, *process.children(recursive=True)]
        return found

    def close(self) -> None:
        for node in range(len(self.nodes)):
            self.lose(node)


def _name(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline()[:1])
    return ""


@contextmanager
def raylets(count: int) -> Iterator[Raylets]:
    """The cluster, as ``RAY_ADDRESS`` for the block; its processes import this tree."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_ADDRESS", "RAY_USAGE_STATS_ENABLED")}
    os.environ |= {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    cluster = Raylets(count)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster
    finally:
        cluster.close()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
