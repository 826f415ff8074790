"""A pytest plugin that notes how every command line ended that the tests ran in their process.

It is copied beside a tree, so it stands alone. Only the tests named in ``SAME_BYTES_TESTS`` are run; what it noted goes
to the file ``SAME_BYTES_NOTES``.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli

_TESTS = set(os.environ["SAME_BYTES_TESTS"].split())

_now: dict[str, str] = {}
_calls: list[dict[str, Any]] = []
_outcomes: dict[str, str] = {}
_broken: list[str] = []
_run = cli.main


def _noted() -> None:
    arguments = sys.argv[1:]
    stderr = sys.stderr
    begin = stderr.tell() if isinstance(stderr, io.StringIO) else 0
    code: Any = None
    try:
        _run()
    except SystemExit as ending:
        code = int(ending.code or 0)
        raise
    except BaseException as error:
        code = type(error).__name__
        raise
    finally:
        said = stderr.getvalue()[begin:] if isinstance(stderr, io.StringIO) else ""
        errors = [line for line in said.splitlines() if line.startswith("error:")]
        _calls.append({**_now, "arguments": arguments, "code": code, "errors": errors})


cli.main = _noted


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests that are compared."""
    kept = [item for item in items if (getattr(item, "originalname", None) or item.name) in _TESTS]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Knows which test is running."""
    _now.update(node=item.nodeid, test=item.name)
    yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of set-up, call and tear-down."""
    if report.outcome != "passed" or report.nodeid not in _outcomes:
        _outcomes[report.nodeid] = report.outcome


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Files that do not load."""
    if report.failed:
        _broken.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Writes what was noted."""
    notes = {"calls": _calls, "outcomes": _outcomes, "broken": _broken}
    Path(os.environ["SAME_BYTES_NOTES"]).write_text(json.dumps(notes))
