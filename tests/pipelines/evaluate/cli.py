"""``xdetr-eval`` run in this process."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from pipelines.evaluate.cli import main
from tests.pipelines.tiny import Ended


def run_eval(*args: object) -> Ended:
    """An exception that would show as a traceback fails the test."""
    stdout, stderr = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["xdetr-eval", *map(str, args)]
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code: Any = 0
            try:
                main()
            except SystemExit as ending:
                code = ending.code or 0
    finally:
        sys.argv = argv
    return Ended(int(code), stdout.getvalue(), stderr.getvalue())


def figures_of(ended: Ended) -> dict[str, float | None]:
    """Name → value of the only run of a ``--json``."""
    assert ended.code == 0, ended.stderr
    [result] = json.loads(ended.stdout).values()
    return {one["name"]: one["value"] for one in result["figures"]}
