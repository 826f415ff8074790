"""Predictions that are kept: no figure comes from what was changed, and what was measured finds its own dataset."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.evaluate.predictions import MANIFEST, SCHEMA, Asked, read_answers, read_predictions
from tests.pipelines.evaluate.cli import figures_of, run_eval
from tests.pipelines.evaluate.conftest import TOY
from xdetr_data.errors import InputError
from xdetr_data.storage import Folder


@pytest.fixture(scope="module")
def measured(sets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = tmp_path_factory.mktemp("measured") / "kept"
    assert run_eval("refcoco", "--ckpt", TOY, "--data", sets["refcoco"], "--out", kept).code == 0
    return kept


@pytest.fixture
def kept(measured: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(measured, tmp_path / "kept"))


def wrong(*args: object) -> str:
    ended = run_eval(*args)
    assert ended.code in (1, 2), ended.stdout
    [line] = ended.errors
    return line


def test_no_byte_of_predictions_can_change_unseen(kept: Path, sets: dict[str, Path]) -> None:
    file = sorted(kept.glob("*.parquet"))[1]
    whole = file.read_bytes()
    for place in range(4, len(whole), len(whole) // 12):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        line = wrong("score", kept, "--data", sets["refcoco"])
        assert file.name in line
        assert "sha256" in line


def test_what_was_changed_is_predicted_again(kept: Path, sets: dict[str, Path]) -> None:
    again = ("refcoco", "--ckpt", TOY, "--data", sets["refcoco"], "--out", kept, "--json")
    figures = figures_of(run_eval(*again))
    file = sorted(kept.glob("*.parquet"))[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    ended = run_eval(*again)
    assert "not as it was written (1 such)" in ended.stderr
    assert figures_of(ended) == figures
    assert file.read_bytes() == whole


def other_version(manifest: dict) -> None:  # type: ignore[type-arg]
    manifest["asked"]["version"] = 9


def other_task(manifest: dict) -> None:  # type: ignore[type-arg]
    manifest["asked"]["task"] = "..secrets"


@pytest.mark.parametrize(("change", "said"), [(other_version, "is of version 9"), (other_task, "this tool measures")])
def test_predictions_of_another_tool_are_one_line(
    change: Callable[[dict], None],  # type: ignore[type-arg]
    said: str,
    kept: Path,
    sets: dict[str, Path],
) -> None:
    manifest = json.loads((kept / MANIFEST).read_text())
    change(manifest)
    (kept / MANIFEST).write_text(json.dumps(manifest))
    assert said in wrong("score", kept, "--data", sets["refcoco"])


@pytest.mark.parametrize(
    "columns",
    [
        {"key": ["a"], "phrase": [0], "fit": ["whole"], "scores": [[0.5]], "boxes_xyxy": [[0.0, 1.0]]},
        {"key": ["a"], "phrase": [0], "fit": ["whole"], "scores": [None], "boxes_xyxy": [None]},
        {"key": ["a"]},
    ],
)
def test_a_table_that_is_none_of_predictions_is_an_input_error(
    columns: dict[str, list[object]], tmp_path: Path
) -> None:
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), tmp_path / "a.predictions.parquet")
    with pytest.raises(InputError, match="with --overwrite"):
        read_answers(Folder(str(tmp_path)), "a")


def test_a_checkpoint_that_moved_goes_on(kept: Path, sets: dict[str, Path], tmp_path: Path) -> None:
    moved = shutil.copytree(TOY, tmp_path / "elsewhere")
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.parquet")}
    ended = run_eval("refcoco", "--ckpt", moved, "--data", sets["refcoco"], "--out", kept)
    assert ended.code == 0, ended.stderr
    assert "nothing to predict" in ended.stderr
    assert {path.name: path.stat().st_mtime_ns for path in kept.glob("*.parquet")} == before


def test_another_model_is_another_model() -> None:
    one = Asked(task="lvis", ckpt="a", fingerprint="1", dataset="d", config_hash="c", keep=3)
    assert one.is_answered_by(Asked(task="lvis", ckpt="b", fingerprint="1", dataset="d", config_hash="c", keep=3))
    assert not one.is_answered_by(Asked(task="lvis", ckpt="a", fingerprint="2", dataset="d", config_hash="c", keep=3))


def test_each_of_several_predictions_finds_its_dataset(sets: dict[str, Path], tmp_path: Path) -> None:
    other = Path(shutil.copytree(sets["refcoco"], tmp_path / "testB"))
    manifest = (other / "manifest.json").read_text().replace('"config_hash": "refcoco"', '"config_hash": "testB"')
    (other / "manifest.json").write_text(manifest.replace('"testA"', '"testB"'))
    both = ("--data", sets["refcoco"], "--data", other)
    assert run_eval("refcoco", "--ckpt", TOY, *both, "--out", tmp_path / "kept").code == 0
    kept = sorted((tmp_path / "kept").iterdir())
    found = json.loads(run_eval("score", *kept, *reversed_pairs(both), "--json").stdout)
    names = {one: {figure["name"] for figure in result["figures"]} for one, result in found.items()}
    assert ["testA" in str(names[str(one)]) for one in kept] == [True, False]
    assert "which is none of the --data" in wrong("score", kept[0], "--data", other, "--data", sets["lvis"])


def reversed_pairs(args: tuple[object, ...]) -> list[object]:
    return [one for begin in range(len(args) - 2, -1, -2) for one in args[begin : begin + 2]]


def test_sets_of_one_name_do_not_share_a_folder(sets: dict[str, Path], tmp_path: Path) -> None:
    other = shutil.copytree(sets["refcoco"], tmp_path / "refcoco")
    line = wrong("refcoco", "--ckpt", TOY, "--data", sets["refcoco"], "--data", other, "--out", tmp_path / "kept")
    assert "has the same name" in line
    assert "--overwrite" not in line


def test_what_cannot_be_measured_is_refused_before_a_model_is_loaded(sets: dict[str, Path], tmp_path: Path) -> None:
    no_model = ("--ckpt", tmp_path / "no-checkpoint")
    for task, data, said in (
        ("refcoco", "lvis", "names of classes, not referring expressions"),
        ("flickr30k", "refcoco", "no phrase has a chain"),
        ("presence", "flickr30k", "phrases of both kinds"),
        ("lvis", "refcoco", "has no vocabulary"),
    ):
        assert said in wrong(task, *no_model, "--data", sets[data])
    line = wrong("refcoco", *no_model, "--data", sets["refcoco"], "--data", sets["flickr30k"])
    assert str(sets["flickr30k"]) in line
    assert "expression of one box" in line
    (tmp_path / "file").write_text("")
    for page in (tmp_path, f"{tmp_path}/new/", tmp_path / "file/page.html"):
        assert "--html" in wrong("boxes", *no_model, "--data", sets["lvis"], "--html", page)
        assert "--html" in wrong("score", tmp_path / "nothing", "--data", sets["lvis"], "--html", page)


def test_predictions_say_what_they_are_of(measured: Path) -> None:
    found = read_predictions(Folder(str(measured)))
    assert (found.asked.task, found.photos) == ("refcoco", 9)
    assert all(len(one.sha256) == 64 for one in found.files)
