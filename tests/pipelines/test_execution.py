"""Tasks and pools give the same results here and on Ray, and their errors arrive in one line."""

import os
from pathlib import Path

import pytest

from pipelines.execution import executor
from xdetr_data.errors import ConfigError, XdetrDataError


def square(context, item):
    return context * item * item


def make_counter(context):
    seen = []

    def work(item):
        seen.append(item)
        return (os.getpid(), len(seen), context + item)

    return work


def fail(_, item):
    raise ConfigError(f"no {item}")


def cannot_load(_):
    raise ModuleNotFoundError("No module named 'left_out_here'")


def die_once(folder, item):
    mark = Path(folder) / f"{item}"
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return item


def die(_, item):
    os._exit(1)


@pytest.fixture(scope="module")
def on_ray():
    with executor(2) as runner:
        yield runner


@pytest.fixture(scope="module")
def here():
    with executor(0) as runner:
        yield runner


@pytest.fixture(params=["here", "on_ray"])
def run(request):
    return request.getfixturevalue(request.param)


def test_every_item_gives_its_result(run):
    assert sorted(run(square, 2, [1, 2, 3])) == [2, 8, 18]
    assert list(run(square, 2, [])) == []


def test_a_pool_loads_once_a_process(run):
    results = list(run.pool(make_counter, 10, [1, 2, 3, 4]))
    assert sorted(value for _, _, value in results) == [11, 12, 13, 14]
    for process in {pid for pid, _, _ in results}:
        counts = sorted(count for pid, count, _ in results if pid == process)
        assert counts == list(range(1, len(counts) + 1))


def test_an_error_of_a_task_arrives_as_it_was(run):
    with pytest.raises(ConfigError, match="no 7"):
        list(run(fail, None, [7]))


def test_an_error_of_what_is_loaded_arrives_as_it_was(run):
    with pytest.raises(ModuleNotFoundError, match="left_out_here"):
        list(run.pool(cannot_load, None, [7]))


def test_a_worker_that_dies_is_replaced_and_its_task_done_again(on_ray, tmp_path):
    assert sorted(on_ray(die_once, str(tmp_path), ["a", "b"])) == ["a", "b"]
    with pytest.raises(XdetrDataError, match="--resume"):
        list(on_ray(die, None, ["c"]))


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ConfigError, match="--workers -2"), executor(-2):
        pass


def test_a_ray_that_does_not_start_is_one_line_with_a_remedy(monkeypatch):
    import ray

    def init(*_, **__):
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(XdetrDataError, match=r"timed out during startup\.\); give fewer --workers"), executor(3):
        pass
    monkeypatch.setenv("RAY_ADDRESS", "here:1")
    with pytest.raises(XdetrDataError, match="is RAY_ADDRESS=here:1 right"), executor(3):
        pass
