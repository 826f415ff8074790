"""``rethreshold`` makes the bytes of a fresh run with its options, and never believes a damaged dataset."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.labelling.spoken import World, differing, files_of, labelled
from tests.pipelines.labelling.test_paths import PATHS
from tests.pipelines.tiny import Ended, run_cli
from tests.pipelines.tiny import World as MixedWorld
from tests.pipelines.tiny import usual_args as mixed_args


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    World().write(tmp_path)
    labelled(tmp_path)
    return tmp_path / "out"


def again(dataset: Path, *args: str) -> Ended:
    return run_cli("rethreshold", str(dataset), f"--out={dataset.parent / 'again'}", "--workers=0", *args)


def flags(options: dict[str, object]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


@pytest.mark.parametrize("path", PATHS)
def test_it_equals_a_fresh_run_on_every_path(path: str, dataset: Path) -> None:
    options, _ = PATHS[path]
    labelled(dataset.parent, out="fresh", **options)
    ended = again(dataset, *flags(options))
    assert ended.code == 0, ended.stderr
    assert differing(files_of(dataset.parent / "again"), files_of(dataset.parent / "fresh")) == []


def test_it_needs_neither_photos_nor_inputs_nor_checkpoint(dataset: Path) -> None:
    for path in [*(dataset.parent / "photos").iterdir(), dataset.parent / "told.jsonl", dataset.parent / "boxes.csv"]:
        path.unlink()
    assert again(dataset, "--method=multi").code == 0


def test_a_finished_one_is_left_alone_by_resume_and_made_again_by_overwrite(dataset: Path) -> None:
    assert again(dataset, "--method=multi").code == 0
    before = files_of(dataset.parent / "again")
    assert "already complete" in again(dataset, "--method=multi", "--resume").stderr
    assert again(dataset, "--method=multi", "--overwrite").code == 0
    assert files_of(dataset.parent / "again") == before
    refused = again(dataset, "--method=paper", "--resume")
    assert refused.code == 1
    assert "begun with another configuration" in refused.errors[0]
    assert files_of(dataset.parent / "again") == before


def cut(pattern: str) -> Callable[[Path], None]:
    def damage(dataset: Path) -> None:
        path = sorted(dataset.glob(pattern))[0]
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def gone(pattern: str) -> Callable[[Path], None]:
    def damage(dataset: Path) -> None:
        sorted(dataset.glob(pattern))[0].unlink()

    return damage


def flipped(pattern: str) -> Callable[[Path], None]:
    def damage(dataset: Path) -> None:
        path = sorted(dataset.glob(pattern))[0]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)

    return damage


def other_options(dataset: Path) -> None:
    path = dataset / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["labels"] = {"beam": 3}
    path.write_text(json.dumps(manifest))


def photo_flipped(dataset: Path) -> None:
    (tar,) = dataset.glob("*.tar")
    data = tar.read_bytes()
    at = data.index(b"\xff\xda") + 40
    tar.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no-manifest": (gone("manifest.json"), "has no manifest.json: .* not finished"),
    "half-a-manifest": (cut("manifest.json"), "is no manifest of this tool"),
    "manifest-of-other-options": (other_options, "other options than this version's"),
    "no-trail": (gone("grounded/*0.parquet"), "cannot be read"),
    "half-a-trail": (cut("grounded/*0.parquet"), "is damaged"),
    "trail-flipped": (flipped("grounded/*0.parquet"), "is damaged"),
    "no-rejects-of-the-trail": (gone("grounded/*.rejects.parquet"), "cannot be read"),
    "no-done-marker-of-the-trail": (gone("grounded/*.stats.json"), "is missing or damaged"),
    "half-a-done-marker": (cut("locnar*.stats.json"), "is missing or damaged"),
    "no-tar": (gone("*.tar"), "cannot be read"),
    "half-a-tar": (cut("*.tar"), "xdetr-data validate"),
    "photo-flipped": (photo_flipped, "photo in the tar is not the one that was grounded"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_dataset_is_one_line(kind: str, dataset: Path) -> None:
    damage, says = DAMAGED[kind]
    damage(dataset)
    ended = again(dataset, "--method=multi")
    assert ended.code == 1, ended.stderr
    (line,) = ended.errors
    assert re.search(says, line), line
    assert not (dataset.parent / "again" / "manifest.json").exists()


def marker_says(**values: object) -> Callable[[Path], None]:
    def damage(dataset: Path) -> None:
        path = sorted(dataset.glob("grounded/*.stats.json"))[0]
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


TRAIL_MARKERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "gone": (gone("grounded/*.stats.json"), "stats-missing"),
    "half": (cut("grounded/*.stats.json"), "stats-unreadable"),
    "no-accounting": (marker_says(accounting={"units": {"photo": 3}}), "stats-unreadable"),
    "other-rows": (marker_says(rows=99), "stats-differ"),
}


@pytest.mark.parametrize("kind", TRAIL_MARKERS)
def test_a_marker_of_the_trail_that_cannot_be_believed_is_a_violation_and_no_labels_are_chosen_by_it(
    kind: str, dataset: Path
) -> None:
    damage, rule = TRAIL_MARKERS[kind]
    assert run_cli("validate", str(dataset), "--workers=0").code == 0
    damage(dataset)
    ended = run_cli("validate", str(dataset), "--workers=0")
    assert (ended.code, rule in ended.errors[-1]) == (4, True), ended.stderr
    if rule != "stats-differ":
        ended = again(dataset, "--method=multi")
        assert ended.code == 1
        assert "is missing or damaged; see 'xdetr-data validate" in ended.errors[0]


@pytest.mark.parametrize("out", ["out", "out/", "./out", "photos/../out", "link"])
@pytest.mark.parametrize("how", ["--overwrite", "--resume"])
def test_the_dataset_is_never_its_own_output(out: str, how: str, dataset: Path) -> None:
    (dataset.parent / "link").symlink_to(dataset)
    before = files_of(dataset)
    ended = run_cli("rethreshold", str(dataset), f"--out={dataset.parent}/{out}", "--workers=0", how)
    assert ended.code == 2
    assert "is the dataset itself" in ended.errors[0]
    assert files_of(dataset) == before


def test_a_dataset_without_candidates_is_refused(tmp_path: Path) -> None:
    MixedWorld().write(tmp_path)
    assert run_cli(*mixed_args(tmp_path)).code == 0
    ended = again(tmp_path / "out")
    assert ended.code == 1
    assert "'build-mixed-star', which keeps no candidates" in ended.errors[0]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--score-threshold=nan",), "--score-threshold nan must be a finite number"),
        (("--score-threshold=inf",), "--score-threshold inf must be a finite number"),
        (("--trace-weight=-1",), "--trace-weight -1.0 must be at least 0"),
        (("--min-agreement=1.5",), "--min-agreement 1.5 must be between 0 and 1"),
        (("--max-plural=0",), "--max-plural 0 must be at least 1"),
        (("--merge-iou=0",), "--merge-iou 0.0 must be above 0"),
        (("--method=best",), "--method.*best"),
        (("--keep-candidates=3",), "No such option"),
        (("--resume", "--overwrite"), "contradict each other"),
        (("--workers=-2",), "--workers -2"),
        (("--out=",), "give --out DIR"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_bad_options_are_one_line_and_write_nothing(args: tuple[str, ...], says: str, dataset: Path) -> None:
    ended = again(dataset, *args)
    assert ended.code == 2, ended.stderr
    (line,) = ended.errors
    assert re.search(says, line), line
    assert not (dataset.parent / "again").exists()
