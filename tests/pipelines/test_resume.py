"""The same bytes whatever the number of workers, however the inputs are packed, and after any number of kills."""

import contextlib
import gzip
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.folder import claim_output, open_output
from tests.pipelines.killing import kill_and_resume, random_moments
from tests.pipelines.middling import write_middling
from tests.pipelines.tiny import COCO, MDETR, Ended, World, files_of, manifest_of, run_cli, usual_args
from xdetr_data.storage import Folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "args.json").write_text(json.dumps(write_middling(folder)))
    return folder


def args_of(inputs: Path, out: Path, workers: int) -> list[str]:
    return [*json.loads((inputs / "args.json").read_text()), f"--out={out}", f"--workers={workers}"]


@pytest.fixture(scope="module")
def whole(inputs: Path) -> dict[str, bytes]:
    """The files of an uninterrupted build in one process."""
    assert run_cli(*args_of(inputs, inputs / "whole", 0)).code == 0
    manifest = manifest_of(inputs / "whole")
    assert len(manifest.shards) > 5
    assert manifest.rows == 476
    return files_of(inputs / "whole")


def differing(files: dict[str, bytes], others: dict[str, bytes]) -> list[str]:
    """Names of files that only one side has, or that differ."""
    return sorted(name for name in files.keys() | others.keys() if files.get(name) != others.get(name))


def test_two_workers_write_the_same_bytes_as_one_process(inputs: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    ended = run_cli(*args_of(inputs, tmp_path / "out", 2))
    assert ended.code == 0, ended.stderr
    assert differing(files_of(tmp_path / "out"), whole) == []


def test_one_worker_writes_the_same_bytes_from_paths_relative_to_the_current_folder(
    inputs: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inputs)
    args = [arg.replace(f"{inputs}/", "") for arg in args_of(inputs, inputs / "near", 1)]
    assert not any(str(inputs) in arg for arg in args)
    ended = run_cli(*args)
    assert ended.code == 0, ended.stderr
    naming_paths = ["README.md", "manifest.json", "rejects/plan.parquet"]
    assert differing(files_of(inputs / "near"), whole) == naming_paths
    shutil.rmtree(inputs / "near")


def test_gzip_inputs_make_the_same_bytes_but_for_what_names_them(
    inputs: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for name in (MDETR, COCO):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((inputs / name).read_bytes()))
    ended = run_cli(*[_packed(arg, inputs, tmp_path) for arg in args_of(inputs, tmp_path / "out", 0)])
    assert ended.code == 0, ended.stderr
    made = files_of(tmp_path / "out")
    differ = differing(made, whole)
    assert all(name in ("README.md", "manifest.json") or name.endswith(".stats.json") for name in differ), differ
    assert _without_inputs(made) == _without_inputs(whole)


def _packed(arg: str, inputs: Path, packed: Path) -> str:
    for name in (MDETR, COCO):
        if arg.endswith(str(inputs / name)):
            return arg.replace(str(inputs / name), f"{packed / name}.gz")
    return arg


def _without_inputs(files: dict[str, bytes]) -> dict[str, object]:
    """Files with what names the inputs taken out of their JSON."""
    result: dict[str, object] = {}
    for name, data in files.items():
        if name.endswith(".json"):
            values = json.loads(data)
            result[name] = {key: values[key] for key in values.keys() - {"inputs", "config", "config_hash"}}
        elif name != "README.md":
            result[name] = data
    return result


def test_another_seed_puts_photos_into_other_shards_and_loses_none(
    inputs: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    assert run_cli(*args_of(inputs, tmp_path / "out", 0), "--seed=1").code == 0
    first, second = manifest_of(inputs / "whole"), manifest_of(tmp_path / "out")
    assert first.accounting == second.accounting
    assert [shard.rows for shard in first.shards] != [shard.rows for shard in second.shards]


# --- kills at random moments ---


PHASES = ("building shards", "reading ids", "hashing inputs", "partitioning", "building shards")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_build_that_is_killed_three_times_ends_as_if_it_never_was(
    workers: int, inputs: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def check() -> None:
        assert differing(files_of(out), whole) == []

    kill_and_resume(args_of(inputs, out, workers), out, random_moments(PHASES, 3, 0.8), check)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_build_that_is_killed_twenty_times_ends_as_if_it_never_was(
    workers: int, inputs: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def check() -> None:
        assert differing(files_of(out), whole) == []

    killed: list[str] = []
    while len(killed) < 20:
        killed += kill_and_resume(args_of(inputs, out, workers), out, random_moments(PHASES, 20, 0.8), check)
        shutil.rmtree(out)
    assert set(killed) >= {"reading ids", "building shards"}


# --- a kill at every step of a tiny build ---


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Runs some work in a child that dies at its n-th step on the disk; whether it died before its end."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _die_at(step)
            work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _die_at(step: int) -> None:
    import builtins

    import fsspec.implementations.local as local

    done = 0

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal done
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            return real(*args, **kwargs)

        return wrapped

    for name in ("fsync", "replace", "makedirs", "unlink", "remove", "rmdir"):
        setattr(os, name, counting(getattr(os, name)))
    builtins.open = counting(builtins.open)  # type: ignore[assignment]
    local.LocalFileOpener.write = counting(local.LocalFileOpener.write)  # type: ignore[method-assign]
    local.LocalFileOpener.close = counting(local.LocalFileOpener.close)  # type: ignore[method-assign]


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def steps_until_it_lives(args: list[str], stride: int) -> Iterator[int]:
    """Kills the command at one step after the other, until it ends before the next."""
    step = 0
    while killed_at(step, lambda: run_cli(*args)):
        yield step
        step += stride


some_steps_or_all = pytest.mark.parametrize(
    "stride", [pytest.param(11, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)


@some_steps_or_all
@pytest.mark.usefixtures("quick_disk")
def test_a_kill_at_any_step_leaves_what_resume_completes(stride: int, tmp_path: Path) -> None:
    World().write(tmp_path)
    args, out = usual_args(tmp_path), tmp_path / "out"
    assert run_cli(*args).code == 0
    clean = files_of(out)
    shutil.rmtree(out)
    count = 0
    for _ in steps_until_it_lives(args, stride):
        ended = run_cli(*args, "--resume")
        assert ended.code == 0, ended.stderr
        assert differing(files_of(out), clean) == []
        shutil.rmtree(out)
        count += 1
    assert count * stride > 200


@some_steps_or_all
@pytest.mark.usefixtures("quick_disk")
def test_a_kill_at_any_step_leaves_what_overwrite_replaces(stride: int, tmp_path: Path) -> None:
    World().write(tmp_path)
    args, out = usual_args(tmp_path), tmp_path / "out"
    assert run_cli(*args).code == 0
    clean = files_of(out)
    count = 0
    for _ in steps_until_it_lives([*args, "--overwrite"], stride):
        ended = run_cli(*args, "--overwrite")
        assert ended.code == 0, ended.stderr
        assert differing(files_of(out), clean) == []
        assert run_cli(*args, "--overwrite", "--limit=1", "--shard-bytes=3kB").code == 0  # another dataset to replace
        count += 1
    assert count * stride > 200


@some_steps_or_all
@pytest.mark.usefixtures("quick_disk")
def test_a_kill_while_overwriting_never_mixes_two_datasets(stride: int, tmp_path: Path) -> None:
    World().write(tmp_path)
    args, out = usual_args(tmp_path), tmp_path / "out"
    assert run_cli(*args, "--limit=1", "--shard-bytes=3kB").code == 0
    other = files_of(out)
    shutil.rmtree(out)
    assert run_cli(*args).code == 0
    clean = files_of(out)
    for _ in steps_until_it_lives([*args, "--overwrite", "--limit=1", "--shard-bytes=3kB"], stride):
        kept, begun = run_cli(*args, "--resume"), None
        if kept.code == 1:
            assert "another configuration" in kept.errors[0]
            begun = run_cli(*args, "--resume", "--limit=1", "--shard-bytes=3kB")
        if begun is not None and begun.code == 0:
            assert differing(files_of(out), other) == []
        elif begun is None:
            assert differing(files_of(out), clean) == []
        assert run_cli(*args, "--overwrite").code == 0
        assert differing(files_of(out), clean) == []


@pytest.mark.usefixtures("quick_disk")
def test_a_kill_before_anything_was_written_leaves_a_folder_that_needs_no_flag(tmp_path: Path) -> None:
    World().write(tmp_path)
    args = usual_args(tmp_path)
    for step in range(0, 400, 5):
        assert killed_at(step, lambda: run_cli(*args))
        if (tmp_path / "out" / "_work" / "run.json").exists():
            break
        ended: Ended = run_cli(*args)
        assert ended.code == 0, ended.stderr
        shutil.rmtree(tmp_path / "out")
    else:
        pytest.fail("the run never wrote its claim")


@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_a_kill_at_any_step_of_removing_a_dataset_leaves_what_can_be_removed_again(state: str, tmp_path: Path) -> None:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    if state == "unfinished":
        (tmp_path / "out" / "manifest.json").unlink()
        (tmp_path / "out" / "_work").mkdir()
        for name in ("run.json", "a.arrow", "spill-00000.arrow", "spill-00000.arrow.done.json", ".x.tmp-0123456789ab"):
            (tmp_path / "out" / "_work" / name).write_text('{"config_hash": "earlier"}')

    def overwrite(folder: Path) -> None:
        out = Folder(str(folder))
        open_output(out, "overwrite")
        assert claim_output(out, "now", "overwrite") is None

    for step in range(400):
        again = tmp_path / f"again-{step}"
        shutil.copytree(tmp_path / "out", again)
        died = killed_at(step, lambda folder=again: overwrite(folder))  # type: ignore[misc]
        overwrite(again)
        assert files_of(again) == {"_work/run.json": b'{"config_hash":"now"}'}
        if not died:
            break
    assert step > 20
