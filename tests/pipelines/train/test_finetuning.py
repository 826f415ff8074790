"""The run files of fine-tuning run as they are written on what the commands in them make, on a toy world.

The bundled toy checkpoint stands for the pre-trained model, and only what makes a run small is changed.
"""

import re
import shlex
from pathlib import Path

import pytest

from pipelines.train.runfile import RunFile, read_run_file
from tests.pipelines.tiny import reject_counts, run_cli
from tests.pipelines.train.tiny_run import ROOT, lines, train_here
from xdetr_data.toyworld.world import write_toyworld

RUNS = ROOT / "manifests" / "runs"
TOY = ROOT / "manifests" / "checkpoints" / "xdetr-toy"
SMALL = ("data.shortest_px=[64]", "data.longest_px=96", "data.workers=0", "evaluate.photos=4", "save.log_every=1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finetuning") / "world"
    write_toyworld(path, photos=160, seed=5, workers=0)
    return path


def commands(name: str) -> list[list[str]]:
    """What the head of a run file says is to be run: its training command, then those that make its datasets."""
    head = (RUNS / f"{name}.yaml").read_text().split("\ntitle:")[0]
    joined = re.sub(r"\\\n# *", "", head)
    return [shlex.split(line) for line in re.findall(r"^# +(xdetr-(?:data|train) .*)$", joined, re.MULTILINE)]


def on_disk(word: str, world: Path, out: Path) -> str:
    """A word of such a command, with places of this world in place of those of the real files."""
    places = {
        "lvis_v1_train.json": world / "lvis/lvis_v1_train.json", "lvis_v1_val.json": world / "lvis/lvis_v1_val.json",
        "coco=DIR": f"coco={world / 'photos/coco'}", "flickr=DIR": f"flickr={world / 'photos/flickr'}",
        "ENTITIES": world / "flickr30k_entities", "train.txt": world / "flickr30k_entities/train.txt",
        "val.txt": world / "flickr30k_entities/val.txt",
    }  # fmt: skip
    if word.startswith("OUT_"):
        return str(out / word)
    return str(places.get(word, world / "refcoco" / word[2:] if word.startswith("R/") else word))


def short(run: RunFile) -> list[str]:
    """Two epochs in which the rates drop as ever; a tenth of the toy world's few photos where it is a hundredth."""
    assert run.schedule.unit == "epochs"
    changes = [*SMALL, f"model.start.path={TOY}", "schedule.length=2", "schedule.rest.after_epoch=1"]
    return [flag for change in changes for flag in ("--set", change)]


@pytest.mark.parametrize("name", ["finetune_lvis_1", "finetune_lvis_100", "finetune_flickr30k", "finetune_refcoco"])
def test_a_run_file_runs_as_written_on_what_its_commands_make(name: str, world: Path, tmp_path: Path) -> None:
    train, *builds = commands(name)
    for words in builds:
        flags = [on_disk(word, world, tmp_path) for word in words[1:]]
        flags = ["0.2" if flag == "0.01" else flag for flag in flags]  # of fewer photos a hundredth is none
        ended = run_cli(*flags, "--workers=0")
        assert ended.code == 0, ended.stderr
        lost = {reason for _, reason in reject_counts(Path(flags[flags.index("--out") + 1]))}
        assert not lost & {"image-not-in-instances", "reference-rejected"}
    flags = [on_disk(word, world, tmp_path) for word in train[1:]]
    flags[flags.index("--run") + 1] = str(RUNS / f"{name}.yaml")
    flags[flags.index("--out") + 1] = str(tmp_path / "run")
    assert train_here(*flags, *short(read_run_file(RUNS / f"{name}.yaml"))) == 0
    steps = lines(tmp_path / "run")
    assert len(steps) >= 2
    assert all(one["full/o2t"] > 0 for one in steps)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    figures = lines(tmp_path / "run", "evaluate")[-1]
    assert {"boxes/ap50", "phrases/all/recall@1"} <= figures.keys()
