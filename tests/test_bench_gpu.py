"""The GPU benchmark: a section that fails or takes too long leaves the others their turn, and what it found is kept."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import run_section

ROOT = Path(__file__).parents[1]


def rows(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"number": number, "ms": 1 / 3}


def broken() -> Iterator[dict[str, Any]]:
    yield {"number": 0}
    raise RuntimeError("CUDA error: no room")


def test_a_section_keeps_what_it_found_before_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {}
    run_section("kernel", broken, 60, found)
    run_section("model", lambda: rows(2), 60, found)
    assert found == {
        "kernel": [{"number": 0}],
        "kernel_ended": "RuntimeError: CUDA error: no room",
        "model": [{"number": 0, "ms": 1 / 3}, {"number": 1, "ms": 1 / 3}],
    }
    assert "0.3333" in capsys.readouterr().out


def test_a_section_ends_after_the_row_that_its_budget_ends_in() -> None:
    found: dict[str, Any] = {}
    run_section("search", lambda: rows(1000), 0, found)
    assert found["search"] == [{"number": 0, "ms": 1 / 3}]
    assert found["search_ended"] == "after its 0 s"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--json=never.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "no GPU is to be seen here" in ended.stderr


def test_make_takes_the_python_that_is_there_and_installs_nothing() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "bench-gpu", "VENV=no/such/venv"],  # the suite itself runs under a make
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split("\n")[0].startswith("python3 -m benchmarks.gpu ")
    assert "pip" not in told.stdout
