"""What fine-tuning on LVIS, Flickr30k Entities and RefCOCO does to the bundled checkpoint, on a toy world.

    python -m benchmarks.finetuning --dir out/finetuning

draws a world, runs the commands that build the three datasets, and each run file from the toy checkpoint, for as many
steps as minutes allow and with the toy run's rates: its figures on val photos before and after.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.train.labelled import dataset_photos
from pipelines.train.metrics import find_line
from xdetr_data.toyworld.world import write_toyworld
from xdetr_model.checkpoints.directory import load_checkpoint
from xdetr_model.evaluate.driver import evaluate
from xdetr_model.photos import PhotoTransform

ROOT = Path(__file__).parents[1]
START = ROOT / "manifests" / "checkpoints" / "xdetr-toy"
FIGURES = ("boxes/ap50", "boxes/ar100", "phrases/all/recall@1", "phrases/all/recall@5")
SIZE = ("data.shortest_px=[128]", "data.longest_px=128", "data.workers=0", "compute.precision=float32")
RATES = "{backbone: 1e-4, text_encoder: 1e-4, deformable_projections: 1e-5, rest: 1e-4}"  # a tenth of toy.yaml's


def builds(world: Path) -> Mapping[str, tuple[list[str], list[str]]]:
    """By run file the flags that build its training set and its validation set."""
    coco, flickr = f"--image-root=coco={world / 'photos/coco'}", f"--image-root=flickr={world / 'photos/flickr'}"
    entities, refer = world / "flickr30k_entities", world / "refcoco"
    sets = ("refcoco", "refcoco+", "refcocog")
    pickles = ("refcoco/refs(unc).p", "refcoco+/refs(unc).p", "refcocog/refs(umd).p", "refcocog/refs(google).p")
    refs = [f"--refs={refer / name}" for name in pickles]
    inputs = [*(f"--instances={refer / name / 'instances.json'}" for name in sets), coco]

    def lvis(split: str) -> list[str]:
        return ["lvis", f"--annotations={world / f'lvis/lvis_v1_{split}.json'}", coco]

    def captions(split: str) -> list[str]:
        return ["flickr30k", f"--entities={entities}", f"--ids={entities / f'{split}.txt'}", flickr]

    return {
        "finetune_lvis_100": (lvis("train"), lvis("val")),
        "finetune_flickr30k": (captions("train"), captions("val")),
        "finetune_refcoco": (["refcoco", *refs, *inputs, "--exclude-eval"], ["refcoco", refs[0], *inputs]),
    }


def call(*command: str | Path) -> None:
    """A command of this tool, in a process of its own; raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", *map(str, command)], cwd=ROOT, check=True)


def before(val: Path, photos: int) -> dict[str, float]:
    """The start's figures on a dataset."""
    start = load_checkpoint(str(START))
    transform = PhotoTransform.from_processor(start.image_processor)
    found = evaluate(start.model, start.tokenizer, transform, dataset_photos(str(val), photos), batch_size=16)
    return {name: float(value) for name, value in found.scalars().items()}


def after(name: str, folder: Path, steps: int, photos: int) -> Mapping[str, float]:
    """Runs a run file on the datasets of a folder; the last evaluation's figures."""
    changes = [
        *SIZE, f"model.start.path={START}", f"optimiser.rates={RATES}", "optimiser.scale_rates=false",
        "optimiser.ema_decay=0.98", "schedule.unit=steps", f"schedule.length={steps}", f"evaluate.photos={photos}",
        "schedule.rest={kind: cool_down, warmup_share: 0.05, cooldown_share: 0.95, shape: linear, floor: 0.01}",
    ]  # fmt: skip
    flags = [flag for change in changes for flag in ("--set", change)]
    run = folder / "run"
    sets = ("--full", folder / "train", "--val", folder / "val")
    call("pipelines.train", "--run", ROOT / f"manifests/runs/{name}.yaml", *sets, "--out", run, *flags)
    line = find_line(run, "evaluate", steps)
    assert line is not None
    return line


def rows(name: str, figures: Sequence[Mapping[str, float]]) -> str:
    """A Markdown row before and one after."""
    values = [" | ".join(f"{one[figure]:.3f}" for figure in FIGURES) for one in figures]
    return "\n".join(f"| {name} | {when} | {row} |" for when, row in zip(("before", "after"), values, strict=True))


def main() -> None:
    """Prints the table, a run at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="new folder for world, datasets and runs")
    parser.add_argument("--photos", type=int, default=2000, help="of the world (default: 2000)")
    parser.add_argument(
        "--seed", type=int, default=1000, help="of the world; 0 is the one of the start (default: 1000)"
    )
    parser.add_argument("--steps", type=int, default=300, help="of each run, four visits each (default: 300)")
    parser.add_argument("--only", choices=list(builds(Path())), help="this run file alone")
    parser.add_argument("--val-photos", type=int, default=100, help="that are evaluated on (default: 100)")
    flags = parser.parse_args()
    write_toyworld(flags.dir / "world", photos=flags.photos, seed=flags.seed, workers=0)
    print("| run file | | AP50 | AR100 | recall@1 | recall@5 |\n|---|---|---|---|---|---|", flush=True)
    for name, split in builds(flags.dir / "world").items():
        if flags.only not in (None, name):
            continue
        folder = flags.dir / name
        for which, inputs in zip(("train", "val"), split, strict=True):
            call("pipelines.cli", "build", *inputs, f"--split={which}", f"--out={folder / which}", "--workers=0")
        figures = (before(folder / "val", flags.val_photos), after(name, folder, flags.steps, flags.val_photos))
        print(rows(name, figures), flush=True)


if __name__ == "__main__":
    main()
