"""``--dry-run``: an epoch in both units, several datasets, and what older manifests do not say."""

import json
from pathlib import Path

import msgspec
import pytest

from pipelines.train import plan
from pipelines.train.folder import Dataset
from pipelines.train.memory import Memory
from tests.data.loading.painted import painted_set, query, sample, write_set
from tests.pipelines.train.tiny_run import ROOT, lines, train_here, write_run_file
from xdetr_data.manifest import MANIFEST, Manifest, ShardEntry, write_manifest
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import Sample
from xdetr_data.storage import Folder

PRETRAIN = ROOT / "manifests" / "runs" / "pretrain.yaml"


@pytest.fixture
def no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of the paper's network is not what these tests are about, and takes a minute."""
    monkeypatch.setattr(plan, "memory_estimate", lambda *_: Memory(weights=0, activations=0, activations_mixed=0))


def made_up(path: Path, photos: int, paragraphs: int, shards: int = 204) -> Path:
    """A manifest of so many photos and paragraphs, and nothing else."""
    rows, groups = divmod(photos, shards), divmod(paragraphs, shards)
    entries = [
        ShardEntry(shard=n, rows=rows[0] + (n < rows[1]), files=[], groups=groups[0] + (n < groups[1]))
        for n in range(shards)
    ]
    write_manifest(
        Folder(str(path)),
        Manifest(
            schema=SCHEMA_VERSION, recipe="made up", tool_version="0", prefix="made-up", split="train", seed=0,
            config={}, config_hash="c0ffee", inputs=[], exclusions=[], accounting={"units": {}, "notes": {}},
            rows=photos, shards=entries, rejects=[],
        ),
    )  # fmt: skip
    return path


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("no_trials")
def test_at_the_papers_sizes_an_epoch_of_paragraphs_has_mdetrs_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = made_up(tmp_path / "mixed", 204_000, 1_257_000)
    monkeypatch.setenv("WORLD_SIZE", "8")
    only = ("--set", "batch.pseudo=0", "--set", "batch.weak=0")
    assert train_here("--run", PRETRAIN, "--full", mixed, *only, "--dry-run") == 0
    said = told(capsys)
    assert "392,810 steps, 10.00 epochs of 39,281 steps" in said  # 1,257,000 paragraphs in batches of 8 × 4
    assert "FacebookAI/roberta-base is not here: numbers are for a text encoder of the preset's shape" in said
    assert "full 204,000 1,257,000 32 12,569,920 10.00" in said
    assert (
        "an epoch goes over every paragraph of full once: 39,281 steps "
        "(over every photo, data.unit=photo: 6,375)" in said
    )
    assert train_here("--run", PRETRAIN, "--full", mixed, *only, "--set", "data.unit=photo", "--dry-run") == 0
    assert "every photo of full once: 6,375 steps (over every paragraph, data.unit=paragraph: 39,281)" in told(capsys)


def packed(path: Path, photos: int, groups: int) -> Path:
    """Photos with so many paragraphs each."""
    queries = [query(f"a red box {n}", f"g{n}") for n in range(groups)]
    return write_set(path, [[sample(f"{path.name}_{n:03d}", queries=queries) for n in range(photos)]])


def test_several_datasets_for_a_source_are_all_trained_on_and_a_resumed_run_goes_on_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [packed(tmp_path / "a", 4, 3), packed(tmp_path / "b", 6, 1)]
    flags = [word for path in sets for word in ("--full", path)]
    file = write_run_file(
        tmp_path, batch__weak=0, data__unit="paragraph", data__workers=0, schedule__length=6, save__every_steps=3
    )
    assert train_here("--run", file, *flags, "--mix", "full=2,1", "--out", tmp_path / "run") == 0
    assert "6 steps (1.0 epochs of 6); photos: full 10;" in told(capsys)
    started = json.loads((tmp_path / "run" / "started.json").read_text())
    assert [one["photos"] for one in started["sources"]["full"]] == [4, 6]
    assert started["shares"] == {"full": [2.0, 1.0]}
    whole = lines(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-00000006.pt").unlink()
    assert train_here("--resume", tmp_path / "run") == 0
    assert lines(tmp_path / "run") == whole


def test_what_is_wrong_with_several_datasets_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (str(painted_set(tmp_path / name, [6], name)) for name in "ab")
    file = write_run_file(tmp_path, batch__weak=0)
    for flags, message in [
        (["--full", a, "--full", a], "is given twice"),
        (["--full", a, "--full", b, "--mix", "full=1"], "has 1 shares for 2 datasets of --full"),
        (["--full", a, "--full", b, "--mix", "full=1,0"], "must be written as full=3,1"),
        (["--full", a, "--full", b, "--mix", "val=1,1"], "must be written as full=3,1"),
        (["--full", a, "--full", b, "--mix", "full=1,2", "--mix", "full=1,1"], "shares of --full are given twice"),
        (["--full", a, "--full", b, "--mix", "full=1,0.001"], "no pass of 12 samples has one of dataset 2 of it"),
    ]:
        assert train_here("--run", file, *flags, "--dry-run") == 1
        assert message in told(capsys)


def test_what_has_no_rate_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = painted_set(tmp_path / "full", [6], "full")
    file = write_run_file(tmp_path, batch__weak=0, data__workers=0, schedule__length=1, optimiser__rates__backbone=0)
    assert train_here("--run", file, "--full", full, "--dry-run") == 0
    said = told(capsys)
    assert said.count("0 (not trained)") == 1
    assert "backbone" in said.partition("0 (not trained)")[0][-40:]
    assert train_here("--run", file, "--full", full, "--out", tmp_path / "run") == 0
    assert "not trained, as optimiser.rates say 0: backbone" in told(capsys)


def test_every_set_to_evaluate_on_has_figures_of_its_own_and_one_without_boxes_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = painted_set(tmp_path / "full", [6], "full")
    vals = [painted_set(tmp_path / name, [3], name) for name in ("near", "far")]
    file = write_run_file(tmp_path, batch__weak=0, data__workers=0, schedule__length=1)
    val = [word for path in vals for word in ("--val", path)]
    assert train_here("--run", file, "--full", full, *val, "--out", tmp_path / "run") == 0
    (line,) = lines(tmp_path / "run", "evaluate")
    assert {"near/boxes/ap50", "far/boxes/ap50", "far/phrases/all/recall@1"} <= set(line)
    assert "near/boxes/ap50" in told(capsys)
    bare = write_set(tmp_path / "bare", [[_without_regions("e")]])
    assert train_here("--run", file, "--full", full, "--val", bare, "--dry-run") == 0
    assert f"--val {bare}: has no boxes, so there is nothing to measure on it" in told(capsys)


def _without_regions(key: str) -> Sample:
    one = sample(key, queries=[])
    return Sample(msgspec.structs.replace(one.record, regions=()), one.photo)


def test_an_older_manifest_is_made_up_for_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = packed(tmp_path / "a", 4, 3)
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["manifest_version"]
    for shard in manifest["shards"]:
        del shard["groups"]
    (path / MANIFEST).write_text(json.dumps(manifest))
    file = write_run_file(tmp_path, batch__weak=0, data__unit="paragraph")
    assert train_here("--run", file, "--full", path, "--dry-run") == 0
    said = told(capsys)
    assert said.count("its manifest does not say how many paragraphs it has; its Parquet has 12") == 1
    assert "9 steps, 2.25 epochs of 4 steps" in said


def test_photos_and_paragraphs_of_datasets_add_up() -> None:
    sets = [Dataset(path=name, identity="", photos=n, paragraphs=3 * n) for name, n in (("a", 2), ("b", 5))]
    assert plan.visits_of(sets) == {"photo": 7, "paragraph": 21}
