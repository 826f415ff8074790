"""The command lines whose output is compared.

In an argument ``{world}`` is the toy world, ``{packed}`` its inputs as .gz, ``{damaged}`` its damaged copy, ``{ckpt}``
the bundled checkpoint, ``{own}`` where the tree's own earlier builds are and ``{before}`` where the first tree's are.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PHOTOS = tuple(f"--image-root={source}={{world}}/photos/{source}" for source in ("coco", "vg", "flickr"))
_MDETR = ("--mdetr={world}/mdetr/final_mixed_train.json", "--mdetr={world}/mdetr/final_flickr_separateGT_train.json")
_COCO = ("--coco-instances={world}/coco/instances_train2014.json",)
_LISTS = ("lvis/lvis_v1_val.json", "refcoco/refcoco/refs(unc).p", "flickr30k_entities/test.txt")
_EXCLUDE = tuple(f"--exclude={{world}}/{name}" for name in _LISTS)
_MIXED = ("build-mixed-star", *_MDETR, *_PHOTOS)
_STAR = (*_MIXED, *_COCO, *_EXCLUDE)
_REFCOCO = ("build-mixed-star", "--mdetr={world}/mdetr/finetune_refcoco_train.json", *_PHOTOS)

_CAPTIONS = ("build", "captions", "--tsv={world}/cc/train.tsv", "--images={world}/cc")

_NARRATED = tuple(f"--images={source}={{world}}/photos/{source}" for source in ("openimages", "coco", "flickr"))
_ROWS = ("--boxes={world}/openimages/*train*bbox.csv",)
_LABEL = (
    *("pseudo-label", "locnar", "--ckpt={ckpt}", "--device=cpu", "--narratives={world}/locnar/*train*.jsonl"),
    *(*_NARRATED, *_ROWS, "--exclude={world}/lvis/lvis_v1_val.json"),
)
_NAMES = ("--class-descriptions={world}/openimages/class-descriptions-boxable.csv",)
_FLAGS = ("--group-of=keep", "--inside=keep", "--depiction=drop")
_SMALL = "--shard-bytes=300kB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A command line; ``code`` is the exit code that it must have with the first tree, ``writes`` whether it makes a
    dataset."""

    name: str
    arguments: tuple[str, ...]
    workers: int = 0
    code: int = 0
    writes: bool = True

    def command(self, places: dict[str, str], out: Path) -> list[str]:
        """The arguments with the places put in."""
        filled = [argument.format_map(places) for argument in self.arguments]
        return [*filled, f"--workers={self.workers}", *([f"--out={out}"] if self.writes else [])]


def _damaged(arguments: Sequence[str]) -> tuple[str, ...]:
    return tuple(argument.replace("{world}", "{damaged}") for argument in arguments)


def _packed(arguments: Sequence[str]) -> tuple[str, ...]:
    """The inputs that are text, from the folder of packed files."""
    ends = (".json", ".csv", ".tsv", ".jsonl")
    return tuple(
        f"{argument.replace('{world}', '{packed}')}.gz"
        if argument.endswith(ends) and not argument.startswith("--exclude")
        else argument
        for argument in arguments
    )


BUILDS = (
    Build(name="mixed", arguments=(*_MIXED, "--no-split", "--boxes=none")),
    Build(name="mixed-star", arguments=(*_MIXED, "--boxes=none", "--json")),
    Build(name="mixed-star-boxes", arguments=(*_STAR, "--json")),
    Build(name="mixed-star-shards", arguments=(*_STAR, _SMALL, "--seed=3", "--split=val"), workers=2),
    Build(name="mixed-star-metadata", arguments=(*_MIXED, *_COCO, "--metadata-only")),
    Build(name="mixed-star-limit", arguments=(*_STAR, "--limit=17")),
    Build(name="mixed-star-merge", arguments=(*_STAR, "--merge-iou=coco=0.5", "--dedupe-iou=0.4", "--crowd=keep")),
    Build(name="mixed-star-packed", arguments=(*_packed(_STAR), _SMALL)),
    Build(name="mixed-star-refcoco", arguments=(*_REFCOCO, *_COCO, "--boxes=coco")),
    Build(name="mixed-star-plan", arguments=(*_STAR, "--dry-run", "--json"), writes=False),
    Build(name="mixed-star-damaged", arguments=(*_damaged(_STAR), _SMALL, "--json"), code=3),
    Build(name="mixed-damaged", arguments=(*_damaged(_MIXED), "--no-split", "--boxes=none", "--metadata-only")),
    Build(name="refcoco-damaged", arguments=_damaged((*_REFCOCO, *_COCO)), code=3),
    Build(name="mixed-star-errors", arguments=(*_damaged(_STAR), "--max-error-rate=1")),
    Build(name="mixed-star-cut", arguments=(*_REFCOCO, *_COCO, "--mdetr={damaged}/cut.json"), code=1),
    Build(name="captions", arguments=(*_CAPTIONS, "--json")),
    Build(name="captions-shards", arguments=(*_CAPTIONS, "--shard-bytes=30kB", "--source=web", "--seed=5"), workers=2),
    Build(name="captions-packed", arguments=(*_packed(_CAPTIONS), "--limit=4")),
    Build(name="captions-plan", arguments=(*_CAPTIONS, "--dry-run", "--json"), writes=False),
    Build(name="captions-damaged", arguments=(*_damaged(_CAPTIONS), "--json"), code=3),
    Build(name="captions-cut", arguments=(*_CAPTIONS, "--images={damaged}/cut.tar"), code=1),
    Build(name="paper", arguments=(*_LABEL, "--json")),
    Build(name="multi", arguments=(*_LABEL, *_NAMES, *_FLAGS, "--method=multi", _SMALL), workers=2),
    Build(name="multi-trace", arguments=(*_LABEL, *_NAMES, "--method=multi", "--trace=filter")),
    Build(name="paper-packed", arguments=(*_packed(_LABEL), "--trace=score", "--limit=12", "--keep-candidates=3")),
    Build(name="labels-plan", arguments=(*_LABEL, "--dry-run", "--json"), writes=False),
    Build(name="labels-damaged", arguments=(*_damaged((*_LABEL, *_NAMES)), "--trace=filter", _SMALL), code=3),
    Build(name="rethreshold-multi", arguments=("rethreshold", "{own}/paper", "--method=multi", "--json")),
    Build(name="rethreshold-of-before", arguments=("rethreshold", "{before}/multi", "--trace=filter"), workers=2),
    Build(
        name="rethreshold-damaged",
        arguments=("rethreshold", "{own}/labels-damaged", "--score-threshold=0.4", "--trace=off"),
    ),
    Build(name="validate-of-before", arguments=("validate", "{before}/mixed-star-shards", "--json"), writes=False),
)


def write_packed(world: Path, out: Path) -> None:
    """The inputs as .gz, with the same bytes each time."""
    for path in sorted(world.rglob("*")):
        if path.suffix in (".json", ".jsonl", ".csv", ".tsv"):
            to = out / f"{path.relative_to(world)}.gz"
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(gzip.compress(path.read_bytes(), 1, mtime=0))
