"""A run that takes seconds: a tiny model on painted photos, in this process or in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from pipelines.train.command import main
from tests.data.loading.painted import painted_set, sample, write_set

ROOT = Path(__file__).parents[3]
DETECTOR = {
    "d_model": 32,
    "decoder_layers": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_queries": 8,
    "two_stage_num_proposals": 8,
    "dropout": 0.1,  # so that chance plays a part that a resumed run must repeat
}
TEXT = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}


def write_run_file(folder: Path, **changes: Any) -> Path:
    """toy.yaml made tiny; ``changes`` are values of dotted keys, their dots written as ``__``."""
    values = yaml.safe_load((ROOT / "manifests" / "runs" / "toy.yaml").read_text())
    values["model"]["config"] = {"detector_config": DETECTOR, "text_config": TEXT, "alignment_dim": 16}
    values["batch"] = {"full": 3, "pseudo": 0, "weak": 2}
    values["data"] |= {"shortest_px": [48, 64], "longest_px": 64, "crop": 0.5, "flip": 0.5, "jitter": 0.1, "workers": 1}
    values["schedule"] |= {"unit": "steps", "length": 9}
    values["evaluate"] |= {"every_steps": 1000}
    values["save"] |= {"every_steps": 3, "keep": 2, "log_every": 1}
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        part = values
        for parent in parents:
            part = part[parent]
        part[last] = value
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def write_sets(folder: Path) -> list[str]:
    """Flags of a full and a weak set, of shards that are not alike: an epoch has five batches of three."""
    full, weak = painted_set(folder / "full", [9, 1, 6], "full"), painted_set(folder / "weak", [5, 4], "weak")
    return ["--full", str(full), "--weak", str(weak)]


def write_set_with_damage(path: Path, rows: int, damaged: Sequence[int]) -> Path:
    """A dataset of one shard; the photos at the indices ``damaged`` end in the middle."""
    samples = [sample(f"{path.name}_{number:05d}") for number in range(rows)]
    for number in damaged:
        photo = samples[number].photo
        assert photo is not None
        samples[number] = replace(samples[number], photo=replace(photo, data=photo.data[: len(photo.data) // 2]))
    return write_set(path, [samples])


def train_here(*flags: str | Path) -> int:
    """Exit code of the command line in this process."""
    with pytest.raises(SystemExit) as ended:
        main([str(flag) for flag in flags])
    return int(ended.value.code or 0)


def start(*flags: str | Path, stderr: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command line in a process of its own, computing with one thread as this one does."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.train", *(str(flag) for flag in flags)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


CLOCKED = {"step_s", "waiting_share"}


def lines(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    """Lines of metrics.jsonl without what the clock decides; a line that is being written is left out."""
    path = run / "metrics.jsonl"
    whole = (
        [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []
    )
    found = [json.loads(line) for line in whole]
    return [{name: v for name, v in one.items() if name not in CLOCKED} for one in found if one["kind"] == kind]
