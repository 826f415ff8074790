"""``pseudo-label photos --classes``: class names are looked for instead of captions."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.engine.run import run_recipe
from pipelines.labelling.class_list import ClassPrompts, all_prompts, read_class_list
from pipelines.labelling.options import LabelOptions
from pipelines.recipes.photos import PhotosOptions, recipe
from tests.data.sources.test_web_captions import write_tar
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import (
    FARM,
    LEFT,
    LEFT_AGAIN,
    MIDDLE,
    RIGHT,
    SIZES_HW,
    KnowingGrounder,
    differing,
    files_of,
    jpeg,
)
from tests.pipelines.tiny import manifest_of, records_of, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.record import GroundedImage
from xdetr_data.storage import Folder
from xdetr_data.vocabulary import class_of, vocabulary_of

FOUND = {
    SIZES_HW[FARM]: {
        "monitor": [(LEFT, 0.6), (MIDDLE, 0.5)],
        "screen": [(LEFT_AGAIN, 0.8), (RIGHT, 0.7)],
        "monitor frame": [(MIDDLE, 0.55), (RIGHT, 0.1)],
        "kite": [(LEFT, 0.05)],
    }
}
CLASSES = """
monitor: {synonyms: [screen], not: [monitor frame]}
kite:
"""


def load(name: str, *, device: str, precision: str, batch_size: int) -> KnowingGrounder:
    return KnowingGrounder(FOUND)


def labelled(tmp_path: Path, out: str, **rule: Any) -> GroundedImage:
    photos = tmp_path / "photos"
    photos.mkdir(exist_ok=True)
    (photos / "farm.jpg").write_bytes(jpeg(SIZES_HW[FARM]))
    (photos / "farm.txt").write_text("A caption that nobody reads.")
    (tmp_path / "classes.yaml").write_text(CLASSES)
    options = PhotosOptions(
        photos=(str(photos),),
        classes=str(tmp_path / "classes.yaml"),
        ckpt=("made",),
        labels=LabelOptions(**{"method": "multi", "score_threshold": 0.2} | rule),
    )
    run_recipe(recipe(options, load=load), Folder(str(tmp_path / out)), workers=0, existing="refuse")
    [record] = records_of(tmp_path / out)
    return record


def boxes_of(record: GroundedImage) -> dict[str, list[tuple[float, ...]]]:
    return {
        query.text: [record.regions[index].box_xyxy for index in phrase.regions]
        for query in record.queries
        for phrase in query.phrases
    }


def test_synonyms_are_one_class_without_doubles_and_what_fits_a_negative_better_goes(tmp_path: Path) -> None:
    record = labelled(tmp_path, "out")
    assert boxes_of(record) == {"monitor": [LEFT_AGAIN, RIGHT], "kite": []}
    [monitor, kite] = record.queries
    assert [class_of(phrase) for query in record.queries for phrase in query.phrases] == [1, 2]
    assert monitor.phrases[0].score == pytest.approx(0.8)
    assert [one.provenance.annotation_id for one in record.regions] == ["screen/candidate-0", "screen/candidate-1"]
    # looked for in vain is not verified absent
    assert not monitor.is_exhaustive
    assert not kite.is_exhaustive
    manifest = manifest_of(tmp_path / "out")
    assert [one.text for one in vocabulary_of(manifest)] == ["monitor", "kite"]
    tally = Tally.from_builtins(manifest.accounting)
    tally.check()
    notes = manifest.accounting["notes"]
    assert notes["classes-not-found"] == 1
    assert notes["boxes-that-fit-a-negative-prompt"] == 1
    assert manifest.accounting["units"]["question"]["in"] == manifest.accounting["units"]["question"]["out"] == 1
    assert manifest.accounting["units"]["phrase"]["in"] == 4
    assert run_cli("validate", str(tmp_path / "out"), "--workers=0").code == 0


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"method": "paper"}, [LEFT_AGAIN]),
        ({"score_threshold": 0.75}, [LEFT_AGAIN]),
        ({"nms_iou": 1.0, "max_plural": 2}, [LEFT_AGAIN, RIGHT]),
        ({"score_threshold": 0.9}, []),
    ],
)
def test_another_rule_needs_no_model(rule: dict[str, Any], found: list[Any], tmp_path: Path) -> None:
    labelled(tmp_path, "out")
    assert boxes_of(labelled(tmp_path, "fresh", **rule))["monitor"] == found
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in rule.items()]
    ended = run_cli("rethreshold", str(tmp_path / "out"), f"--out={tmp_path}/again", "--workers=0", *flags)
    assert ended.code == 0, ended.stderr
    assert differing(files_of(tmp_path / "again"), files_of(tmp_path / "fresh")) == []


def test_a_checkpoint_looks_for_classes_from_the_command_line(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    ckpt = save_toy(tmp_path / "toy")
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "mine" / "sub" / f"{number}.jpg").write_bytes(jpeg((40, 60), number))
    (tmp_path / "classes.txt").write_text("red ball\n# remark\nblue box  # another\n\n")
    args = ["pseudo-label", "photos", str(tmp_path / "mine"), f"--classes={tmp_path}/classes.txt", f"--ckpt={ckpt}"]
    refused = run_cli(*args, f"--out={tmp_path}/out", "--workers=0")
    assert refused.code == 2
    assert "--classes needs --score-threshold" in refused.errors[0]
    more = ["--method=multi", "--score-threshold=-1", "--workers=0"]
    ended = run_cli(*args, *more, f"--out={tmp_path}/out")
    assert ended.code == 0, ended.stderr
    assert run_cli(*args, *more, f"--out={tmp_path}/same").code == 0
    assert differing(files_of(tmp_path / "out"), files_of(tmp_path / "same")) == []
    records = records_of(tmp_path / "out")
    assert {record.image.file_name for record in records} == {f"sub/{number}.jpg" for number in range(3)}
    assert all([query.text for query in record.queries] == ["red ball", "blue box"] for record in records)
    ended = run_cli("export", str(tmp_path / "out"), "--to", "coco", f"--out={tmp_path}/coco")
    assert ended.code == 0, ended.stderr
    written = json.loads(next((tmp_path / "coco").rglob("*.json")).read_text())
    assert [one["name"] for one in written["categories"]] == ["red ball", "blue box"]


def test_captions_and_classes_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("ball\n")
    args = ["pseudo-label", "photos", str(tmp_path), "--ckpt=x", f"--classes={tmp_path}/c.txt", "--captions=sidecars"]
    ended = run_cli(*args, f"--out={tmp_path}/out", "--score-threshold=0.3")
    assert "--classes and --captions" in ended.errors[0]


def test_a_folder_without_photos_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("alone")
    (tmp_path / "c.txt").write_text("ball\n")
    ckpt = save_toy(tmp_path / "toy")
    args = [str(tmp_path / "empty"), f"--ckpt={ckpt}", f"--classes={tmp_path}/c.txt", "--score-threshold=0.3"]
    ended = run_cli("pseudo-label", "photos", *args, f"--out={tmp_path}/out", "--workers=0")
    assert ended.code == 1
    [line] = ended.errors
    assert "photo" in line


@pytest.mark.parametrize(
    ("name", "text", "prompts"),
    [
        ("c.txt", "ball\n  red   box # and more\n#\n", ["ball", "red box"]),
        ("c.yaml", "[ball, box]", ["ball", "box"]),
        ("c.yaml", "ball: [sphere, orb]\nbox:\n", ["ball", "sphere", "orb", "box"]),
        ("c.yml", "ball: {synonyms: [orb], templates: ['{}', 'a {}']}", ["ball", "a ball", "orb", "a orb"]),
        ("c.yml", "ball: {not: [box], templates: ['a {}']}", ["a ball", "box"]),
        ("c.txt", "\ufeffno\n", ["no"]),
    ],
)
def test_a_list_of_classes(name: str, text: str, prompts: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert list(all_prompts(read_class_list(str(tmp_path / name)))) == prompts


def test_a_class_knows_what_it_is_taken_for(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CLASSES)
    assert read_class_list(str(tmp_path / "c.yaml")) == (
        ClassPrompts(id=1, name="monitor", prompts=("monitor", "screen"), negatives=("monitor frame",)),
        ClassPrompts(id=2, name="kite", prompts=("kite",)),
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.txt", "# nothing\n", "holds no class"),
        ("c.yaml", "", "holds no class"),
        ("c.yaml", "ball", "must be a list of names"),
        ("c.yaml", "[ball", "is no YAML"),
        ("c.yaml", "ball: 1\nball: 2", "stands twice"),
        ("c.yaml", "no: [nay]", "put it in quotes"),
        ("c.yaml", "ball: {synonym: [orb]}", "give synonyms, not, templates"),
        ("c.yaml", "ball: 7", "give synonyms, not, templates"),
        ("c.yaml", "ball: {templates: ['a ball']}", "must hold {} once"),
        ("c.yaml", "ball: ['']", "a prompt is empty"),
        ("c.yaml", "ball: {not: [Ball]}", "both looked for and not"),
        ("c.yaml", "ball: [orb]\nsphere: [Orb]", "asks for both"),
        ("c.txt", "ball\nBall\n", "asks for both"),
    ],
)
def test_a_list_that_is_none_is_one_line(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        read_class_list(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_what_is_no_text_or_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ConfigError, match="no UTF-8"):
        read_class_list(str(tmp_path / "c.txt"))
    with pytest.raises(InputError, match="gone"):
        read_class_list(str(tmp_path / "gone.txt"))


def test_photos_of_tars_are_asked_for_classes_whatever_their_captions_say(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    ckpt = save_toy(tmp_path / "toy")
    photo = jpeg((48, 64))
    write_tar(tmp_path / "00000.tar", {"1.jpg": photo, "1.txt": b"\xff", "2.jpg": photo, "3.txt": b"no"})
    (tmp_path / "classes.txt").write_text("ball\ndog\n")
    args = ("pseudo-label", "captions", f"--images={tmp_path}/*.tar", f"--ckpt={ckpt}", "--source=cc", "--workers=0",
            "--score-threshold=-1", f"--classes={tmp_path}/classes.txt")  # fmt: skip
    ended = run_cli(*args, f"--out={tmp_path}/out", "--max-error-rate=1")
    assert ended.code == 0, ended.stderr
    Tally.from_builtins(manifest_of(tmp_path / "out").accounting).check()
    assert run_cli("validate", f"{tmp_path}/out", "--workers=0").code == 0
    assert [[query.text for query in one.queries] for one in records_of(tmp_path / "out")] == [["ball", "dog"]] * 2
    assert [one.text for one in vocabulary_of(manifest_of(tmp_path / "out"))] == ["ball", "dog"]
    assert manifest_of(tmp_path / "out").accounting["units"]["question"]["in"] == 2
    (tmp_path / "some.tsv").write_text("a\thttp://a/b\n")
    assert run_cli(*args, f"--tsv={tmp_path}/some.tsv", f"--out={tmp_path}/new").code == 2
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.jpg").write_bytes(photo)
    folder = run_cli(*args, f"--images={tmp_path}/folder", f"--out={tmp_path}/new")
    assert folder.code in (1, 2)
    assert len(folder.errors) == 1
