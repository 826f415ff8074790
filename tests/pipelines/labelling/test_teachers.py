"""Several teachers write one trail; which of their boxes become labels is chosen without them."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.engine.run import run_recipe
from pipelines.labelling.options import LabelOptions
from pipelines.labelling.teachers import teachers_of
from pipelines.labelling.trail import read_grounded
from pipelines.recipes.locnar import recipe
from tests.pipelines.labelling.spoken import (
    FARM,
    FOUND,
    HEADER,
    LEFT,
    MIDDLE,
    RIGHT,
    RIGHT_AGAIN,
    SIZES_HW,
    KnowingGrounder,
    World,
    differing,
    files_of,
    named_boxes,
    options_of,
)
from tests.pipelines.tiny import manifest_of, records_of, reject_counts, run_cli
from xdetr_data.errors import ConfigError
from xdetr_data.storage import Folder

OTHER = {
    SIZES_HW[FARM]: {"a red ball": [(RIGHT_AGAIN, 0.8)], "trees": [(RIGHT, 0.9)]},
    **{size: {} for size in SIZES_HW.values() if size != SIZES_HW[FARM]},
}
KNOWN = {"first": FOUND, "second": OTHER}


def load(name: str, *, device: str, precision: str, batch_size: int, **asking: Any) -> KnowingGrounder:
    assert not asking
    return KnowingGrounder(KNOWN[name])


def label(folder: Path, out: str, **labels: Any) -> Path:
    options = options_of(folder, LabelOptions(**labels), ckpt=("one=first", "second"))
    run_recipe(recipe(options, load=load), Folder(str(folder / out)), workers=0, existing="refuse")
    return folder / out


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    World(rows=[HEADER]).write(tmp_path)  # no boxes of people that would take the labels' places
    return label(tmp_path, "out")


def again(dataset: Path, *args: str) -> Path:
    out = dataset.parent / "again"
    ended = run_cli("rethreshold", str(dataset), f"--out={out}", "--workers=0", "--overwrite", *args)
    assert ended.code == 0, ended.stderr
    return out


def farm(out: Path) -> dict[str, Any]:
    return named_boxes(next(one for one in records_of(out) if FARM in one.key))


def test_all_of_them_are_in_one_trail(dataset: Path) -> None:
    (photo,) = (one for one in read_grounded(Folder(str(dataset)), 0) if FARM in one.key)
    phrases = {query.text[slice(*phrase.spans[0])]: phrase for query in photo.queries for phrase in query.phrases}
    ball = [(one.teacher, one.box_xyxy, round(one.score, 6)) for one in phrases["a red ball"].candidates]
    assert ball == [(0, RIGHT, 0.6), (0, MIDDLE, 0.5), (1, RIGHT_AGAIN, 0.8)]
    assert sorted(manifest_of(dataset).config["models"]) == ["grounder 0 one", "grounder 1 second", "language"]


def test_by_default_the_first_one_is_believed(dataset: Path) -> None:
    assert farm(dataset)["a red ball"] == [RIGHT]
    assert farm(dataset)["trees"] == [LEFT]


def test_one_is_believed_by_its_name(dataset: Path) -> None:
    assert farm(again(dataset, "--consensus=second")) == {"a red ball": [RIGHT_AGAIN], "trees": [RIGHT]}


def test_a_majority_must_see_the_box(dataset: Path) -> None:
    out = again(dataset, "--consensus=majority")
    assert farm(out) == {"a red ball": [(141.0, 10.0, 200.0, 90.0)]}
    assert reject_counts(out)["phrase", "no-consensus"] == 4
    (ball,) = (phrase for one in records_of(out) for query in one.queries for phrase in query.phrases)
    assert ball.score == pytest.approx(0.7)
    assert ball.provenance.annotation_id == "candidate-2+candidate-0"
    assert ball.provenance.detail == "seen by one, second"


def test_any_takes_what_one_of_them_sees(dataset: Path) -> None:
    found = farm(again(dataset, "--consensus=any"))
    assert found["trees"] == [RIGHT]
    assert found["three dogs"] == [LEFT]


def test_a_consensus_chosen_again_equals_a_fresh_run(dataset: Path) -> None:
    fresh = label(dataset.parent, "fresh", consensus="any")
    assert differing(files_of(again(dataset, "--consensus=any")), files_of(fresh)) == []


def test_a_name_that_nobody_has_is_one_line(dataset: Path) -> None:
    ended = run_cli("rethreshold", str(dataset), f"--out={dataset.parent}/x", "--consensus=third")
    assert ended.code == 2
    (line,) = ended.errors
    assert "--consensus 'third' is no teacher of this run: use one of any, majority, one, second" in line
    assert not (dataset.parent / "x").exists()


def test_names_come_from_addresses_or_are_given(tmp_path: Path) -> None:
    (tmp_path / "lr=0.1").mkdir()
    assert teachers_of(["runs/a/model/", "b=runs/b/model", "IDEA/dino", f"{tmp_path}/lr=0.1"]) == (
        ("model", "runs/a/model/"),
        ("b", "runs/b/model"),
        ("dino", "IDEA/dino"),
        ("lr=0.1", f"{tmp_path}/lr=0.1"),
    )
    with pytest.raises(ConfigError, match="two checkpoints are called 'model'; name them: --ckpt NAME=runs/a/model"):
        teachers_of(["runs/a/model", "runs/b/model"])
    with pytest.raises(ConfigError, match="'any' is a --consensus"):
        teachers_of(["runs/any"])
