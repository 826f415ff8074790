"""The toy world: photos a second with all files, memory, what is in it, and how well its paragraphs split back."""

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.measure import Measured, measure
from xdetr_data.spans import Span
from xdetr_data.stages.splitting.split_paragraph import split_paragraph
from xdetr_data.toyworld.truth import PhotoTruth, TextTruth, read_truth
from xdetr_data.toyworld.world import write_toyworld

_CODE = "import sys; from xdetr_data.toyworld.world import write_toyworld; "
_CALL = "write_toyworld(sys.argv[1], photos=int(sys.argv[2]), workers=int(sys.argv[3]))"
_MIXED = "mdetr/final_mixed_train.json"


def _draw(out: Path, photos: int, workers: int) -> Measured:
    return measure([sys.executable, "-c", _CODE + _CALL, str(out), str(photos), str(workers)], interval_s=0.1)


def _row(photos: int, workers: int, one: Measured) -> str:
    return (
        f"| {photos:,} | {workers} | {one.wall_s:.1f} s | {photos / one.wall_s:.0f} | {one.cpu_s:.1f} s "
        f"| {1000 * one.cpu_s / photos:.1f} ms | {one.peak_pss_bytes / 2**20:.0f} MiB |"
    )


def print_speed(sizes: list[int], workers: list[int]) -> None:
    """One row for each size of world and number of processes."""
    print(f"{len(os.sched_getaffinity(0))} cores, load before the run {os.getloadavg()[0]:.1f}\n")
    print("| photos | processes | wall | photos/s | CPU, all processes | CPU a photo | peak memory |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for photos in sizes:
        for count in workers:
            with tempfile.TemporaryDirectory() as folder:
                print(_row(photos, count, _draw(Path(folder) / "world", photos, count)), flush=True)


def print_census(truths: list[PhotoTruth]) -> None:
    """Objects a photo, and the texts and phrases of each kind of file."""
    objects = [len(truth.objects) for truth in truths]
    covered = sum(any(seen.visible_share < 0.97 for seen in truth.objects) for truth in truths)
    crowded = sum(any(seen.is_crowd for seen in truth.objects) for truth in truths)
    print(
        f"\n{len(truths):,} photos, {sum(objects) / len(objects):.1f} objects a photo (0 to {max(objects)}); "
        f"with a covered object {covered / len(truths):.0%}, with a crowd {crowded / len(truths):.0%}\n"
    )
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for text in (text for truth in truths for text in truth.texts):
        kind = re.sub(r"_(train|val|test).*", "", text.file) if text.file.startswith("mdetr") else text.file
        kind = kind if kind.startswith(("mdetr", "refcoco")) else kind.split("/")[0]
        counts[kind].update(["texts"], sentences=len(text.sentences))
        counts[kind].update(phrase.kind for phrase in text.phrases)
    columns = ("texts", "sentences", "attribute", "relation", "plural")
    print(f"| file | {' | '.join(columns)} |\n|---|{'--:|' * len(columns)}")
    for kind, found in sorted(counts.items()):
        print(f"| {kind} | {' | '.join(f'{found[column]:,}' for column in columns)} |")


def print_recovery(world: Path, truths: list[PhotoTruth]) -> None:
    """How many true cuts, and whole paragraphs, `split_paragraph` finds; and splitting at every mark beside it."""
    data = json.loads((world / _MIXED).read_bytes())
    spans: dict[int, list[list[Span]]] = defaultdict(list)
    for annotation in data["annotations"]:
        spans[annotation["image_id"]].append([(begin, end) for begin, end in annotation["tokens_positive"]])
    known: dict[str, TextTruth] = {text.id: text for truth in truths for text in truth.texts if text.file == _MIXED}
    result: Counter[str] = Counter()
    for image in data["images"]:
        negatives = [(begin, end) for begin, end in image["tokens_negative"]]
        split = split_paragraph(image["caption"], annotation_spans=spans[image["id"]], negative_spans=negatives)
        true = {begin for begin, _ in known[str(image["id"])].sentences} - {0}
        cuts = {begin for begin, _ in split.sentences} - {0}
        marks = {mark.end() for mark in re.finditer(r"[.?] ", image["caption"])}
        result.update(paragraphs=1, exact=cuts == true, exact_at_every_mark=marks == true)
        result.update(cuts=len(true), found=len(true & cuts), false=len(cuts - true))
    paragraphs = result["paragraphs"]
    print(
        f"\n{paragraphs:,} paragraphs of {_MIXED}: {result['exact'] / paragraphs:.2%} split exactly (at every mark: "
        f"{result['exact_at_every_mark'] / paragraphs:.1%}); {result['found']:,} of {result['cuts']:,} cuts found, "
        f"{result['false']} false"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="*", default=[500, 4000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--census", type=int, default=2000, help="photos of the world that is counted and split back")
    options = parser.parse_args()
    print_speed(options.photos, options.workers)
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        write_toyworld(world, photos=options.census, workers=2)
        truths = [truth for path in sorted((world / "truth").glob("*.jsonl")) for truth in read_truth(path)]
        print_census(truths)
        print_recovery(world, truths)


if __name__ == "__main__":
    main()
