"""Runs independent tasks in this process or on Ray, with the same results.

``workers=0`` is this process. Otherwise Ray: a local one that starts and stops with the run, or the cluster that
``RAY_ADDRESS`` names. A task that Ray lost with its node is run again; a task that raises ends the run, and what
other tasks have finished stays for ``--resume``.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from xdetr_data.errors import ConfigError

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")

OBJECT_STORE_BYTES = 256 << 20


@contextmanager
def executor(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yields ``run(task, context, items)``, which yields the results of ``task(context, item)`` as they come."""
    if workers < 0:
        raise ConfigError(f"--workers {workers} must be 0 (this process) or more")
    if workers == 0:
        yield _run_here
        return
    with _ray(workers) as ray:
        yield lambda task, context, items: _run_on_ray(ray, task, context, items, workers)


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


def _run_here(task: Callable[[Context, Item], Result], context: Context, items: Sequence[Item]) -> Iterator[Result]:
    for item in items:
        yield task(context, item)


@contextmanager
def _ray(workers: int) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level="error")
    else:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="error",
        )
    try:
        yield ray
    finally:
        ray.shutdown()


def _run_on_ray(
    ray: Any, task: Callable[[Context, Item], Result], context: Context, items: Sequence[Item], workers: int
) -> Iterator[Result]:
    remote = ray.remote(num_cpus=1, max_retries=3)(task)
    shared = ray.put(context)
    waiting = list(reversed(items))
    running: list[Any] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(remote.remote(shared, waiting.pop()))
            done, running = ray.wait(running, num_returns=1)
            for reference in done:
                yield _get(ray, reference)
    finally:
        for reference in running:
            ray.cancel(reference)


def _get(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
