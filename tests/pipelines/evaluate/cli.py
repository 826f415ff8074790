"""``xdetr-eval`` run in this process."""

import json

from pipelines.evaluate.cli import main
from tests.pipelines.tiny import Ended, run_here


def run_eval(*args: object) -> Ended:
    """An exception that would show as a traceback fails the test."""
    return run_here(main, "xdetr-eval", *map(str, args))


def figures_of(ended: Ended) -> dict[str, float | None]:
    """Name → value of the only run of a ``--json``."""
    assert ended.code == 0, ended.stderr
    [result] = json.loads(ended.stdout).values()
    return {one["name"]: one["value"] for one in result["figures"]}
