"""The sources of ``pseudo-label`` beside each other: the same photos and words, told in each of the ways.

    xdetr-data toyworld --photos 2000 --seed 1000 --out unseen
    python -m benchmarks.label_sources --world unseen --out out/label-sources

The narrated OpenImages photos of a toy world are labelled by the bundled checkpoint from their narratives, from the
same words as captions in a table (``captions``) and beside the photos (``photos``), and by the names of all shapes
(``--classes``), each as a user would; labels are judged against the world's truth. Precision, recall and F1 in per
cent; ``--method multi``; every second class has a synonym and a negative prompt.
"""

import argparse
import csv
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.finetuning import START, call
from xdetr_data.manifest import read_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder
from xdetr_data.toyworld.truth import PhotoTruth, read_truth
from xdetr_data.validation.label_score import Judgement, TrueMention, join_judgements, judge_labels

COLLECTION = "openimages"
Known = Mapping[str, Sequence[TrueMention]]


def photos_of(world: Path) -> list[PhotoTruth]:
    """The narrated photos of the collection."""
    files = sorted((world / "truth").glob("*.jsonl"))
    found = [one for path in files for one in read_truth(path) if one.collection == COLLECTION]
    return [one for one in found if narratives(one)]


def narratives(photo: PhotoTruth) -> Known:
    """What the truth says of each narrative's mentions."""
    return {
        text.text: [
            TrueMention(span=own.span, boxes_xyxy=np.array(photo.boxes_xyxy(own), np.float64).reshape(-1, 4))
            for own in text.phrases
        ]
        for text in photo.texts
        if text.file.startswith("locnar/")
    }


def shapes(photo: PhotoTruth, names: Sequence[str]) -> Known:
    """Every class with the boxes of its objects, none where there is none."""
    boxes = defaultdict[str, list[tuple[int, ...]]](list)
    for one in photo.objects:
        boxes[one.shape].append(one.box_xyxy)
    return {
        name: [TrueMention(span=(0, len(name)), boxes_xyxy=np.array(boxes[name], np.float64).reshape(-1, 4))]
        for name in names
    }


def judged(out: Path, truths: Mapping[str, PhotoTruth], known: Callable[[PhotoTruth], Known]) -> Judgement:
    """All photos of a labelled dataset."""
    folder = Folder(str(out))
    manifest = read_manifest(folder)
    records: Iterator[GroundedImage] = (one for stem in stems(manifest) for one in read_records(folder, stem))
    return join_judgements(
        judge_labels(record, known(truths[record.image.file_name.rpartition("/")[2]])) for record in records
    )


def row(name: str, seconds: float, found: Judgement) -> str:
    """A row of the table."""
    score = found.scores()["all"]
    shown = f"{100 * score.precision:.1f} | {100 * score.recall:.1f} | {100 * score.f1:.1f}"
    return f"| {name} | {score.labels:,} | {score.truths:,} | {shown} | {seconds:.0f} |"


def label(out: Path, *args: str) -> float:
    """Runs one command; seconds that it took, from the start of its process."""
    started = time.monotonic()
    common = (f"--ckpt={START}", "--method=multi", "--workers=0", "--overwrite", f"--out={out}")
    call("pipelines.cli", "pseudo-label", *args, *common)
    return time.monotonic() - started


def rows(world: Path, out: Path, thresholds: Sequence[float]) -> Iterator[str]:
    """The table, a row when it is known; raises CalledProcessError."""
    photos = photos_of(world)
    truths = {one.file_name: one for one in photos}
    mine = out / "photos"
    shutil.rmtree(out, ignore_errors=True)
    mine.mkdir(parents=True)
    with (out / "captions.tsv").open("w", newline="") as stream:
        table = csv.writer(stream, delimiter="\t")
        table.writerow(("path", "caption"))
        for one in photos:
            shutil.copy(world / "photos" / COLLECTION / one.file_name, mine)
            texts = list(narratives(one))
            (mine / one.file_name).with_suffix(".txt").write_text(texts[0])
            table.writerows((one.file_name, text) for text in texts)
    told = [f"--narratives={world}/locnar/open_images_*.jsonl", f"--images=openimages={mine}"]
    first = {one.file_name: dict(list(narratives(one).items())[:1]) for one in photos}
    yield row("locnar", label(out / "locnar", "locnar", *told), judged(out / "locnar", truths, narratives))
    table_of = ("captions", f"--images={mine}", f"--tsv={out / 'captions.tsv'}")
    yield row("captions", label(out / "captions", *table_of), judged(out / "captions", truths, narratives))
    seconds = label(out / "beside", "photos", str(mine))
    yield row("photos", seconds, judged(out / "beside", truths, lambda one: first[one.file_name]))
    yield from by_class(out, mine, truths, thresholds)


def by_class(out: Path, mine: Path, truths: Mapping[str, PhotoTruth], thresholds: Sequence[float]) -> Iterator[str]:
    """Classes at several thresholds, from one run of the model."""
    counts = Counter(seen.shape for one in truths.values() for seen in one.objects)
    names = sorted(counts)
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    seconds = label(out / "classes", "photos", str(mine), f"--classes={out / 'classes.txt'}", "--score-threshold=-1")
    for threshold in thresholds:
        chosen = out / f"classes-{threshold}"
        call("pipelines.cli", "rethreshold", str(out / "classes"), f"--score-threshold={threshold}", f"--out={chosen}",
             "--workers=0")  # fmt: skip
        found = judged(chosen, truths, lambda one: shapes(one, names))
        yield row(f"photos --classes ({len(names)}), threshold {threshold}", seconds, found)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--world", type=Path, required=True, help="toy world that the checkpoint was not trained on")
    add("--out", type=Path, required=True, help="folder for what is labelled; emptied")
    add("--thresholds", default="0.3,0.4,0.5,0.6", help="of classes")
    flags = parser.parse_args()
    print("| source | labels | true boxes | precision | recall | F1 | s |\n|---|---:|---:|---:|---:|---:|---:|")
    for line in rows(flags.world, flags.out, [float(one) for one in flags.thresholds.split(",")]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
