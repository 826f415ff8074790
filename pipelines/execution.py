"""Runs independent tasks in this process or on Ray, with the same results.

``workers=0`` is this process. Otherwise Ray: a local one that starts and stops with the run, or the cluster that
``RAY_ADDRESS`` names. What was lost with a process or a node is done by another (``pool.py``); a task that raises ends
the run, and what other tasks have finished stays for ``--resume``.
"""

import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from pipelines.cluster import cluster
from pipelines.pool import Pool
from xdetr_data.errors import ConfigError

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs tasks; results come as they are ready, in no promised order."""

    def __call__(
        self, task: Callable[[Context, Item], Result], context: Context, items: Sequence[Item]
    ) -> Iterator[Result]:
        """Yields ``task(context, item)`` of every item."""

    def pool(
        self,
        make: Callable[[Context], Callable[[Item], Result]],
        context: Context,
        items: Sequence[Item],
        *,
        gpus: int = 0,
    ) -> Iterator[Result]:
        """Yields ``make(context)(item)`` of every item; ``make`` (a model is loaded) is called once a process.

        With ``gpus`` there are that many processes, each with a GPU of its own.
        """

    def on_a_node(self, gpus: int) -> int:
        """How many processes of a pool share the cores of a machine."""


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """The executor of a run; raises ConfigError for a number of workers that there cannot be."""
    if workers < 0:
        raise ConfigError(f"--workers {workers} must be 0 (this process) or more")
    if workers == 0:
        yield _Here()
        return
    with cluster(workers) as ray:
        yield _OnRay(ray, workers)


class _Here:
    """This process."""

    def __call__(self, task: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]) -> Iterator[Any]:
        for item in items:
            yield task(context, item)

    def pool(
        self, make: Callable[[Any], Callable[[Any], Any]], context: Any, items: Sequence[Any], *, gpus: int = 0
    ) -> Iterator[Any]:
        if items:
            yield from map(make(context), items)

    def on_a_node(self, gpus: int) -> int:
        return 1


@contextmanager
def no_cycle_collector() -> Iterator[None]:
    """Turns Python's cycle collector off: records hold no cycles, and it would walk them all again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _OnRay:
    """Ray, at most ``workers`` tasks at a time, all in the processes of one pool as long as no other is asked for."""

    def __init__(self, ray: Any, workers: int) -> None:
        self._ray = ray
        self._workers = workers
        self._tasks = Pool(ray, workers, {"num_cpus": 1})

    def __call__(self, task: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]) -> Iterator[Any]:
        yield from self._tasks.run(functools.partial(functools.partial, task), context, items)

    def pool(
        self, make: Callable[[Any], Callable[[Any], Any]], context: Any, items: Sequence[Any], *, gpus: int = 0
    ) -> Iterator[Any]:
        have = self._ray.cluster_resources().get("GPU", 0)
        if gpus > have:
            raise ConfigError(f"--gpus {gpus}: there are {have:.0f} here; give as many as there are, or 0 for the CPUs")
        self._tasks.close()  # their places are needed
        needs = {"num_cpus": 0, "num_gpus": 1} if gpus else {"num_cpus": 1}
        pool = Pool(self._ray, gpus or self._workers, needs)
        try:
            yield from pool.run(make, context, items)
        finally:
            pool.close()  # and with it what was loaded

    def on_a_node(self, gpus: int) -> int:
        nodes = sum(one["Alive"] for one in self._ray.nodes())
        return -(-(gpus or self._workers) // max(1, nodes))
