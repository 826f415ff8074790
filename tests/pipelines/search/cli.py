"""``xdetr-search`` run in this process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipelines.search.cli import main
from tests.pipelines.tiny import Ended, run_here

TOY = str(Path(__file__).parents[3] / "manifests/checkpoints/xdetr-toy")
ALL = ("--ckpt", TOY, "--least-objectness", "0")  # so that every photo has objects


def run_search(*args: object) -> Ended:
    """An exception that would show as a traceback fails the test."""
    return run_here(main, "xdetr-search", *map(str, args))


def done(*args: object) -> Ended:
    ended = run_search(*args)
    assert ended.code == 0, ended.stderr
    return ended


def answers(*args: object) -> list[dict[str, Any]]:
    """The answers of the only query of a ``--json``."""
    [found] = json.loads(done("query", *args, "--json").stdout)["queries"]
    rows: list[dict[str, Any]] = found["answers"]
    return rows


def names(found: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(one["key"], one["object"]) for one in found]


def objects_of(index: Path) -> list[dict[str, Any]]:
    """All rows of an index, its vectors as float16."""
    rows = []
    for file in sorted(index.glob("part-*/objects-*.parquet")):
        for row in pq.read_table(file).to_pylist():
            rows.append(row | {"vector": np.array(row["vector"], np.float16)})
    return rows


def wrong(*args: object) -> tuple[int, str]:
    """Exit code and the one line of an error."""
    ended = run_search(*args)
    [line] = ended.errors
    return ended.code, line
