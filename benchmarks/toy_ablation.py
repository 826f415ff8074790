"""A small version of the paper's ablation on the toy world: what more data than plain *mixed* brings.

    xdetr-data toyworld --photos 12000 --seed 0 --out world
    xdetr-data toyworld --photos 2000 --seed 1000 --out unseen
    python -m benchmarks.toy_ablation --world world --unseen unseen --ckpt runs/toy/model --out ablation --steps 2000

``mixed``: MDETR's paragraphs whole, one a photo and step, no further boxes. ``all``: mixed* + boxes, pseudo-labels of
``--ckpt`` and photos with captions. Both train on toy.yaml for the same number of steps with as many photos of people's
labels in each. Every command is printed before it is run; datasets and runs that are there already are kept.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.toy_checkpoint import FILES, SPLITS, measure, table
from pipelines.demo import locnar_arguments, mixed_star_arguments

RUN_FILE = Path(__file__).parents[1] / "manifests" / "runs" / "toy.yaml"
BATCH = {"full": 8, "pseudo": 4, "weak": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Which dataset each source is, and what a visit to a photo takes of it."""

    sources: dict[str, str]
    unit: str


ARMS = {
    "mixed": Arm(sources={"full": "mixed"}, unit="paragraph"),
    "all": Arm(sources={"full": "mixed-star", "pseudo": "locnar", "weak": "captions"}, unit="photo"),
}


def dataset_arguments(name: str, flags: argparse.Namespace) -> list[str]:
    """Arguments of ``xdetr-data`` that make a dataset of ``ARMS``."""
    world, out = flags.world, flags.out / "data" / name
    common = ["--workers", str(flags.workers)]
    if name == "locnar":
        labels = locnar_arguments(world, out, flags.ckpt, common)
        limit = [] if flags.narratives is None else ["--limit", str(flags.narratives)]
        return [*labels, "--method", "multi", "--trace", "filter", *limit]
    if name == "captions":
        files = ["--tsv", f"{world}/cc/train.tsv", "--images", f"{world}/cc"]
        return ["build", "captions", *files, *common, "--out", str(out)]
    made = mixed_star_arguments(world, out, common)
    return [*made, "--no-split", "--boxes", "none"] if name == "mixed" else made


def train_arguments(name: str, flags: argparse.Namespace) -> list[str]:
    """Arguments of ``xdetr-train`` for an arm."""
    arm, out = ARMS[name], flags.out / "runs" / name
    batch = {source: size if source in arm.sources else 0 for source, size in BATCH.items()}
    settings = [f"batch.{source}={size}" for source, size in batch.items()]
    settings += [f"data.unit={arm.unit}", f"schedule.length={flags.steps}", *flags.set]
    datasets = [(f"--{source}", str(flags.out / "data" / dataset)) for source, dataset in arm.sources.items()]
    return [
        *("--run", str(RUN_FILE), "--seed", str(flags.seed)),
        *(word for pair in datasets for word in pair),
        *(word for one in settings for word in ("--set", one)),
        *("--out", str(out)),
    ]


def build_datasets(arms: Sequence[str], flags: argparse.Namespace) -> None:
    """All datasets of the arms that are not there yet; raises CalledProcessError."""
    wanted = dict.fromkeys(dataset for arm in arms for dataset in ARMS[arm].sources.values())
    for name in wanted:
        if not (flags.out / "data" / name / "manifest.json").is_file():
            run_command("pipelines.cli", dataset_arguments(name, flags))


def train_arm(name: str, flags: argparse.Namespace) -> None:
    """Trains, or goes on with what was begun; raises CalledProcessError."""
    out = flags.out / "runs" / name
    begun = (out / "started.json").is_file()
    run_command("pipelines.train", ["--resume", str(out)] if begun else train_arguments(name, flags))


def run_command(module: str, arguments: Sequence[str]) -> None:
    """Says a command as a user would write it, and runs it with this Python."""
    program = {"pipelines.cli": "xdetr-data", "pipelines.train": "xdetr-train"}[module]
    print(f"$ {program} {shlex.join(arguments)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", module, *arguments], check=True)


def arguments() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--world", type=Path, required=True, help="toy world to train on")
    add("--unseen", type=Path, required=True, help="toy world of another seed, to evaluate on")
    add("--ckpt", required=True, help="checkpoint that makes the pseudo-labels")
    add("--out", type=Path, required=True, help="folder for data/ and runs/")
    add("--arm", action="append", choices=sorted(ARMS), help="repeatable (default: both)")
    add("--steps", type=int, default=2000, help="of either arm (default: 2000)")
    add("--seed", type=int, default=0)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of toy.yaml, for both arms")
    add("--narratives", type=int, metavar="N", help="label only the first N photos of the narratives")
    add("--workers", type=int, default=0, help="processes that build datasets (default: 0, in this one)")
    add("--datasets-only", action="store_true", help="build the datasets and stop")
    return parser.parse_args()


def main() -> None:
    """Builds, trains, evaluates; prints the tables of each arm."""
    flags = arguments()
    arms = flags.arm or list(ARMS)
    build_datasets(arms, flags)
    if flags.datasets_only:
        return
    for name in arms:
        train_arm(name, flags)
        found = measure(str(flags.out / "runs" / name / "model"), flags.unseen, SPLITS, FILES, None)
        (flags.out / f"{name}.json").write_bytes(msgspec.json.encode(found.scalars()))
        print(f"## {name}\n\n{table(found)}\n", flush=True)


if __name__ == "__main__":
    main()
