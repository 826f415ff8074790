"""How well a checkpoint finds objects and phrases in a toy world that it was not trained on.

    xdetr-data toyworld --photos 2000 --seed 1000 --out unseen
    python -m benchmarks.toy_checkpoint --ckpt runs/toy/model --world unseen

Boxes count whatever they show. Phrases are grounded in their sentence and reported by what the truth says of them:
``attribute`` the words alone tell which object, ``held_out`` the same with attributes never seen together in training,
``relation`` the rest of the sentence (or the object's place among its kin) must tell, ``plural`` they name several.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipelines.train.labelled import toy_photos
from xdetr_model.checkpoints.directory import load_checkpoint
from xdetr_model.evaluate.driver import Evaluation, evaluate
from xdetr_model.photos import PhotoTransform

SPLITS = ("val", "test")
FILES = ("mdetr/",)


def measure(ckpt: str, world: Path, splits: Sequence[str], files: Sequence[str], limit: int | None) -> Evaluation:
    """Figures of a checkpoint on a world; raises the errors of both."""
    checkpoint = load_checkpoint(ckpt)
    transform = PhotoTransform.from_processor(checkpoint.image_processor)
    photos = toy_photos(world, splits, files, limit)
    return evaluate(checkpoint.model, checkpoint.tokenizer, transform, photos, batch_size=16)


def table(found: Evaluation) -> str:
    """Two Markdown tables: boxes, and phrases by kind."""
    lines = ["| photos | boxes | AP | AP50 | AP75 | recall@100 |", "|---|---|---|---|---|---|"]
    if (boxes := found.boxes) is not None:
        lines.append(
            f"| {boxes.photos:,} | {boxes.regions:,} | {boxes.ap:.3f} | {boxes.ap50:.3f} | {boxes.ap75:.3f} "
            f"| {boxes.ar100:.3f} |"
        )
    lines += ["", "| phrases | how many | recall@1 | recall@5 | recall@10 |", "|---|---|---|---|---|"]
    for tag, one in found.phrases.items():
        recalls = " | ".join(f"{value:.3f}" for value in one.recall.values())
        lines.append(f"| {tag} | {one.phrases:,} | {recalls} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", required=True, help="checkpoint directory: RUN/model or RUN/best")
    parser.add_argument("--world", type=Path, required=True, help="a toy world of another seed")
    parser.add_argument("--split", action="append", help=f"repeatable (default: {' '.join(SPLITS)})")
    parser.add_argument(
        "--texts", action="append", help=f"beginning of the files whose texts count (default: {' '.join(FILES)})"
    )
    parser.add_argument("--limit", type=int, help="only the first N photos of each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    flags = parser.parse_args()
    began = time.perf_counter()
    found = measure(flags.ckpt, flags.world, flags.split or SPLITS, flags.texts or FILES, flags.limit)
    print(msgspec.json.encode(found.scalars()).decode() if flags.json else table(found))
    if not flags.json:
        print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
