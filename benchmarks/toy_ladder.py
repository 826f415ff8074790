"""The paper's ladder on the toy world: what each rung brings, from three seeds, with their spread.

    xdetr-data toyworld --photos 12000 --seed 0 --out world
    xdetr-data toyworld --photos 2000 --seed 1000 --out unseen
    python -m benchmarks.toy_ladder --world world --unseen unseen --out ladder --steps 600

``mixed``: MDETR's paragraphs whole. ``mixed-star``: split into sentences. ``boxes``: with COCO's boxes. ``cc``: with
captions. ``locnar``: with the labels that the model of ``cc`` of the same seed gave to Localized Narratives: two
rounds, both from the same start. ``negative`` is ``boxes`` with textless boxes as negatives of every word.

All train on toy.yaml for the same number of steps with as many of people's paragraphs in each. Every command is printed
before it is run; datasets, runs and figures that are there already are kept, so that a ladder that was stopped goes on.
"""

import argparse
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.toy_checkpoint import FILES, SPLITS, measure
from pipelines.demo import locnar_arguments, mixed_star_arguments

RUN_FILE = Path(__file__).parents[1] / "manifests" / "runs" / "toy.yaml"
BATCH = {"full": 8, "pseudo": 4, "weak": 4}
# Of paragraphs, as in the paper's run files: a shard holds its photos by key, so that the few steps of a rung, drawn
# from toy.yaml's buffer of photos, may see those of one collection only.
BUFFER = 32768
TAGS = ("attribute", "held_out", "relation", "plural")
FIGURES = ("boxes/ap", "boxes/ap50", "boxes/ar100", *(f"phrases/{tag}/recall@1" for tag in TAGS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """Which dataset each source is, and what it says otherwise than toy.yaml."""

    sources: dict[str, str]
    settings: tuple[str, ...] = ()


RUNGS = {
    "mixed": Rung(sources={"full": "mixed"}),
    "mixed-star": Rung(sources={"full": "mixed-star"}),
    "boxes": Rung(sources={"full": "boxes"}),
    "cc": Rung(sources={"full": "boxes", "weak": "captions"}),
    "locnar": Rung(sources={"full": "boxes", "pseudo": "locnar", "weak": "captions"}),
    "negative": Rung(sources={"full": "boxes"}, settings=("model.config.textless_regions=negative",)),
}


def dataset_path(out: Path, name: str, seed: int) -> Path:
    """Where a dataset is; a model's labels are of its seed."""
    return out / "data" / (f"{name}-{seed}" if name == "locnar" else name)


def run_path(out: Path, rung: str, seed: int) -> Path:
    """Where the run of a rung is."""
    return out / "runs" / f"{rung}-{seed}"


def dataset_arguments(name: str, flags: argparse.Namespace, seed: int) -> list[str]:
    """Arguments of ``xdetr-data`` that make a dataset of ``RUNGS``."""
    world, out = flags.world, dataset_path(flags.out, name, seed)
    common = ["--workers", str(flags.workers)]
    if name == "locnar":
        teacher = str(run_path(flags.out, "cc", seed) / "model")
        labels = locnar_arguments(world, out, teacher, common)
        limit = [] if flags.narratives is None else ["--limit", str(flags.narratives)]
        return [*labels, "--method", "multi", "--trace", "filter", *limit]
    if name == "captions":
        files = ["--tsv", f"{world}/cc/train.tsv", "--images", f"{world}/cc"]
        return ["build", "captions", *files, *common, "--out", str(out)]
    made = mixed_star_arguments(world, out, common)
    return made + {"mixed": ["--no-split", "--boxes", "none"], "mixed-star": ["--boxes", "none"], "boxes": []}[name]


def train_arguments(name: str, flags: argparse.Namespace, seed: int) -> list[str]:
    """Arguments of ``xdetr-train`` for a rung."""
    rung = RUNGS[name]
    settings = [f"batch.{source}={size if source in rung.sources else 0}" for source, size in BATCH.items()]
    settings += ["data.unit=paragraph", f"data.buffer={BUFFER}", f"schedule.length={flags.steps}"]
    settings += [*rung.settings, *flags.set]
    datasets = [(f"--{s}", str(dataset_path(flags.out, d, seed))) for s, d in rung.sources.items()]
    return [
        *("--run", str(RUN_FILE), "--seed", str(seed)),
        *(word for pair in datasets for word in pair),
        *(word for one in settings for word in ("--set", one)),
        *("--out", str(run_path(flags.out, name, seed))),
    ]


def climb(name: str, flags: argparse.Namespace, seed: int) -> dict[str, float]:
    """The figures of a rung, made if they are not there yet; raises CalledProcessError."""
    file = flags.out / "figures" / f"{name}-{seed}.json"
    if not file.is_file():
        for dataset in RUNGS[name].sources.values():
            if not (dataset_path(flags.out, dataset, seed) / "manifest.json").is_file():
                if dataset == "locnar":
                    climb("cc", flags, seed)
                run_command("pipelines.cli", dataset_arguments(dataset, flags, seed))
        out = run_path(flags.out, name, seed)
        begun = (out / "started.json").is_file()
        run_command("pipelines.train", ["--resume", str(out)] if begun else train_arguments(name, flags, seed))
        found = measure(str(out / "model"), flags.unseen, SPLITS, FILES, flags.photos)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.encode(found.scalars()))
    return msgspec.json.decode(file.read_bytes(), type=dict[str, float])


def run_command(module: str, arguments: Sequence[str]) -> None:
    """Says a command as a user would write it, and runs it with this Python."""
    program = {"pipelines.cli": "xdetr-data", "pipelines.train": "xdetr-train"}[module]
    print(f"$ {program} {shlex.join(arguments)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


def table(figures: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """A Markdown table: mean of the seeds, and the least and the most of them."""
    lines = ["| rung | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    for rung, seeds in figures.items():
        cells = []
        for name in FIGURES:
            values = [one[name] for one in seeds if name in one]
            told = f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "none"
            cells.append(told)
        lines.append(f"| {rung} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--world", type=Path, required=True, help="toy world to train on")
    add("--unseen", type=Path, required=True, help="toy world of another seed, to evaluate on")
    add("--out", type=Path, required=True, help="folder for data/, runs/ and figures/")
    add("--rung", action="append", choices=list(RUNGS), help="repeatable (default: all)")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--steps", type=int, default=600, help="of every run (default: 600, about five minutes on two idle cores)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of toy.yaml, for all rungs")
    add("--narratives", type=int, metavar="N", help="label only the first N photos of the narratives")
    add("--photos", type=int, metavar="N", help="measure on the first N photos of each split")
    add("--workers", type=int, default=0, help="processes that build datasets (default: 0, in this one)")
    return parser.parse_args()


def main() -> None:
    """Builds, trains, labels, measures; prints the table, anew after every rung."""
    flags = arguments()
    figures: dict[str, list[dict[str, float]]] = {}
    for name in flags.rung or list(RUNGS):
        figures[name] = [climb(name, flags, seed) for seed in flags.seeds]
        print(f"{table(figures)}\n", flush=True)


if __name__ == "__main__":
    main()
