"""Runs of the whole command: to the end, killed, asked to stop, resumed, refused."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipelines.train.failures import explain
from pipelines.train.recipe import length_of
from pipelines.train.runfile import read_run_file
from pipelines.train.saved import load_newest, save_state, saved_paths
from tests.data.loading.painted import painted_set
from tests.pipelines.train.tiny_run import (
    lines,
    start,
    train_here,
    write_run_file,
    write_set_with_damage,
    write_sets,
)
from xdetr_data.manifest import MANIFEST
from xdetr_model import XDetrGrounder, XDetrModel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sets: list[str]) -> Path:
    """A run that nothing interrupted."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    val = ["--val", sets[1]]
    code = train_here("--run", write_run_file(folder, evaluate__every_steps=5), *sets, *val, "--out", folder / "run")
    assert code == 0
    return folder / "run"


def test_a_run_leaves_a_model_its_best_metrics_events_and_checkpoints(whole: Path) -> None:
    assert [line["step"] for line in lines(whole)] == list(range(1, 10))
    assert [line["step"] for line in lines(whole, "evaluate")] == [5, 9]
    assert [path.name for path in saved_paths(whole)] == ["step-00000006.pt", "step-00000009.pt"]
    assert list((whole / "events").glob("events.out.tfevents.*"))
    for name in ("model", "best"):
        XDetrGrounder.from_pretrained(whole / name, device="cpu")
    assert "boxes/ap50" in (whole / "best" / "README.md").read_text()
    assert not list(whole.rglob(".*.tmp-*"))


def test_metrics_say_how_long_a_step_takes_and_how_much_of_it_is_waiting(whole: Path) -> None:
    steps = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    paces = [(step["step_s"], step["waiting_share"]) for step in steps if step["kind"] == "train"]
    assert all(0 < step_s < 60 and 0 <= waiting <= 1 for step_s, waiting in paces)
    assert sum(waiting for _, waiting in paces) > 0


def test_the_model_is_the_average_of_the_weights(whole: Path) -> None:
    state = load_newest(whole)
    assert state is not None
    kept = XDetrModel.from_pretrained(whole / "model").state_dict()
    average = state["step_state"]["average"]["values"]
    assert all(torch.equal(value, average[name]) for name, value in kept.items())
    assert any(not torch.equal(value, state["model"][name]) for name, value in kept.items())


def wait_for_step(run: Path, step: int, process: object) -> None:
    limit = time.monotonic() + 600
    while len(lines(run)) < step:
        assert process.poll() is None, process.stderr.read()  # type: ignore[attr-defined]
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_killed_and_resumed_the_keys_and_the_losses_are_those_of_an_uninterrupted_run(
    tmp_path: Path, whole: Path, sets: list[str]
) -> None:
    run = tmp_path / "run"
    process = start("--run", write_run_file(tmp_path, schedule__length=9), *sets, "--out", run)
    wait_for_step(run, 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    reached = len(lines(run))
    assert saved_paths(run)
    assert reached < 9, "killed too late to show anything"
    assert train_here("--resume", run) == 0
    assert lines(run) == lines(whole)
    kept, expected = (XDetrModel.from_pretrained(one / "model").state_dict() for one in (run, whole))
    assert all(torch.equal(value, expected[name]) for name, value in kept.items())


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_asked_to_stop_a_run_saves_its_step_and_goes_on_from_there(
    tmp_path: Path, whole: Path, sets: list[str], number: signal.Signals, code: int
) -> None:
    run = tmp_path / "run"
    process = start("--run", write_run_file(tmp_path, save__every_steps=1000), *sets, "--out", run)
    wait_for_step(run, 2, process)
    os.killpg(process.pid, number)  # to the loader's processes, too, as a terminal or a scheduler does
    _, said = process.communicate(timeout=600)
    assert process.returncode == code, said
    reached = len(lines(run))
    assert [path.name for path in saved_paths(run)] == [f"step-{reached:08d}.pt"]
    assert f"stopped and saved after step {reached}; go on with --resume {run}" in said
    assert train_here("--resume", run) == 0
    assert lines(run) == lines(whole)


def test_an_evaluation_that_the_end_of_a_run_cut_off_is_made_up_on_resume(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    metrics = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(metrics[:-1]))
    shutil.rmtree(run / "model")
    assert train_here("--resume", run) == 0
    assert lines(run, "evaluate") == lines(whole, "evaluate")
    kept, expected = (XDetrModel.from_pretrained(one / "model").state_dict() for one in (run, whole))
    assert all(torch.equal(value, expected[name]) for name, value in kept.items())


def test_damaged_photos_are_left_out_of_the_evaluation_and_counted_in_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set_with_damage(tmp_path / "some", 9, damaged=[4])
    file = write_run_file(tmp_path, batch__weak=0, schedule__length=5, save__every_steps=2, data__workers=0)
    assert train_here("--run", file, "--full", data, "--val", data, "--out", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert "1 of 9 photos cannot be read (first: some_00004: " in said
    assert "could not be read so far, and others stood in for them (the last here: some_00004: " in said
    counts = [line["photos_unreadable"] for line in lines(tmp_path / "run")]
    assert counts[2] == 1  # three steps of three photos are the epoch
    assert said.count("stood in") == len({*counts} - {0})
    assert len(lines(tmp_path / "run", "evaluate")) == 1


def test_damage_of_a_whole_val_set_is_told_and_ends_no_run(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    val = write_set_with_damage(tmp_path / "val", 2, damaged=[0, 1])
    file = write_run_file(tmp_path, schedule__length=1, data__workers=0)
    assert train_here("--run", file, *sets, "--val", val, "--out", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert f"warning: nothing was measured on --val {val}, and training goes on: " in said
    assert "2 of 2 photos cannot be read (first: val_00000: " in said
    assert lines(tmp_path / "run", "evaluate") == []
    assert (tmp_path / "run" / "model" / "config.json").is_file()
    assert [path.name for path in saved_paths(tmp_path / "run")] == ["step-00000001.pt"]


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(whole: Path) -> None:
    before = lines(whole)
    assert train_here("--resume", whole) == 0
    assert lines(whole) == before


def test_losses_that_are_not_finite_end_the_run_with_the_keys_of_the_batch(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rates = dict.fromkeys(("backbone", "text_encoder", "deformable_projections", "rest"), 1e20)
    file = write_run_file(tmp_path, optimiser__rates=rates, data__workers=0)
    assert train_here("--run", file, *sets, "--out", tmp_path / "run") == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert "full" in said
    assert "NaN" in said or "finite" in said


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, whole: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_run_file(tmp_path)
    assert train_here("--run", file, *sets, "--out", tmp_path) == 1
    assert "holds something already; choose another folder" in capsys.readouterr().err
    assert train_here("--run", file, *sets, "--out", whole) == 1
    assert f"go on with --resume {whole}" in capsys.readouterr().err


def refusal(capsys: pytest.CaptureFixture[str], *flags: str | Path) -> tuple[int, str]:
    code = train_here(*flags)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return code, said


def test_what_is_missing_or_contradicts_is_refused_at_the_start(
    tmp_path: Path, sets: list[str], whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write_run_file(tmp_path), ("--out", tmp_path / "run")
    for flags, code, said in [
        (["--out", tmp_path / "run"], 2, "give --run FILE"),
        (["--run", file, *sets], 2, "give --out RUN"),
        (["--run", file, *sets[:2], *out], 1, "wants 2 photos of 'weak' a step: give --weak DIR"),
        (["--run", file, *sets, "--pseudo", sets[1], *out], 1, "--pseudo is given, but batch.pseudo is 0"),
        (["--run", file, "--full", tmp_path / "no", *sets[2:], *out], 1, "no: no such folder; give a dataset"),
        (["--run", file, *sets, *out, "--device", "tpu9"], 1, "device='tpu9' cannot be used here"),
        (["--run", file, *sets, *out, "--set", "sead=1"], 1, "--set sead: the run file has no such key"),
        (["--run", file, *sets, *out, "--num-workers", "4"], 2, "torchrun --nproc-per-node 4 -m -- pipelines.train"),
        (["--run", file, *sets, "--out", file / "x"], 1, f"--out {file / 'x'}: {file} is a file, so no folder can be"),
        (["--run", file, *sets, *out, "--set", "optimiser.clip_norm=-1"], 1, "clip_norm=-1.0 must be positive"),
        (["--run", file, *sets, *out, "--set", "model.config.detector_config.d_model=abc"], 1, "model.config: "),
        (["--run", file, *sets, *out, "--set", "model.config.detector_config.d_model=33"], 1, "model.config: "),
        (["--run", file, *sets, *out, "--seed", "18446744073709551616"], 1, "seed"),
        (["--resume", tmp_path / "none"], 1, "holds no run"),
        (["--resume", whole, "--seed", "4"], 2, "leave out --seed"),
        (["--resume", whole, "--full", "x"], 1, "--full x: no such folder; give a dataset"),
    ]:
        found, text = refusal(capsys, *flags)
        assert (found, said in text) == (code, True), text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"schema": 2}, "is of schema 2, this version reads 1; build it again"),
        ({"rows": 3}, "the manifest states 3 samples, its shards hold others"),
        ({"seed": "three"}, "is no manifest of this tool"),
    ],
)
def test_a_dataset_whose_manifest_is_wrong_is_refused_at_the_start(
    tmp_path: Path, damage: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_sets(tmp_path)
    manifest = Path(flags[1]) / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | damage))
    code, said = refusal(capsys, "--run", write_run_file(tmp_path), *flags, "--out", tmp_path / "run")
    assert code == 1
    assert message in said
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_resumed_on_a_dataset_that_was_built_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = write_sets(tmp_path)
    file = write_run_file(tmp_path, schedule__length=1, data__workers=0)
    assert train_here("--run", file, *flags, "--out", tmp_path / "run") == 0
    manifest = Path(flags[1]) / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"config_hash": "other"}))
    code, said = refusal(capsys, "--resume", tmp_path / "run")
    assert code == 1
    assert "was built anew since the run began" in said


def test_the_newest_checkpoint_that_can_be_read_is_taken(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    first, last = saved_paths(whole)
    (tmp_path / "checkpoints" / first.name).write_bytes(first.read_bytes())
    (tmp_path / "checkpoints" / last.name).write_bytes(last.read_bytes()[:-1000])
    state = load_newest(tmp_path)
    assert state is not None
    assert state["step"] == 6
    assert "taking the one before" in capsys.readouterr().err


def test_one_checkpoint_is_kept_where_a_later_one_was_damaged(tmp_path: Path) -> None:
    save_state(tmp_path, 3, {}, keep=1)
    save_state(tmp_path, 6, {}, keep=1)
    (tmp_path / "checkpoints" / "step-00000009.pt").write_bytes(b"cut off")
    state = load_newest(tmp_path)
    assert state is not None
    assert state["step"] == 6
    save_state(tmp_path, 8, {}, keep=1)
    assert [path.name for path in saved_paths(tmp_path)] == ["step-00000008.pt"]


def test_photos_with_captions_alone_are_for_weak(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = painted_set(tmp_path / "captions", [9], "captions") / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"recipe": "build captions"}))
    file, data, dry = write_run_file(tmp_path), tmp_path / "captions", ("--out", tmp_path / "run", "--dry-run")
    for flags in (["--full", data, *sets[2:]], [*sets, "--val", data]):
        code, said = refusal(capsys, "--run", file, *flags, *dry)
        assert (code, f"{flags[-2]} {data}: is a dataset of 'build captions'" in said) == (1, flags[-1] == data), said
    assert train_here("--run", file, *sets[:2], "--weak", data, *dry) == 0


def test_a_run_that_starts_from_a_checkpoint_is_resumed_in_another_folder(
    tmp_path: Path, whole: Path, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = {"from": "checkpoint", "path": "run/model"}
    file = write_run_file(tmp_path, model__start=start, model__preset=None, model__config={}, schedule__length=1)
    monkeypatch.chdir(whole.parent)
    assert train_here("--run", file, *sets, "--out", tmp_path / "run", "--set", "data.workers=0") == 0
    monkeypatch.chdir(tmp_path)
    assert train_here("--resume", "run") == 0
    loaded = XDetrModel.from_pretrained("run/model")
    trained = [{n for n, p in one.named_parameters() if p.requires_grad} for one in (loaded, XDetrModel(loaded.config))]
    assert trained[0] == trained[1]


def test_under_torchrun_one_process_prints_the_plan_of_all(
    tmp_path: Path, sets: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    dry = ("--run", write_run_file(tmp_path), *sets, "--dry-run")
    assert train_here(*dry) == 0
    assert "full 16 16 6 54" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setenv("RANK", "1")
    assert train_here(*dry) == 0
    assert not capsys.readouterr().err


def test_a_machine_that_is_too_small_is_told_in_one_line(
    tmp_path: Path, sets: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(size: int) -> None:
        raise RuntimeError(f"unable to allocate shared memory(shm) for file </torch_1>: No space left ({size})")

    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", full)
    code, said = refusal(capsys, "--run", write_run_file(tmp_path), *sets, "--out", tmp_path / "run")
    assert code == 1
    assert "no room in shared memory (/dev/shm) for the loader: 3 buffers of 0 MiB" in said
    assert "lower data.workers (now 1), or give a container more: docker run --shm-size" in said
    assert "batch.full" in str(explain(torch.OutOfMemoryError("CUDA out of memory.")))
    assert "data.workers" in str(explain(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")))
    assert explain(RuntimeError("shapes do not match")) is None


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_here("--run", write_run_file(tmp_path), *sets, "--out", tmp_path / "run", "--dry-run") == 0
    plan = " ".join(capsys.readouterr().err.split())
    assert "9 steps, 1.80 epochs of 5 steps" in plan
    assert "full 16 16 3 27 1.69" in plan
    assert "weak 9 9 2 18 2.00" in plan
    assert "deformable_projections" in plan
    assert "GiB" in plan
    assert "shared memory of a process's loader (/dev/shm): 0.00 GiB" in plan
    assert not (tmp_path / "run").exists()


def test_with_accumulate_the_schedules_epochs_are_the_loaders(tmp_path: Path) -> None:
    changes = {"optimiser__accumulate": 2, "schedule__unit": "epochs", "schedule__length": 4}
    length = length_of(read_run_file(write_run_file(tmp_path, **changes), []), 5)
    assert (length.steps_per_epoch, length.total_steps, length.epochs) == (2.5, 10, 4.0)
