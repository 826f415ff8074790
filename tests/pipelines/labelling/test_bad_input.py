"""Bad input of ``pseudo-label locnar``: named rejects that add up, or one line and an exit code; never a traceback."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipelines.engine import run
from pipelines.recipes.locnar import recipe
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import (
    FARM,
    FARM_CAPTION,
    LEFT,
    ROOM,
    World,
    differing,
    files_of,
    jpeg,
    labelled,
    load_knowing,
    named_boxes,
    narrative,
    options_of,
    row,
)
from tests.pipelines.tiny import Ended, Verbatim, manifest_of, records_of, reject_counts, rejects_of, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.storage import Folder

Rejects = dict[tuple[str, str], int]
Change = Callable[[World], None]

USUAL: Rejects = {
    ("phrase", "no-candidate"): 1,
    ("phrase", "below-threshold"): 1,
    ("box", "duplicate-of-region"): 1,
}
NO_FARM: Rejects = {("phrase", "below-threshold"): 1}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kind of bad input, the rejects that it must give beside the usual ones, and whether the farm survives."""

    change: Change
    rejects: Rejects = field(default_factory=dict)
    usual: Rejects = field(default_factory=lambda: USUAL)


def plus(*lines: Any) -> Change:
    """More lines in the narratives file."""

    def change(world: World) -> None:
        world.lines += lines

    return change


def boxed(*rows: str) -> Change:
    """More lines in the box file."""

    def change(world: World) -> None:
        world.rows += rows

    return change


def photo(data: bytes | None) -> Change:
    """Another file, or none, in place of the farm's photo."""

    def change(world: World) -> None:
        world.photos.pop(f"{FARM}.jpg")
        if data is not None:
            world.photos[f"{FARM}.jpg"] = data

    return change


def both(*changes: Change) -> Change:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


BAD_LINE: Rejects = {("narrative", "unreadable-narrative"): 1}
BAD_FARM: Rejects = BAD_LINE | {("photo", "no-narrative-left"): 1, ("box", "no-narrative-left"): 2}
UNSEEN_FARM: Rejects = BAD_LINE | {("box", "photo-not-in-set"): 2}  # no JSON: not even its photo is known
EMPTY_FARM = BAD_FARM | {("narrative", "empty-caption"): 1}
del EMPTY_FARM["narrative", "unreadable-narrative"]


def lost(reason: str) -> Rejects:
    return {("photo", reason): 1, ("narrative", reason): 1, ("box", reason): 2}


LINES: dict[str, Case] = {
    "line-no-json": Case(change=plus(b"{broken"), rejects=BAD_LINE),
    "line-cut-short": Case(change=plus(json.dumps(narrative(FARM, "a dog")).encode()[:60]), rejects=BAD_LINE),
    "line-a-list": Case(change=plus(b"[1, 2]"), rejects=BAD_LINE),
    "line-a-number": Case(change=plus(b"7"), rejects=BAD_LINE),
    "line-binary": Case(change=plus(bytes(range(128, 256)).replace(b"\n", b"")), rejects=BAD_LINE),
    "line-latin-1": Case(change=plus('{"dataset_id": "caf\xe9"}'.encode("latin-1")), rejects=BAD_LINE),
    "line-nested-deeply": Case(change=plus(b"[" * 100_000), rejects=BAD_LINE),
    "lines-blank": Case(change=plus(b"", b"  \t")),
    "no-image-id": Case(change=plus(b'{"dataset_id": "open_images_train", "caption": "a"}'), rejects=BAD_LINE),
    "image-id-a-list": Case(change=plus(narrative(FARM, "a dog") | {"image_id": [1]}), rejects=BAD_LINE),
    "unknown-dataset": Case(
        change=plus(narrative(FARM, "a dog", dataset_id="sbu")), rejects={("narrative", "unknown-dataset"): 1}
    ),
    "image-id-leaves-its-folder": Case(
        change=plus(narrative(FARM, "a dog") | {"image_id": "../../etc/passwd"}),
        rejects={("narrative", "unsafe-file-name"): 1},
    ),
}


def field_is(name: str, value: Any) -> Change:
    """One field of the farm's narrative is something else."""

    def change(world: World) -> None:
        world.lines[0][name] = value

    return change


def without(name: str) -> Change:
    def change(world: World) -> None:
        del world.lines[0][name]

    return change


POINT = {"x": 0.5, "y": 0.5, "t": 1.0}
FIELDS: dict[str, Case] = {
    "no-caption": Case(change=without("caption"), rejects=BAD_FARM, usual=NO_FARM),
    "caption-null": Case(change=field_is("caption", None), rejects=BAD_FARM, usual=NO_FARM),
    "caption-a-number": Case(change=field_is("caption", 5), rejects=BAD_FARM, usual=NO_FARM),
    "caption-empty": Case(change=field_is("caption", ""), rejects=EMPTY_FARM, usual=NO_FARM),
    "caption-white": Case(change=field_is("caption", " \n\t"), rejects=EMPTY_FARM, usual=NO_FARM),
    "caption-half-a-surrogate-pair": Case(
        change=field_is("caption", Verbatim('"a \\ud83d dog"')), rejects=UNSEEN_FARM, usual=NO_FARM
    ),
    "traces-text": Case(change=field_is("traces", "none"), rejects=BAD_FARM, usual=NO_FARM),
    "traces-of-numbers": Case(change=field_is("traces", [1, 2]), rejects=BAD_FARM, usual=NO_FARM),
    "point-without-time": Case(change=field_is("traces", [[{"x": 0, "y": 0}]]), rejects=BAD_FARM, usual=NO_FARM),
    "point-nan": Case(
        change=field_is("traces", [[POINT | {"x": Verbatim("NaN")}]]), rejects=UNSEEN_FARM, usual=NO_FARM
    ),
    "point-endless": Case(
        change=field_is("traces", [[POINT | {"x": Verbatim("1e999")}]]), rejects=BAD_FARM, usual=NO_FARM
    ),
    "utterance-without-time": Case(
        change=field_is("timed_caption", [{"utterance": "a"}]), rejects=BAD_FARM, usual=NO_FARM
    ),
    # normal input
    "no-traces": Case(change=without("traces")),
    "no-timed-caption": Case(change=without("timed_caption")),
    "traces-null": Case(change=field_is("traces", None)),
    "traces-empty": Case(change=field_is("traces", [[], []])),
    "points-far-outside": Case(change=field_is("traces", [[POINT | {"x": -1e9}, POINT | {"y": 1e30}]])),
    "utterances-of-no-length": Case(
        change=field_is("timed_caption", [{"utterance": FARM_CAPTION, "start_time": 3.0, "end_time": 3.0}])
    ),
    "utterances-backwards": Case(
        change=field_is("timed_caption", [{"utterance": FARM_CAPTION, "start_time": 9.0, "end_time": 3.0}])
    ),
    "utterances-of-other-words": Case(
        change=field_is("timed_caption", [{"utterance": "nothing of it", "start_time": 0.0, "end_time": 3.0}])
    ),
    "no-voice": Case(change=both(without("voice_recording"), without("annotator_id"))),
}
BOXES: dict[str, Case] = {
    "row-short": Case(change=boxed("a,b,c"), rejects={("box", "unreadable-box"): 1}),
    "row-of-commas": Case(change=boxed("," * 12), rejects={("box", "missing-image-id"): 1}),
    "coordinate-text": Case(
        change=boxed(row(FARM, LEFT).replace(",0.25,", ",wide,")), rejects={("box", "unreadable-box"): 1}
    ),
    "coordinate-missing": Case(
        change=boxed(row(FARM, LEFT).replace(",0.25,", ",,")), rejects={("box", "missing-coordinate"): 1}
    ),
    "coordinate-nan": Case(
        change=boxed(row(FARM, LEFT).replace(",0.25,", ",nan,")), rejects={("box", "non-finite-box"): 1}
    ),
    "coordinate-in-pixels": Case(
        change=boxed(row(FARM, LEFT).replace(",0.25,", ",50,")), rejects={("box", "coordinate-out-of-range"): 1}
    ),
    "box-reversed": Case(change=boxed(row(FARM, (90, 10, 20, 90))), rejects={("box", "reversed-box"): 1}),
    "box-of-no-width": Case(change=boxed(row(FARM, (20, 10, 20, 90))), rejects={("box", "degenerate-box"): 1}),
    "flag-unknown": Case(change=boxed(row(FARM, (150, 0, 190, 9), occluded=-1, group_of=-1))),
    "box-from-inside": Case(change=boxed(row(FARM, LEFT, inside=1)), rejects={("box", "inside-box"): 1}),
    "photo-nobody-told-of": Case(
        change=boxed(row(FARM, LEFT).replace(FARM, "e" * 16)), rejects={("box", "photo-not-in-set"): 1}
    ),
}
PHOTOS: dict[str, Case] = {
    "photo-missing": Case(change=photo(None), rejects=lost("missing-photo"), usual=NO_FARM),
    "photo-empty": Case(change=photo(b""), rejects=lost("unreadable-photo"), usual=NO_FARM),
    "photo-text": Case(change=photo(b"404 Not Found"), rejects=lost("unreadable-photo"), usual=NO_FARM),
    "photo-half": Case(change=photo(jpeg((100, 200))[:900]), rejects=lost("unreadable-photo"), usual=NO_FARM),
    "photo-noise": Case(
        change=photo(np.random.default_rng(0).bytes(3000)), rejects=lost("unreadable-photo"), usual=NO_FARM
    ),
}
CASES = LINES | FIELDS | BOXES | PHOTOS


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_is_rejected_by_name_and_spares_the_rest(kind: str, tmp_path: Path) -> None:
    case, world = CASES[kind], World()
    case.change(world)
    world.write(tmp_path)
    manifest = labelled(tmp_path, score_threshold=0.0)
    out = tmp_path / "out"
    expected = Counter(case.usual)
    expected.update(case.rejects)
    if case.usual is NO_FARM:
        assert [record.key for record in records_of(out)] == [f"openimages_{ROOM}"]
    assert Counter(reject_counts(out)) == expected
    Tally.from_builtins(manifest.accounting).check()
    counted = Counter((one.unit, one.reason) for one in rejects_of(out))
    assert {key: n for key, n in expected.items() if counted[key] != n} in ({}, _only_counted(expected))
    assert named_boxes(records_of(out)[-1]) == {"a table": [(0.0, 60.0, 160.0, 120.0)]}
    assert run_cli("validate", str(out), "--workers=0").code == 0


def _only_counted(expected: Rejects) -> Rejects:
    """What a photo's own reject explains, or concerns no photo of the set, is counted without a row of its own."""
    counted = {("box", "photo-not-in-set"), ("box", "missing-photo"), ("narrative", "missing-photo")}
    return {key: count for key, count in expected.items() if key in counted}


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def command(toy: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Runs the command on a world's files; what is given replaces the usual flags of its name."""
    World().write(tmp_path)
    shutil.copytree(toy, tmp_path / "ckpt")

    def run(*args: str, dropped: str = "--no", out: str = "out") -> Ended:
        usual = [
            f"--ckpt={tmp_path}/ckpt",
            f"--narratives={tmp_path}/told.jsonl",
            f"--boxes={tmp_path}/boxes.csv",
            f"--images={tmp_path}/photos",
            f"--out={tmp_path}/{out}",
            "--workers=0",
        ]
        given = [arg.replace("FOLDER", str(tmp_path)) for arg in args]
        names = {arg.partition("=")[0] for arg in given} | {dropped}
        kept = [arg for arg in usual if arg.partition("=")[0] not in names]
        return run_cli("pseudo-label", "locnar", *kept, *given)

    return run


def one_line(ended: Ended, says: str, out: Path, code: int = 1) -> None:
    assert ended.code == code, ended.stderr
    assert "Traceback" not in ended.stderr
    (line,) = ended.errors
    assert re.search(says, line), line
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        ("--ckpt", "give --ckpt DIR"),
        ("--narratives", "give at least one --narratives FILE"),
        ("--images", "give --images DIR"),
        ("--out", "give --out DIR"),
    ],
)
def test_a_missing_option_is_one_line(dropped: str, says: str, command: Callable[..., Ended], tmp_path: Path) -> None:
    one_line(command(dropped=dropped), says, tmp_path / "out", 2)


OPTIONS: dict[str, tuple[tuple[str, ...], str, int]] = {
    "ckpt-nowhere": (("--ckpt=FOLDER/none",), "none: no such directory", 1),
    "ckpt-a-file": (("--ckpt=FOLDER/boxes.csv",), "boxes.csv: is a file", 1),
    "ckpt-empty-folder": (("--ckpt=FOLDER/photos",), "config.json tells no model .*No such file", 1),
    "narratives-nowhere": (("--narratives=FOLDER/none.jsonl",), "none.jsonl: .*no such file", 1),
    "wildcard-without-match": (("--narratives=FOLDER/*.jsonlines",), r"\*\.jsonlines: .*no file", 1),
    "narratives-a-csv": (("--narratives=FOLDER/boxes.csv", "--boxes=FOLDER/boxes.csv"), "2 inputs are called", 2),
    "boxes-no-csv": (("--boxes=FOLDER/told.jsonl", "--narratives=FOLDER/told.jsonl"), "2 inputs are called", 2),
    "boxes-without-header": (("--boxes=FOLDER/headless.csv",), "has no column 'ImageID'", 1),
    "images-nowhere": (("--images=FOLDER/none",), "none: there is no such folder", 1),
    "images-of-another-source": (("--images=coco=FOLDER/photos",), "give --images openimages=DIR", 2),
    "images-of-a-name-that-is-none": (("--images=my_own=FOLDER/photos",), "--images my_own=….*small letters", 2),
    "class-descriptions-nowhere": (("--class-descriptions=FOLDER/x.csv",), "x.csv", 1),
    "class-descriptions-no-names": (("--class-descriptions=FOLDER/boxes.csv",), "boxes.csv: line 1: 13 fields", 1),
    "spacy-model-unknown": (("--spacy-model=xx_none",), "'xx_none' is not installed", 2),
    "spacy-model-no-model": (("--spacy-model=spacy",), "spaCy model 'spacy'", 2),
    "device-unknown": (("--device=abacus",), "--device 'abacus' is unknown", 2),
    "device-not-there": (("--device=cuda:17",), "device='cuda:17' cannot be used here", 1),
    "gpus-in-this-process": (("--gpus=1",), "--gpus 1 needs processes of their own", 2),
    "gpus-on-the-cpu": (("--gpus=1", "--device=cpu", "--workers=2"), "contradict each other", 2),
    "gpus-negative": (("--gpus=-1",), "--gpus", 2),
    "precision-unknown": (("--precision=int3",), "--precision.*int3", 2),
    "method-unknown": (("--method=best",), "--method.*best", 2),
    "trace-unknown": (("--trace=on",), "--trace.*on", 2),
    "keep-none": (("--keep-candidates=0",), "--keep-candidates 0 must be at least 1", 2),
    "batch-of-none": (("--batch-size=0",), "--batch-size 0 must be at least 1", 2),
    "threshold-nan": (("--score-threshold=nan",), "--score-threshold nan must be a finite number", 2),
    "iou-above-one": (("--nms-iou=1.2",), "--nms-iou 1.2 must be between 0 and 1", 2),
    "dedupe-of-nothing": (("--dedupe-iou=0",), "--dedupe-iou 0.0 must be above 0", 2),
    "plural-of-none": (("--max-plural=0",), "--max-plural 0 must be at least 1", 2),
    "weight-endless": (("--trace-weight=inf",), "--trace-weight inf must be at least 0 and finite", 2),
    "limit-zero": (("--limit=0",), "--limit 0 must be at least 1", 2),
    "split-a-path": (("--split=../x",), "--split '../x' must be a plain word", 2),
    "shard-bytes-text": (("--shard-bytes=big",), "'big' is no size", 2),
    "resume-and-overwrite": (("--resume", "--overwrite"), "contradict each other", 2),
    "out-in-the-way": (("--out=FOLDER/photos",), "holds files that are no dataset", 1),
    "everything-excluded": (("--exclude=FOLDER/all.txt",), "no photo is left to label .*excluded", 1),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_bad_option_is_one_line(kind: str, command: Callable[..., Ended], tmp_path: Path) -> None:
    args, says, code = OPTIONS[kind]
    (tmp_path / "headless.csv").write_text(row(FARM, LEFT) + "\n")
    (tmp_path / "all.txt").write_text(f"{FARM}\n{ROOM}\n")
    one_line(command(*args), says, tmp_path / "out", code)


def _config_is(text: str) -> Callable[[Path], None]:
    return lambda ckpt: (ckpt / "config.json").write_text(text) and None


def _halved(name: str) -> Callable[[Path], None]:
    def damage(ckpt: Path) -> None:
        data = (ckpt / name).read_bytes()
        (ckpt / name).write_bytes(data[: len(data) // 2])

    return damage


def _weightless(ckpt: Path) -> None:
    weights = load_file(ckpt / "model.safetensors")
    del weights[sorted(weights)[3]]
    save_file(weights, ckpt / "model.safetensors", {"format": "pt"})


def _pickled(ckpt: Path) -> None:
    (ckpt / "model.safetensors").rename(ckpt / "pytorch_model.bin")


CHECKPOINTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "config-no-json": (_config_is("{model"), "config.json tells no model"),
    "config-a-list": (_config_is("[]"), "config.json tells no model"),
    "config-without-type": (_config_is("{}"), "config.json tells no model"),
    "config-of-a-text-model": (_config_is('{"model_type": "bert"}'), "no zero-shot detector that loads"),
    "config-of-the-future": (_config_is('{"model_type": "xdetr9"}'), "no zero-shot detector that loads"),
    "config-damaged": (_config_is('{"model_type": "xdetr", "detector_config": 5}'), "cannot be read"),
    "weights-half": (_halved("model.safetensors"), "model.safetensors: is damaged"),
    "weights-gone": (lambda ckpt: (ckpt / "model.safetensors").unlink(), "holds no model.safetensors"),
    "weights-missing-one": (_weightless, "1 weights are missing"),
    "weights-a-pickle": (_pickled, "is a pickle"),
    "tokenizer-gone": (lambda ckpt: (ckpt / "tokenizer.json").unlink(), "holds no tokenizer.json"),
    "tokenizer-half": (_halved("tokenizer.json"), "tokenizer cannot be read"),
    "processor-half": (_halved("preprocessor_config.json"), "image processor cannot be read"),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_bad_checkpoint_is_one_line(kind: str, command: Callable[..., Ended], tmp_path: Path) -> None:
    damage, says = CHECKPOINTS[kind]
    damage(tmp_path / "ckpt")
    ended = command()
    one_line(ended, says, tmp_path / "out")
    assert not re.search(rf"({re.escape(str(tmp_path / 'ckpt'))}): \1", ended.errors[0])


def test_more_gpus_than_there_are_is_one_line_and_no_endless_wait(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    one_line(command("--gpus=999", "--workers=1"), "--gpus 999: there are", tmp_path / "out", 2)


CHANGED: dict[str, tuple[str, ...]] = {
    "threshold": ("--score-threshold=0.3",),
    "method": ("--method=multi",),
    "seed": ("--seed=1",),
    "candidates": ("--keep-candidates=3",),
    "batch": ("--batch-size=3",),
    "boxes": ("--group-of=drop",),
    "box-order": ("--box-order=*",),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_configuration_that_changed_is_refused_on_resume(
    kind: str, command: Callable[..., Ended], tmp_path: Path
) -> None:
    assert command().code == 0
    before = files_of(tmp_path / "out")
    ended = command("--resume", *CHANGED[kind])
    assert ended.code == 1
    assert "begun with another configuration" in ended.errors[0]
    assert differing(files_of(tmp_path / "out"), before) == []


def test_another_checkpoint_is_another_configuration(command: Callable[..., Ended], tmp_path: Path) -> None:
    assert command().code == 0
    weights = load_file(tmp_path / "ckpt/model.safetensors")
    name = sorted(weights)[0]
    save_file(weights | {name: weights[name] + 1}, tmp_path / "ckpt/model.safetensors", {"format": "pt"})
    ended = command("--resume")
    assert ended.code == 1
    assert "begun with another configuration" in ended.errors[0]


def test_a_photo_that_changes_between_the_steps_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    World().write(tmp_path)
    real = run.run_shards

    def swapped(*args: Any, **kwargs: Any) -> Any:
        if kwargs["title"] == "choosing labels":
            (tmp_path / "photos" / f"{FARM}.jpg").write_bytes(jpeg((100, 200), seed=1))
        return real(*args, **kwargs)

    monkeypatch.setattr(run, "run_shards", swapped)
    with pytest.raises(Exception, match="changed while the run was going on"):
        run.run_recipe(
            recipe(options_of(tmp_path), load=load_knowing),
            Folder(str(tmp_path / "out")),
            workers=0,
            existing="refuse",
        )


def test_a_finished_dataset_that_lost_its_trail_is_completed_by_resume(
    command: Callable[..., Ended], tmp_path: Path
) -> None:
    assert command().code == 0
    before = files_of(tmp_path / "out")
    next((tmp_path / "out" / "grounded").glob("*0.parquet")).unlink()
    ended = command("--resume")
    assert ended.code == 0, ended.stderr
    assert differing(files_of(tmp_path / "out"), before) == []
    assert manifest_of(tmp_path / "out").rows == 2
