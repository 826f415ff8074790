"""Every kind of input, damaged in many ways, and what the command that reads it makes of that."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from pipelines.cli import main
from tests.faults.forked import Run, run_forked
from tests.faults.mutants import mutant
from tests.pipelines.tiny import manifest_of

PATIENCE_S = 60.0
WARM = (
    *(f"pipelines.commands.{name}" for name in ("make", "validate", "stats", "report", "toyworld")),
    *(f"pipelines.recipes.{name}" for name in ("captions", "flickr30k", "lvis", "mixed_star", "refcoco")),
    *("pipelines.report.page", "pipelines.report.charts", "pipelines.engine.run", "pyarrow.parquet"),
    *("xdetr_data.validation.dataset", "xdetr_data.statistics.collect", "xdetr_data.toyworld.world"),
)
ONE_LINE, REJECTED, AS_BEFORE, TRACEBACK, HANG, LOST, UNCLEAR = (
    *("one line", "rejected", "as before", "traceback", "hang", "lost", "unclear"),
)
BAD = (TRACEBACK, HANG, LOST, UNCLEAR)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A file that may be damaged, below the folder of ``args``; with ``builds`` a dataset comes of it."""

    name: str
    file: str
    args: tuple[str, ...]
    builds: bool = True


def make_kinds(base: Path) -> list[Kind]:
    """Draws a toy world and builds a dataset of it in ``base``; every kind's command reads from there."""
    for module in WARM:
        import_module(module)  # once here, and not in every child
    _done(base, "toyworld", "--photos=24", "--workers=0", f"--out={base / 'w'}")
    coco = "--image-root=coco=w/photos/coco"
    inputs = ("--mdetr=w/mdetr/final_mixed_train.json", "--mdetr=w/mdetr/final_flickr_separateGT_train.json")
    roots = (coco, "--image-root=vg=w/photos/vg", "--image-root=flickr=w/photos/flickr")
    more = ("--coco-instances=w/coco/instances_train2014.json", "--exclude=w/lvis/lvis_v1_val.json")
    mixed_star = ("build-mixed-star", *inputs, *roots, *more, "--workers=0")
    _done(base, *mixed_star, "--out=ds")
    mixed = (*mixed_star, "--out=out")
    lvis = ("build", "lvis", "--annotations=w/lvis/lvis_v1_train.json", coco)
    refs = ("build", "refcoco", "--refs=w/refcoco/refcoco/refs(unc).p")
    refcoco = (*refs, "--instances=w/refcoco/refcoco/instances.json", coco)
    flickr = ("build", "flickr30k", "--entities=w/flickr30k_entities", "--ids=w/flickr30k_entities/train.txt")
    entities = (*flickr, "--image-root=flickr=w/photos/flickr")
    captions = ("build", "captions", "--tsv=w/cc/train.tsv", "--images=w/cc/00000.tar")
    built = ("--workers=0", "--out=out")
    found = [
        Kind(name="mixed json", file="w/mdetr/final_mixed_train.json", args=mixed),
        Kind(name="flickr json", file="w/mdetr/final_flickr_separateGT_train.json", args=mixed),
        Kind(name="coco instances", file="w/coco/instances_train2014.json", args=mixed),
        Kind(name="exclusion list", file="w/lvis/lvis_v1_val.json", args=mixed),
        Kind(name="photo", file=_first(base, "w/photos/coco/*train*.jpg"), args=mixed),
        Kind(name="lvis json", file="w/lvis/lvis_v1_train.json", args=(*lvis, *built)),
        Kind(name="refer pickle", file="w/refcoco/refcoco/refs(unc).p", args=(*refcoco, *built)),
        Kind(name="refer instances", file="w/refcoco/refcoco/instances.json", args=(*refcoco, *built)),
        Kind(name="entities xml", file=_first(base, "w/flickr30k_entities/Annotations/*"), args=(*entities, *built)),
        Kind(name="entities txt", file=_first(base, "w/flickr30k_entities/Sentences/*"), args=(*entities, *built)),
        Kind(name="id list", file="w/flickr30k_entities/train.txt", args=(*entities, *built)),
        Kind(name="captions tsv", file="w/cc/train.tsv", args=(*captions, *built)),
        Kind(name="captions tar", file="w/cc/00000.tar", args=(*captions, *built)),
    ]
    for file in ("manifest.json", "*.tar", "mixed*.parquet", "*.idx", "*.stats.json"):
        for command in (("validate", "ds"), ("stats", "ds"), ("report", "ds", "--out=page.html", "--overwrite")):
            path = _first(base, f"ds/{file}")
            found.append(Kind(name=f"{command[0]} {file}", file=path, args=command, builds=False))
    return found


def fuzz(base: Path, kinds: Sequence[Kind], count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Outcomes of ``count`` mutants, the kinds by turns, and a line about each that ended badly."""
    clean = {kind.name: _clean(base, kind) for kind in kinds}
    counts: Counter[str] = Counter()
    bad = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        file = base / kind.file
        whole = file.read_bytes()
        how, data = mutant(whole, seed, number // len(kinds))
        try:
            file.write_bytes(data)
            ended = _run(base, kind)
            outcome = _outcome(base, kind, ended, clean[kind.name])
        finally:
            file.write_bytes(whole)
        counts[outcome] += 1
        if outcome in BAD:
            last = (ended.said.strip().splitlines() or [""])[-1][:160]
            bad.append(f"{outcome}: seed {seed}, mutant {number} ({kind.name}, {how}): {last}")
    return counts, bad


def _outcome(base: Path, kind: Kind, ended: Run, clean: tuple[int, int]) -> str:
    if ended.code is None:
        return HANG
    if ended.has_traceback or ended.code < 0 or ended.code == 70:
        return TRACEBACK
    if ended.code in (1, 2):
        return ONE_LINE if len(ended.errors) == 1 else UNCLEAR
    if not kind.builds:
        return REJECTED if ended.code else AS_BEFORE
    labels, rejects = _content(base)
    if rejects > clean[1] or "warning:" in ended.said:
        return REJECTED
    return LOST if labels < clean[0] else AS_BEFORE


def _content(base: Path) -> tuple[int, int]:
    """Elements that the built dataset used, and those that it rejected with a reason; raises where they do not add."""
    units = manifest_of(base / "out").accounting["units"]
    rejects = [sum(sum(one.values()) for one in flows["rejected"].values()) for flows in units.values()]
    used = [flows["out"] for flows in units.values()]
    assert [flows["in"] for flows in units.values()] == [sum(pair) for pair in zip(used, rejects, strict=True)]
    return sum(used), sum(rejects)


def _clean(base: Path, kind: Kind) -> tuple[int, int]:
    ended = _run(base, kind)
    assert ended.code == 0, f"{kind.name}: {ended.said}"
    return _content(base) if kind.builds else (0, 0)


def _run(base: Path, kind: Kind) -> Run:
    shutil.rmtree(base / "out", ignore_errors=True)
    return _in(base, kind.args)


def _in(base: Path, args: Sequence[str]) -> Run:
    before = Path.cwd()
    os.chdir(base)
    try:
        return run_forked(main, ["xdetr-data", *args], base / "log", PATIENCE_S)
    finally:
        os.chdir(before)


def _done(base: Path, *args: str) -> None:
    ended = _in(base, args)
    assert ended.code == 0, ended.said


def _first(base: Path, pattern: str) -> str:
    return str(sorted(base.glob(pattern))[0].relative_to(base))
