"""Every evaluator of ``xdetr-eval`` on a toy world: the bundled checkpoint, fine-tuned from it, and a random teacher.

    xdetr-data toyworld --photos 2000 --seed 1000 --out unseen
    python -m benchmarks.toy_evaluation --world unseen --out out/toy-evaluation --teacher DINO

``--teacher`` is any grounder's folder. Fine-tuned are the run files for LVIS, Flickr30k and RefCOCO, on the world's
train photos, as ``benchmarks.finetuning`` shortens them; each is measured by the evaluators of its own dataset.
Datasets, runs and figures that are there already are kept, so that what was stopped goes on.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.finetuning import START, after, builds, call
from xdetr_data.manifest import read_manifest, write_manifest
from xdetr_data.record import GroundedImage, Phrase, Provenance, Query, Region
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.shards.writer import Sample, write_samples
from xdetr_data.storage import Folder
from xdetr_data.toyworld.truth import PhotoTruth, read_truth

NARRATED = ("openimages", "coco", "flickr")
LABELS = "locnar"
TASKS = {  # by dataset the evaluators that it is for
    "mixed-star": ("boxes",),
    "lvis": ("lvis", "presence"),
    "flickr30k-val": ("flickr30k",),
    "flickr30k-test": ("flickr30k",),
    "refcoco-val": ("refcoco",),
    "refcoco-testA": ("refcoco",),
    "refcoco-testB": ("refcoco",),
}
TUNED = {"lvis": "finetune_lvis_100", "flickr30k": "finetune_flickr30k", "refcoco": "finetune_refcoco"}
# What the table shows of each evaluator; everything else stands in figures/*.json.
SHOWN = {
    "boxes": ("AP", "AP50", "AR@100"),
    "lvis": ("AP fixed", "APr fixed", "APc fixed", "APf fixed", "AP standard"),
    "flickr30k": ("R@1 any", "R@1 merged", "upper bound any"),
    "refcoco": ("P@1 IoU", "P@5 IoU", "P@1 GIoU"),
    "presence": ("cgF1", "positive micro-F1", "image-level MCC"),
    "labels": (
        "precision all", "recall all", "f1 all", "f1 singular", "f1 plural", "f1 attribute", "calibration error",
    ),
}  # fmt: skip


def build_arguments(name: str, world: Path) -> list[str]:
    """Arguments of ``xdetr-data`` that make a dataset of ``TASKS``."""
    coco = f"--image-root=coco={world / 'photos/coco'}"
    kind, _, split = name.partition("-")
    if kind == "lvis":
        return ["build", "lvis", f"--annotations={world / 'lvis/lvis_v1_val.json'}", coco, "--split=val"]
    if kind == "mixed":
        roots = [f"--image-root={one}={world / 'photos' / one}" for one in ("coco", "vg", "flickr")]
        boxes = f"--coco-instances={world / 'coco/instances_val2014.json'}"
        return ["build-mixed-star", f"--mdetr={world / 'mdetr/final_mixed_val.json'}", boxes, *roots, "--split=val"]
    folder = world / {"flickr30k": "flickr30k_entities", "refcoco": "refcoco/refcoco"}[kind]
    if kind == "flickr30k":
        flickr = f"--image-root=flickr={world / 'photos/flickr'}"
        return ["build", kind, f"--entities={folder}", f"--ids={folder / f'{split}.txt'}", flickr, f"--split={split}"]
    files = [f"--refs={folder / 'refs(unc).p'}", f"--instances={folder / 'instances.json'}"]
    return ["build", kind, *files, coco, f"--split={split}"]


def dataset(name: str, world: Path, out: Path) -> Path:
    """A dataset, made if it is not there yet; raises CalledProcessError."""
    place = out / "data" / name
    if not (place / "manifest.json").is_file():
        call("pipelines.cli", *build_arguments(name, world), "--workers=0", f"--out={place}")
    return place


def labelled(ckpt: str, place: Path, world: Path, photos: int) -> Path:
    """Val narratives as a model labels them, all sentences of the first photos; raises CalledProcessError."""
    if not (place / "manifest.json").is_file():
        images = [f"--images={one}={world / 'photos' / one}" for one in NARRATED]
        narratives = f"--narratives={world}/locnar/*val*.jsonl"
        flags = [f"--ckpt={ckpt}", narratives, *images, f"--limit={photos}", "--method=multi", "--workers=0"]
        call("pipelines.cli", "pseudo-label", LABELS, *flags, f"--out={place}")
    return place


def write_truth(labels: Path, world: Path, place: Path) -> Path:
    """A dataset of the same photos and narratives with what the world's truth says of them, beside their labels."""
    files = sorted((world / "truth").glob("*.jsonl"))
    truths = {one.key: one for path in files for one in read_truth(path) if one.collection in NARRATED}
    source, folder = Folder(str(labels)), Folder(str(place))
    manifest = read_manifest(source)
    entries = []
    for stem, entry in zip(stems(manifest), manifest.shards, strict=True):
        samples = [
            Sample(true_record(one.record, truths[one.record.key]), one.photo) for one in read_samples(source, stem)
        ]
        rows, made = write_samples(folder, stem, samples)
        entries.append(msgspec.structs.replace(entry, rows=rows, files=made))
    write_manifest(folder, msgspec.structs.replace(manifest, recipe="toy truth", shards=entries, rejects=[]))
    return place


def true_record(record: GroundedImage, truth: PhotoTruth) -> GroundedImage:
    """The photo with all its objects and the mentions of its narratives."""
    one = Provenance(source="toyworld")
    regions = tuple(Region(box_xyxy=(*map(float, seen.box_xyxy),), provenance=one) for seen in truth.objects)
    queries = tuple(
        Query(
            text=text.text,
            group=f"{text.file}:{text.id}",
            phrases=tuple(Phrase(spans=(own.span,), regions=own.objects, provenance=one) for own in text.phrases),
        )
        for text in truth.texts
        if text.file.startswith("locnar/")
    )
    return msgspec.structs.replace(record, regions=regions, queries=queries)


def figures(file: Path, *arguments: str) -> Mapping[str, float | None]:
    """Figures of one ``xdetr-eval``, kept as JSON; raises CalledProcessError."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.evaluate.cli", *arguments, "--json"]
        file.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    [result] = msgspec.json.decode(file.read_bytes()).values()
    return {one["name"]: one["value"] for one in result["figures"]}


def tuned(kind: str, world: Path, out: Path, steps: int) -> str:
    """A checkpoint fine-tuned on the train photos of LVIS, Flickr30k or RefCOCO; raises CalledProcessError."""
    name = TUNED[kind]
    folder = out / name
    if not (folder / "run" / "model" / "config.json").is_file():
        for which, inputs in zip(("train", "val"), builds(world)[name], strict=True):
            if not (folder / which / "manifest.json").is_file():
                call(
                    "pipelines.cli", "build", *inputs, f"--split={which}", f"--out={folder / which}", "--workers=0"
                )  # fmt: skip
        after(name, folder, steps, 100)
    return str(folder / "run" / "model")


def rows(model: str, flags: argparse.Namespace) -> Iterator[str]:
    """Markdown rows of one model: dataset, evaluator, figures in per cent."""
    out, world = flags.out, flags.world
    ckpt = {"toy": str(START), "teacher": flags.teacher}.get(model)
    for name, tasks in TASKS.items():
        kind = name.partition("-")[0]
        if model == "tuned" and kind not in TUNED:
            continue
        own = ckpt or tuned(kind, world, out, flags.steps)
        for task in tasks:
            kept = out / "predictions" / f"{model}-{task}-{name}"
            given = (task, "--ckpt", own, "--data", str(dataset(name, world, out)), "--out", str(kept))
            found = figures(out / "figures" / f"{model}-{task}-{name}.json", *given)
            yield row(model, task, name, found)
    if ckpt:
        labels = labelled(ckpt, out / "data" / f"labels-{model}", world, flags.narratives)
        truth = out / "data" / f"truth-{model}"
        if not (truth / "manifest.json").is_file():
            write_truth(labels, world, truth)
        found = figures(out / "figures" / f"{model}-labels.json", "labels", str(labels), "--truth", str(truth))
        yield row(model, "labels", "locnar val", found)


def row(model: str, task: str, name: str, found: Mapping[str, float | None]) -> str:
    """One row of the table; RefCOCO's figures are called after their split, too."""
    names: Sequence[str] = SHOWN[task]
    values = [next(value for own, value in found.items() if own == one or own.startswith(f"{one} ")) for one in names]
    shown = " · ".join("–" if value is None else f"{100 * value:.1f}" for value in values)
    return f"| {task} | {name} | {' · '.join(names)} | {model} | {shown} |"


def main() -> None:
    """Prints the table, a row when it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--world", type=Path, required=True, help="toy world that the checkpoint was not trained on")
    add("--out", type=Path, required=True, help="folder for datasets, runs, predictions and figures")
    add("--teacher", help="a grounder's folder, as a Grounding DINO of random weights")
    add("--models", default="toy,teacher,tuned", help="some of toy, teacher, tuned (default: all)")
    add("--steps", type=int, default=300, help="of fine-tuning, four visits each (default: 300)")
    add("--narratives", type=int, default=300, help="photos that are labelled (default: 300)")
    flags = parser.parse_args()
    print("| evaluator | on | figure | model | % |\n|---|---|---|---|---|", flush=True)
    for model in flags.models.split(","):
        for line in rows(model, flags):
            print(line, flush=True)


if __name__ == "__main__":
    main()
