"""A pool ends with all results whatever becomes of its nodes; where it cannot, one line says why and what to do."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pipelines import cluster as cluster_module
from pipelines import pool as pool_module
from pipelines.execution import executor
from tests.pipelines.raylets import Raylets, raylets
from xdetr_data.errors import XdetrDataError

ITEMS = list(range(40))
EXPECTED = [2 * item for item in ITEMS]


def double(pause_s: float, item: int) -> int:
    time.sleep(pause_s)
    return 2 * item


def make_double(pause_s: float) -> Callable[[int], int]:
    return partial(double, pause_s)


def kill_oneself(_: None, item: int) -> None:
    os._exit(1)


@pytest.fixture
def nodes() -> Iterator[Raylets]:
    with raylets(3) as made:
        yield made


def run_while(nodes: Raylets, act: Callable[[], object], *, how: str, workers: int = 3) -> list[int]:
    """All results of a run; once all nodes work and two results are there, something happens to the nodes."""
    results: list[int] = []
    acted = False
    with executor(workers) as run:
        made = run.pool(make_double, 0.4, ITEMS) if how == "pool" else run(double, 0.4, ITEMS)
        for result in made:
            results.append(result)
            if not acted and len(results) > 2 and all(map(nodes.works, range(len(nodes.nodes)))):
                act()
                acted = True
    assert acted
    return sorted(results)


def test_a_lost_node_costs_no_result_and_a_new_one_takes_part(capsys: pytest.CaptureFixture[str]) -> None:
    with raylets(2) as nodes:

        def swap() -> None:
            nodes.lose(1)
            nodes.add()

        assert run_while(nodes, swap, how="pool") == EXPECTED
    assert capsys.readouterr().err.count("lost a process on node") == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["pool", "tasks"])
def test_all_nodes_but_the_drivers_may_go(how: str, nodes: Raylets) -> None:
    def lose_two() -> None:
        nodes.lose(1)
        nodes.lose(2)

    assert run_while(nodes, lose_two, how=how) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("how", ["pool", "tasks"])
def test_a_stopped_process_is_told_of_and_its_item_goes_to_another(
    how: str, nodes: Raylets, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool_module, "SILENT_S", 8.0)
    monkeypatch.setattr(pool_module, "GIVEN_UP_S", 16.0)
    assert run_while(nodes, lambda: nodes.stop(1), how=how) == EXPECTED
    said = " ".join(capsys.readouterr().err.split())
    assert "no progress for 8 s on node" in said
    assert "no sign of life for" in said


@pytest.mark.slow
def test_a_head_that_dies_ends_the_run_with_one_line(nodes: Raylets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "HEAD_GONE_S", 3.0)
    with pytest.raises(XdetrDataError, match=r"is gone \(.*\).*go on with --resume"):
        run_while(nodes, lambda: nodes.lose(0), how="pool")


@pytest.mark.slow
def test_an_item_that_ends_every_process_is_an_error_and_not_for_ever() -> None:
    with executor(1) as run, pytest.raises(XdetrDataError, match=r"lost its process 4 times .*--resume"):
        list(run.pool(lambda _: partial(kill_oneself, None), None, [1]))
