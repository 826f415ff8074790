"""Runs independent tasks in this process or on Ray, with the same results.

``workers=0`` is this process. Otherwise Ray: a local one that starts and stops with the run, or the cluster that
``RAY_ADDRESS`` names. A task that Ray lost with its node is run again; a task that raises ends the run, and what
other tasks have finished stays for ``--resume``.
"""

import functools
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from xdetr_data.errors import ConfigError, XdetrDataError

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")

OBJECT_STORE_BYTES = 256 << 20


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


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """The executor of a run; raises ConfigError for a number of workers that there cannot be."""
    if workers < 0:
        raise ConfigError(f"--workers {workers} must be 0 (this process) or more")
    if workers == 0:
        yield _Here()
        return
    with _ray(workers) as ray:
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


@contextmanager
def _ray(workers: int) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS")
    local = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="error", **({} if address else local))
    except Exception as error:  # ray raises plain Exceptions
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        remedy = f"is RAY_ADDRESS={address} right?" if address else "give fewer --workers, or --workers 0: no Ray"
        raise XdetrDataError(f"Ray did not start ({what}); {remedy}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


class _PoolWorker:
    """A process of a pool: what it loads, it loads once, when its first item comes."""

    def __init__(self) -> None:
        self._work: Callable[[Any], Any] | None = None

    def work(self, make: Callable[[Any], Callable[[Any], Any]], context: Any, item: Any) -> Any:
        if self._work is None:
            self._work = make(context)
        return self._work(item)


class _OnRay:
    """Ray, at most ``workers`` tasks at a time."""

    def __init__(self, ray: Any, workers: int) -> None:
        self._ray = ray
        self._workers = workers

    def __call__(self, task: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]) -> Iterator[Any]:
        remote = self._ray.remote(num_cpus=1, max_retries=3)(task)
        shared = self._ray.put(context)
        slots = [lambda item: remote.remote(shared, item)] * min(self._workers, len(items))
        yield from self._run(slots, items)

    def pool(
        self, make: Callable[[Any], Callable[[Any], Any]], context: Any, items: Sequence[Any], *, gpus: int = 0
    ) -> Iterator[Any]:
        have = self._ray.cluster_resources()
        if gpus > have.get("GPU", 0):
            raise ConfigError(
                f"--gpus {gpus}: there are {have.get('GPU', 0):.0f} here; give as many as there are, or 0 for the CPUs"
            )
        needs = {"num_cpus": 0, "num_gpus": 1} if gpus else {"num_cpus": 1}
        actor = self._ray.remote(max_restarts=3, max_task_retries=3, **needs)(_PoolWorker)
        shared = self._ray.put(context)
        count = gpus or min(self._workers, int(have["CPU"]))  # one without a place would never begin
        actors = [actor.remote() for _ in range(min(count, len(items)))]
        slots = [functools.partial(one.work.remote, make, shared) for one in actors]
        yield from self._run(slots, items)

    def _run(self, slots: Sequence[Callable[[Any], Any]], items: Sequence[Any]) -> Iterator[Any]:
        """Keeps every slot busy with one item at a time."""
        waiting = list(reversed(items))
        running: dict[Any, Callable[[Any], Any]] = {}
        free = list(slots)
        try:
            while waiting or running:
                while waiting and free:
                    submit = free.pop()
                    running[submit(waiting.pop())] = submit
                done, _ = self._ray.wait(list(running), num_returns=1)
                for reference in done:
                    free.append(running.pop(reference))
                    yield _get(self._ray, reference)
        finally:
            for reference in running:
                self._ray.cancel(reference)


def _get(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        what = " ".join(str(error).split())[:300]
        raise XdetrDataError(
            f"a worker was lost more often than it is started again ({type(error).__name__}: {what}); "
            "go on with --resume, with fewer --workers where memory ran out"
        ) from error
