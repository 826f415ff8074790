"""The demo: the main job on a world that the project draws itself, each step with the command that does it by hand."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipelines import console
from pipelines.cli import app
from xdetr_data.errors import XdetrDataError
from xdetr_data.manifest import read_manifest
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder


def run_demo(folder: Path, *, photos: int, workers: int, seed: int) -> None:
    """Draws, builds, checks, counts and shows; raises XdetrDataError where a step fails."""
    world, shards = folder / "world", folder / "mixed-star"
    _step("draw a toy world in the formats of the real files", _draw(world, photos, workers, seed))
    _step("build mixed* + boxes, without the benchmarks' photos", _build(world, shards, workers, seed))
    _step("check everything that a training run relies on", ["validate", str(shards), "--workers", "0"])
    _step("count", ["stats", str(shards)])
    key = _richest_key(shards)
    _step("look at one sample", ["show", str(shards), key, "--out", str(folder / f"{key}.png")])
    console.say()
    console.say(f"photos and labels to train on: {shards}")
    console.say(f"a sample, drawn:               {folder / f'{key}.png'}")
    console.say("with the real files: see README.md, 'With the real files'")


def _draw(world: Path, photos: int, workers: int, seed: int) -> list[str]:
    return ["toyworld", "--photos", str(photos), "--seed", str(seed), "--workers", str(workers), "--out", str(world)]


def _build(world: Path, shards: Path, workers: int, seed: int) -> list[str]:
    roots = [f"{source}={world}/photos/{source}" for source in ("coco", "vg", "flickr")]
    exclude = ("lvis/lvis_v1_val.json", "refcoco/refcoco/refs(unc).p", "flickr30k_entities/test.txt")
    return [
        "build-mixed-star",
        *("--mdetr", f"{world}/mdetr/final_mixed_train.json"),
        *("--mdetr", f"{world}/mdetr/final_flickr_separateGT_train.json"),
        *("--coco-instances", f"{world}/coco/instances_train2014.json"),
        *(flag for root in roots for flag in ("--image-root", root)),
        *(flag for name in exclude for flag in ("--exclude", f"{world}/{name}")),
        *("--workers", str(workers), "--seed", str(seed), "--out", str(shards)),
    ]


def _step(title: str, arguments: Sequence[str]) -> None:
    console.say()
    console.say(f"# {title}")
    console.say(f"$ xdetr-data {shlex.join(arguments)}")
    code = app(list(arguments), standalone_mode=False)
    if code:
        raise XdetrDataError(f"the step '{title}' ended with code {code}; run its command by hand with --debug")


def _richest_key(shards: Path) -> str:
    """Key of the sample with the most phrases; the first of them in alphabetical order."""
    folder = Folder(str(shards))
    counts = {
        record.key: sum(len(query.phrases) for query in record.queries)
        for stem in stems(read_manifest(folder))
        for record in read_records(folder, stem)
    }
    return min(counts, key=lambda key: (-counts[key], key))
