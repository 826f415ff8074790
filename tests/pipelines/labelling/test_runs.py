"""Whole runs with small real models: valid, balanced, the same bytes whoever does the work and whatever kills it."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch

from pipelines.labelling import grounding
from tests.pipelines.killing import Moment, kill_and_resume, random_moments
from tests.pipelines.labelling.checkpoints import save_dino, save_toy
from tests.pipelines.labelling.spoken import differing, files_of
from tests.pipelines.tiny import manifest_of, records_of, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.manifest import Manifest
from xdetr_data.toyworld.world import write_toyworld

FIXTURE = Path(os.environ.get("XDETR_FIXTURES", "../shared/fixtures")) / "derived/open_images"
needs_fixture = pytest.mark.skipif(not FIXTURE.is_dir(), reason=f"{FIXTURE} is not there")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dino(tmp_path_factory.mktemp("dino"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    write_toyworld(folder, photos=120, seed=2)
    return folder


def world_args(world: Path) -> list[str]:
    """All narratives of a toy world: OpenImages, COCO and Flickr photos."""
    sources = ("openimages", "coco", "flickr")
    return [
        f"--narratives={world}/locnar/*train*.jsonl",
        f"--boxes={world}/openimages/*train*bbox.csv",
        *(f"--images={source}={world}/photos/{source}" for source in sources),
        "--shard-bytes=100kB",
    ]


def fixture_args() -> list[str]:
    return [
        f"--narratives={FIXTURE}/open_images_train*.jsonl",
        f"--boxes={FIXTURE}/train-annotations-bbox.csv",
        f"--images={FIXTURE}/train",
        "--shard-bytes=2MB",
    ]


def label(ckpt: Path, out: Path, *args: str, workers: int = 0) -> Manifest:
    """Runs the command; every score may be a label."""
    command = ["pseudo-label", "locnar", f"--ckpt={ckpt}", f"--out={out}", f"--workers={workers}"]
    ended = run_cli(*command, "--score-threshold=-1", *args)
    assert ended.code == 0, ended.stderr
    return manifest_of(out)


def check(out: Path, manifest: Manifest) -> None:
    """What holds of every run that is done."""
    validated = run_cli("validate", str(out), "--workers=0")
    assert validated.code == 0, validated.stderr
    tally = Tally.from_builtins(manifest.accounting)
    tally.check()
    records = records_of(out)
    phrases = [phrase for record in records for query in record.queries for phrase in query.phrases]
    assert tally.count("photo", "out") == len(records) == manifest.rows
    assert tally.count("phrase", "out") == len(phrases)
    assert all(phrase.score is not None and phrase.regions for phrase in phrases)
    assert not (out / "_work").exists()


@pytest.mark.parametrize("model", ["toy", "dino"])
def test_a_toy_world_of_three_collections_is_labelled(
    model: str, world: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ckpt = request.getfixturevalue(model)
    manifest = label(ckpt, tmp_path / "out", *world_args(world), "--method=multi", "--trace=score", "--limit=20")
    check(tmp_path / "out", manifest)
    assert Tally.from_builtins(manifest.accounting).count("phrase", "out") > 30


@needs_fixture
@pytest.mark.parametrize("model", ["toy", "dino"])
def test_real_photos_with_narratives_are_labelled(model: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    limit = [] if model == "toy" else ["--limit=12"]
    manifest = label(request.getfixturevalue(model), tmp_path / "out", *fixture_args(), "--trace=score", *limit)
    check(tmp_path / "out", manifest)
    tally = Tally.from_builtins(manifest.accounting)
    assert tally.count("narrative", "out") == (49 if model == "toy" else 12)
    assert tally.count("phrase", "in") > 5 * manifest.rows


@pytest.fixture(scope="module")
def whole(toy: Path, world: Path) -> Path:
    """An uninterrupted run in one process."""
    out = world.parent / "whole"
    manifest = label(toy, out, *world_args(world))
    assert len(manifest.shards) >= 4
    check(out, manifest)
    return out


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_any_number_of_workers_writes_the_same_bytes(
    workers: int, toy: Path, world: Path, whole: Path, tmp_path: Path
) -> None:
    label(toy, tmp_path / "out", *world_args(world), workers=workers)
    assert differing(files_of(tmp_path / "out"), files_of(whole)) == []


@pytest.mark.parametrize("cores", [1, 16])
def test_any_number_of_reading_threads_writes_the_same_bytes(
    cores: int, toy: Path, world: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(grounding, "cores", lambda: asked.append(cores) or cores)
    label(toy, tmp_path / "out", *world_args(world))
    assert asked
    assert differing(files_of(tmp_path / "out"), files_of(whole)) == []


def test_the_size_of_the_shards_changes_no_text(toy: Path, world: Path, whole: Path, tmp_path: Path) -> None:
    args = [arg for arg in world_args(world) if "shard-bytes" not in arg]
    label(toy, tmp_path / "out", *args)
    one, many = records_of(tmp_path / "out"), records_of(whole)
    assert [record.key for record in one] == [record.key for record in many]
    for a, b in zip(one, many, strict=True):
        assert [query.text for query in a.queries] == [query.text for query in b.queries]


OPTIONS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "threshold": ("--score-threshold=0.05",),
    "filter": ("--trace=filter", "--min-agreement=0.3", "--trace-weight=2"),
    "all": ("--method=multi", "--trace=filter", "--score-threshold=0.01", "--merge-iou=0.95", "--dedupe-iou=1"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_rethreshold_equals_a_fresh_run(name: str, toy: Path, world: Path, whole: Path, tmp_path: Path) -> None:
    fresh, again = tmp_path / "fresh", tmp_path / "again"
    label(toy, fresh, *world_args(world), *OPTIONS[name])
    ended = run_cli("rethreshold", str(whole), f"--out={again}", "--workers=0", *OPTIONS[name])
    assert ended.code == 0, ended.stderr
    assert differing(files_of(fresh), files_of(again)) == []


def test_rethreshold_in_processes_takes_a_rethreshold_back(whole: Path, tmp_path: Path) -> None:
    once, back = tmp_path / "once", tmp_path / "back"
    assert run_cli("rethreshold", str(whole), f"--out={once}", "--workers=0", *OPTIONS["threshold"]).code == 0
    assert differing(files_of(once), files_of(whole)) != []
    assert run_cli("rethreshold", str(once), f"--out={back}", "--workers=2", "--score-threshold=-1").code == 0
    assert differing(files_of(back), files_of(whole)) == []


def test_rethreshold_leaves_its_dataset_as_it_was(whole: Path, tmp_path: Path) -> None:
    before = files_of(whole)
    assert run_cli("rethreshold", str(whole), f"--out={tmp_path / 'out'}", "--workers=0", "--method=multi").code == 0
    assert files_of(whole) == before
    check(tmp_path / "out", manifest_of(tmp_path / "out"))


# --- kills ------------------------------------------------------------------------------------------------------------


def survive(args: Sequence[str], out: Path, whole: Path, moments: Sequence[Moment]) -> list[str]:
    expected = files_of(whole)

    def same() -> None:
        assert differing(files_of(out), expected) == []

    return kill_and_resume([*args, f"--out={out}"], out, moments, same)


def command(toy: Path, world: Path, workers: int) -> list[str]:
    args = ["pseudo-label", "locnar", f"--ckpt={toy}", f"--workers={workers}", "--score-threshold=-1"]
    return [*args, *world_args(world)]


def test_a_run_that_is_killed_twice_ends_as_if_it_never_was(
    toy: Path, world: Path, whole: Path, tmp_path: Path
) -> None:
    survive(command(toy, world, 0), tmp_path / "out", whole, [("partitioning", 0.1), ("grounding", 0.5)])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_killed_twelve_times_ends_as_if_it_never_was(
    workers: int, toy: Path, world: Path, whole: Path, tmp_path: Path
) -> None:
    moments = random_moments(["reading ids", "partitioning", "grounding", "grounding", "choosing labels"], 12, 1.5)
    phases = survive(command(toy, world, workers), tmp_path / "out", whole, moments)
    assert set(phases) >= {"reading ids", "grounding"}


@pytest.mark.slow
def test_a_rethreshold_that_is_killed_ends_as_if_it_never_was(whole: Path, tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    assert run_cli("rethreshold", str(whole), f"--out={expected}", "--workers=0", "--method=multi").code == 0
    args = ["rethreshold", str(whole), "--workers=0", "--method=multi"]
    survive(args, tmp_path / "out", expected, [("", delay_s) for delay_s in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)])


def test_shards_that_are_done_are_not_grounded_again(toy: Path, world: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    lost = sorted((out / "grounded").glob("*.stats.json"))[1]
    lost.unlink()
    (out / "manifest.json").unlink()
    (out / "_work").mkdir()
    digest = manifest_of(whole).config_hash
    (out / "_work" / "run.json").write_text(f'{{"config_hash":"{digest}"}}')
    ended = run_cli(*command(toy, world, 0), f"--out={out}", "--resume")
    assert ended.code == 0, ended.stderr
    shards = len(manifest_of(whole).shards)
    assert f"grounding: {shards - 1} of {shards} shards are done already" in ended.stderr
    assert differing(files_of(out), files_of(whole)) == []


def test_a_run_tells_how_much_of_what_the_model_saw_is_padding(toy: Path, world: Path, tmp_path: Path) -> None:
    flags = (f"--ckpt={toy}", *world_args(world), "--workers=0", f"--out={tmp_path}/out")
    ended = run_cli("pseudo-label", "locnar", *flags)
    assert ended.code == 0, ended.stderr
    told = r"% of the time waiting for photos and narratives; \d+\.\d% of what the model saw is padding"
    assert re.search(told, ended.stderr)
    done = (tmp_path / "out" / "grounded").glob("*.json")
    shares = [msgspec.json.decode(one.read_bytes())["padding_share"] for one in done]
    assert all(share is None or 0 <= share < 0.5 for share in shares)  # None: nothing was asked of the shard's photos
    assert any(shares), "photos of many shapes"


def test_padding_is_counted_against_the_largest_height_and_width() -> None:
    clock = grounding.Clock()
    assert clock.padding_share is None
    clock.saw([(10, 20), (10, 20)])
    assert clock.padding_share == 0
    clock.saw([(20, 10), (10, 20)])
    assert clock.padding_share == 400 / 1200
