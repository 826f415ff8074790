"""The demo: the whole loop on a world that the project draws itself; each step says its command."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipelines import console
from xdetr_data.errors import XdetrDataError
from xdetr_data.manifest import read_manifest
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder
from xdetr_data.toyworld.truth import PhotoTruth, read_truth
from xdetr_data.validation.label_score import LabelScore, TrueMention, score_labels

Command = Callable[[list[str]], int | None]
Programs = Mapping[str, Command]  # command lines by what they are called: they run one and return its exit code

CHECKPOINT = "toy"
DATA, SEARCH = "xdetr-data", "xdetr-search"
SOUGHT = ("a red star", "the striped triangle", "a small blue circle")
NARRATED = ("openimages", "coco", "flickr")

# What labels are chosen by, beside --method paper --trace off, the first of the three datasets.
_RETHRESHOLDED = {
    "multi": ("--method", "multi"),
    "multi + trace": ("--method", "multi", "--trace", "filter"),
}


def run_demo(folder: Path, programs: Programs, *, photos: int, workers: int, seed: int) -> None:
    """Draws, builds, labels, reports, searches (with the extra ``search``) and scores; raises XdetrDataError where a
    step fails."""
    command = programs[DATA]
    world, mixed, locnar = folder / "world", folder / "mixed-star", folder / "locnar"
    common = ["--workers", str(workers), "--seed", str(seed)]
    _step(command, "draw a toy world in the formats of the real files", _draw(world, photos, common))
    _step(command, "build mixed* + boxes, without the benchmarks' photos", mixed_star_arguments(world, mixed, common))
    _step(
        command, "check everything that a training run relies on", ["validate", str(mixed), "--workers", str(workers)]
    )
    _step(
        command,
        "label the narratives' noun phrases with the bundled checkpoint",
        locnar_arguments(world, locnar, CHECKPOINT, common),
    )
    labelled = {"paper": locnar}
    for name, options in _RETHRESHOLDED.items():
        out = folder / f"locnar-{name.replace(' + ', '-')}"
        title = f"choose labels again from the kept candidates: {name}"
        _step(command, title, ["rethreshold", str(locnar), *options, "--workers", str(workers), "--out", str(out)])
        labelled[name] = out
    best = labelled["multi + trace"]
    reports = [folder / "mixed-star.html", folder / "locnar.html"]
    _step(command, "report on the shards, with pictures", ["report", str(mixed), "--out", str(reports[0])])
    _step(
        command,
        "report on the labels, beside those of more phrases",
        ["report", str(locnar), str(best), "--out", str(reports[1])],
    )
    if find_spec("faiss") is not None:
        reports.append(_search(programs[SEARCH], mixed, folder))
    print_scores({name: score_dataset(dataset, world) for name, dataset in labelled.items()})
    _say_results(mixed, best, reports)


def print_scores(scores: dict[str, LabelScore]) -> None:
    """The table of the demo: pseudo-labels against the truth of the toy world."""
    rows = [
        [
            name,
            f"{score.labels:,}",
            f"{score.right:,}",
            f"{score.truths:,}",
            *(f"{100 * value:.1f}" for value in (score.precision, score.recall, score.f1)),
        ]
        for name, score in scores.items()
    ]
    console.say()
    columns = ["labels chosen by", "labels", "right", "true boxes", "precision", "recall", "F1"]
    console.table("pseudo-labels against the truth (IoU 0.5)", columns, rows)


def score_dataset(dataset: Path, world: Path) -> LabelScore:
    """Compares the labels of a dataset of narratives with the truth of the toy world that it was made from."""
    truths = {
        photo.key: photo
        for path in sorted((world / "truth").glob("*.jsonl"))
        for photo in read_truth(path)
        if photo.collection in NARRATED
    }
    folder = Folder(str(dataset))
    total = LabelScore()
    for stem in stems(read_manifest(folder)):
        for record in read_records(folder, stem):
            total += score_labels(record, _mentions(truths[record.key]))
    return total


def _mentions(photo: PhotoTruth) -> dict[str, list[TrueMention]]:
    """The mentions of the photo's narratives, by their text."""
    return {
        text.text: [
            TrueMention(span=one.span, boxes_xyxy=np.array(photo.boxes_xyxy(one), dtype=np.float64).reshape(-1, 4))
            for one in text.phrases
        ]
        for text in photo.texts
        if text.file.startswith("locnar/")
    }


def _draw(world: Path, photos: int, common: Sequence[str]) -> list[str]:
    return ["toyworld", "--photos", str(photos), *common, "--out", str(world)]


def mixed_star_arguments(world: Path, out: Path, common: Sequence[str]) -> list[str]:
    """``build-mixed-star`` from a toy world, without the benchmarks' photos."""
    roots = [f"{source}={world}/photos/{source}" for source in ("coco", "vg", "flickr")]
    exclude = {
        "lvis/lvis_v1_val.json": "coco=",
        "refcoco/refcoco/refs(unc).p": "coco=",
        "flickr30k_entities/test.txt": "flickr=",
        "visual_genome/image_data.json": "",
    }
    return [
        "build-mixed-star",
        *("--mdetr", f"{world}/mdetr/final_mixed_train.json"),
        *("--mdetr", f"{world}/mdetr/final_flickr_separateGT_train.json"),
        *("--coco-instances", f"{world}/coco/instances_train2014.json"),
        *(flag for root in roots for flag in ("--image-root", root)),
        *(flag for name, source in exclude.items() for flag in ("--exclude", f"{source}{world}/{name}")),
        *common,
        *("--out", str(out)),
    ]


def locnar_arguments(world: Path, out: Path, checkpoint: str, common: Sequence[str]) -> list[str]:
    """``pseudo-label locnar`` from a toy world, without the benchmarks' photos."""
    return [
        *("pseudo-label", "locnar", "--ckpt", checkpoint),
        *("--narratives", f"{world}/locnar/*train*.jsonl"),
        *(flag for source in NARRATED for flag in ("--images", f"{source}={world}/photos/{source}")),
        *("--boxes", f"{world}/openimages/*train*bbox.csv", "--exclude", f"{world}/lvis/lvis_v1_val.json"),
        *common,
        *("--out", str(out)),
    ]


def _say_results(mixed: Path, locnar: Path, reports: Sequence[Path]) -> None:
    console.say()
    console.say(f"photos and labels of people: {mixed}")
    console.say(f"photos that a model labelled: {locnar}")
    for report in reports[:2]:
        console.say(f"pictures and figures, for a browser: {report}")
    for page in reports[2:]:
        console.say(f"what three sentences found:          {page}")
    console.say()
    console.say("next steps")
    console.say(f"  look at every label and mend it    xdetr-data qa {locnar}          (docs/review.md)")
    console.say(f"  train on both                      xdetr-train --run toy --full {mixed} …")
    console.say("                                     (docs/training.md)")
    if len(reports) > 2:
        console.say(f"  search on in the browser           {SEARCH} serve {reports[2].parent / 'index'}")
    console.say("  with the real files                README.md, 'With the real files'")


def _search(command: Command, dataset: Path, folder: Path) -> Path:
    """Indexes a dataset's photos and asks three queries; the page of their answers."""
    index, page = folder / "index", folder / "search.html"
    arguments = ["index", str(dataset), "--ckpt", CHECKPOINT, "--out", str(index), "--workers", "0"]
    _step(command, "objects of the photos as vectors, to search", arguments, SEARCH)
    arguments = ["query", str(index), *SOUGHT, "--top", "5", "--out", str(page)]
    _step(command, "the instances that three sentences mean, with a page of them", arguments, SEARCH)
    return page


def _step(command: Command, title: str, arguments: Sequence[str], program: str = DATA) -> None:
    console.say()
    console.say(f"# {title}")
    console.say(f"$ {program} {shlex.join(arguments)}")
    code = command(list(arguments))
    if code:
        raise XdetrDataError(f"the step '{title}' ended with code {code}; run its command by hand with --debug")
