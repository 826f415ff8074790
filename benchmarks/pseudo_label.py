"""What multi and the mouse trace are worth, how busy the model is kept, and what rethreshold costs.

    python -m benchmarks.pseudo_label quality --fixtures ../shared/fixtures
    python -m benchmarks.pseudo_label consensus
    python -m benchmarks.pseudo_label tune
    python -m benchmarks.pseudo_label speed

``quality``: labels from a noisy grounder (``benchmarks.noisy_grounder``) against the truth. ``consensus``: what two of
them agree on. ``tune``: the same on
another toy world, over a grid of options. ``speed``: the command's grounding with the toy model, beside a loop that
replays the same calls of the same model on photos that lie ready in memory.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.noisy_grounder import GOOD, WEAK, Noise, NoisyGrounder, TruePhoto, derived_truth, toy_truth
from pipelines.engine import run
from pipelines.labelling.label import label_photo
from pipelines.labelling.models import load_grounder
from pipelines.labelling.options import LabelOptions, ModelOptions
from pipelines.labelling.rethreshold import rethreshold
from pipelines.labelling.trail import read_grounded
from pipelines.recipes.locnar import LocnarOptions, recipe
from xdetr_data.shards.grounded import GroundedPhoto
from xdetr_data.shards.writer import read_stats
from xdetr_data.storage import Folder
from xdetr_data.toyworld.world import write_toyworld
from xdetr_data.validation.label_score import LabelScore, TrueMention, score_labels

PATHS: dict[str, dict[str, Any]] = {
    "paper": {},
    "multi": {"method": "multi"},
    "paper, trace filter": {"trace": "filter"},
    "multi, trace filter": {"method": "multi", "trace": "filter"},
}
NOISES = {"good": GOOD, "weak": WEAK}


def grounded_by(
    photos: Mapping[str, TruePhoto], images: Path, narratives: str, source: str, *noises: Noise
) -> list[GroundedPhoto]:
    """The audit trail of a run with noisy grounders, called 0, 1 …"""
    with tempfile.TemporaryDirectory() as scratch:
        teachers = tuple(f"{number}=noisy" for number in range(len(noises)))
        options = LocnarOptions(ckpt=teachers, narratives=(narratives,), images={source: str(images)})
        out = Folder(scratch)
        waiting = itertools.cycle(range(len(noises)))  # checkpoints are loaded in their order, each time all of them

        def load(name: str, *, device: str, precision: str, batch_size: int) -> NoisyGrounder:
            number = next(waiting)
            return NoisyGrounder(photos, images, noises[number], seed=number)

        manifest = run.run_recipe(recipe(options, load=load), out, workers=0, existing="refuse")
        return [one for shard in range(len(manifest.shards)) for one in read_grounded(out, shard)]


def score(
    trail: Sequence[GroundedPhoto],
    photos: Mapping[str, TruePhoto],
    options: Mapping[str, Any],
    teachers: Sequence[str] = ("0",),
) -> LabelScore:
    """Compares the labels that these options choose with the truth."""
    rule = LabelOptions(**options)
    total = LabelScore()
    for grounded in trail:
        photo = photos[grounded.image.file_name]
        captions = {
            text: [TrueMention(span=one.span, boxes_xyxy=photo.boxes_xyxy[list(one.objects)]) for one in mentions]
            for text, mentions in photo.captions.items()
        }
        record = label_photo(grounded, rule, teachers).record
        assert record is not None
        total += score_labels(record, captions)
    return total


def toy_set(scratch: Path, seed: int, photos: int) -> tuple[dict[str, TruePhoto], Path, str, str]:
    """The OpenImages photos of a toy world."""
    world = scratch / f"world{seed}"
    if not world.exists():
        write_toyworld(world, photos=photos, seed=seed)
    narratives = next((world / "locnar").glob("open_images_train*.jsonl"))
    return toy_truth(world, "openimages"), world / "photos/openimages", str(narratives), "openimages"


def quality(scratch: Path, fixtures: Path, photos: int) -> None:
    """Prints the table."""
    sets = {"toy world, seed 1": toy_set(scratch, 1, photos)}
    folder = fixtures / "derived/open_images"
    if folder.is_dir():
        narratives = str(next(folder.glob("open_images_train*.jsonl")))
        sets["derived fixture"] = derived_truth(folder), folder / "train", narratives, "openimages"
    print("| set | grounder | labels chosen by | labels | precision | recall | F1 |")
    print("|---|---|---|---:|---:|---:|---:|")
    for (name, given), (kind, noise) in itertools.product(sets.items(), NOISES.items()):
        trail = grounded_by(*given, noise)
        for path, options in PATHS.items():
            counted = score(trail, given[0], options)
            figures = " | ".join(f"{100 * one:.1f}" for one in (counted.precision, counted.recall, counted.f1))
            print(f"| {name} | {kind} | {path} | {counted.labels:,} | {figures} |")


def consensus(scratch: Path, photos: int) -> None:
    """Prints what two noisy grounders are worth, each alone and together."""
    given = toy_set(scratch, 1, photos)
    print("| teachers | labels of | labels | precision | recall | F1 |\n|---|---|---:|---:|---:|---:|")
    for kinds in (("weak", "weak"), ("good", "good"), ("good", "weak")):
        trail = grounded_by(*given, *(NOISES[kind] for kind in kinds))
        for way in ("0", "1", "any", "majority"):
            counted = score(trail, given[0], {"method": "multi", "consensus": way}, ("0", "1"))
            figures = " | ".join(f"{100 * one:.1f}" for one in (counted.precision, counted.recall, counted.f1))
            who = f"the {'first' if way == '0' else 'second'} alone" if way.isdigit() else f"`{way}`"
            print(f"| {' and '.join(kinds)} | {who} | {counted.labels:,} | {figures} |", flush=True)


GRID: dict[str, dict[str, Sequence[float]]] = {
    "multi": {"relative_threshold": (0.4, 0.5, 0.6, 0.7, 0.8), "nms_iou": (0.3, 0.5, 0.7), "max_plural": (3, 10)},
    "paper, trace filter": {"min_agreement": (0.0, 0.05, 0.1, 0.2, 0.3), "trace_weight": (0.25, 0.5, 1, 2)},
    "multi, trace filter": {
        "relative_threshold": (0.4, 0.5, 0.6, 0.7),
        "min_agreement": (0.05, 0.1, 0.2),
        "trace_weight": (0.25, 0.5, 1),
    },
}


def tune(scratch: Path, photos: int) -> None:
    """Prints the best options of each path, and how the defaults do, on the world with seed 0."""
    given = toy_set(scratch, 0, photos)
    for kind, noise in NOISES.items():
        trail = grounded_by(*given, noise)
        for path, axes in GRID.items():
            tried = [PATHS[path] | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
            results = sorted(((score(trail, given[0], one).f1, i) for i, one in enumerate(tried)), reverse=True)
            print(f"{kind}, {path}: defaults {100 * score(trail, given[0], PATHS[path]).f1:.1f}")
            for f1, i in results[:5]:
                print(f"    {100 * f1:.1f} {tried[i]}")


@dataclass(slots=True)
class Recorder:
    """A grounder that hands on to another and remembers the calls."""

    grounder: Any
    calls: list[tuple[Any, ...]]

    def prepare(self, photo: Any) -> Any:
        """As the other does."""
        return self.grounder.prepare(photo)

    def ground_prepared(self, *call: Any) -> Any:
        """As the other does."""
        self.calls.append(call)
        return self.grounder.ground_prepared(*call)

    def forget(self) -> None:
        """As the other does."""
        self.calls.append(())
        self.grounder.forget()

    def fingerprint(self) -> str:
        """As the other does."""
        return str(self.grounder.fingerprint())


def save_toy_checkpoint(folder: Path) -> None:
    """The toy preset with random weights."""
    from xdetr_model import XDetrModel, preset, save_checkpoint
    from xdetr_model.checkpoints.directory import ModelCard

    toy = preset("xdetr-toy")
    assert toy.tokenizer is not None
    card = ModelCard(title="random", description="random weights")
    save_checkpoint(folder, XDetrModel(toy.config), toy.tokenizer, toy.image_processor(), card)


def speed(scratch: Path, photos: int, rounds: int) -> None:
    """Prints photos a second of the command and of the bare loop, round by round, and what rethreshold takes."""
    _, images, narratives, source = toy_set(scratch, 1, photos)
    save_toy_checkpoint(scratch / "ckpt")
    options = LocnarOptions(
        ckpt=(str(scratch / "ckpt"),),
        narratives=(narratives,),
        images={source: str(images)},
        labels=LabelOptions(score_threshold=-1.0),
        model=ModelOptions(device="cpu"),
    )
    calls: list[tuple[Any, ...]] = []

    def recording(name: str, **options: Any) -> Recorder:
        return Recorder(load_grounder(name, **options), calls)

    run_once(options, scratch / "recorded", recording)
    bare_grounder = load_grounder(
        options.ckpt[0], device="cpu", precision="float32", batch_size=options.model.batch_size
    )
    total = sum(len(call[0]) for call in calls if call)
    print(f"{total} photos, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    walls = []
    for number in range(rounds):
        begin = time.perf_counter()
        for call in calls:
            bare_grounder.ground_prepared(*call) if call else bare_grounder.forget()
        bare_s = time.perf_counter() - begin
        fresh_s, grounding_s, waiting = run_once(options, scratch / f"run{number}", load_grounder)
        walls.append(bare_s / grounding_s)
        print(
            f"round {number}: bare {total / bare_s:.1f} photos/s, command's grounding {total / grounding_s:.1f} "
            f"(waiting {waiting:.1%}), ratio {walls[-1]:.1%}; load {os.getloadavg()[0]:.0f}",
            flush=True,
        )
    print(f"median ratio: {np.median(walls):.1%}")
    begin = time.perf_counter()
    changes = {"method": "multi", "trace": "filter"}
    rethreshold(Folder(str(scratch / "run0")), Folder(str(scratch / "again")), changes, workers=0, existing="refuse")
    again_s = time.perf_counter() - begin
    print(f"rethreshold {again_s:.2f} s, fresh run {fresh_s:.2f} s: {fresh_s / again_s:.0f} times")


def run_once(options: LocnarOptions, out: Path, load: Any) -> tuple[float, float, float]:
    """Seconds of the run and of its grounding, and the share of the grounding that the model waited for photos."""
    folder = Folder(str(out))
    begin = time.perf_counter()
    manifest = run.run_recipe(recipe(options, load=load), folder, workers=0, existing="refuse")
    whole_s = time.perf_counter() - begin
    stats = [read_stats(folder, manifest.trail_prefix, one.shard) for one in manifest.trail]
    seconds = sum(one.seconds for one in stats if one)
    waiting_s = sum((one.waiting_share or 0) * one.seconds for one in stats if one)
    return whole_s, seconds, waiting_s / seconds


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["quality", "consensus", "tune", "speed"])
    parser.add_argument("--fixtures", type=Path, default=Path("../shared/fixtures"))
    parser.add_argument(
        "--photos", type=int, default=2000, help="of the toy world, of which 350 are narrated OpenImages"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.what == "quality":
            quality(scratch, options.fixtures, options.photos)
        elif options.what == "consensus":
            consensus(scratch, options.photos)
        elif options.what == "tune":
            tune(scratch, options.photos)
        else:
            speed(scratch, options.photos, options.rounds)


if __name__ == "__main__":
    main()
