"""How long a search of very many objects takes, what its files and its memory are, and how much it finds.

    python -m benchmarks.search_scale --objects 1000000 --kind clustered --out scale
    python -m benchmarks.search_scale --objects 10000000 --kind random --out scale

Vectors are made up: float16 of length 1, as wide as an index's. ``random``: any direction, where lists of near vectors
help least; ``clustered``: around 20,000 centres, as objects of few kinds are. Queries are vectors of neither: a random
direction, or a neighbour of a centre. Every way answers the same queries, one at a time, in turn:

``exact``   all vectors through faiss, scored again in float64 (what an index of fewer than 2 million objects does)
``lists``   the lists of compressed vectors that larger indexes have
``numpy``   a product with all vectors, in float32, block by block, and argpartition
"""

import argparse
import functools
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.search.structure import Flat, Probe, open_probe, open_vectors, write_probe, write_vectors
from xdetr_data.storage import Folder

DIM = 256
TOP = 10
CENTRES = 20_000
SPREAD = 0.6  # length of the noise beside a centre's 1
BLOCK = 1 << 16

Ask = Callable[[NDArray[np.float32]], NDArray[np.int64]]
Figures = dict[str, dict[str, float]]
Answer = TypeVar("Answer")


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors ``[N, d]`` of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def centres(rng: np.random.Generator) -> NDArray[np.float32]:
    """``[CENTRES, DIM]``, of length 1."""
    return unit(rng.standard_normal((CENTRES, DIM), np.float32))


def make(kind: str, count: int, rng: np.random.Generator, around: NDArray[np.float32]) -> NDArray[np.float32]:
    """``[count, DIM]`` vectors of length 1 of a kind."""
    noise = unit(rng.standard_normal((count, DIM), np.float32))
    return noise if kind == "random" else unit(around[rng.integers(CENTRES, size=count)] + SPREAD * noise)


def pieces(kind: str, count: int, seed: int, around: NDArray[np.float32]) -> Iterator[NDArray[np.float16]]:
    """All vectors of the database, block by block."""
    rng = np.random.default_rng(seed)
    for begin in range(0, count, BLOCK):
        yield make(kind, min(BLOCK, count - begin), rng, around).astype(np.float16)


def by_numpy(flat: Flat) -> Ask:
    """The plain way."""

    def ask(query: NDArray[np.float32]) -> NDArray[np.int64]:
        scores = np.concatenate(
            [flat.vectors[begin : begin + BLOCK].astype(np.float32) @ query for begin in range(0, len(flat), BLOCK)]
        )
        best = np.argpartition(-scores, TOP)[:TOP]
        return best[np.argsort(-scores[best])]

    return ask


def by_index(flat: Flat, probe: Probe | None) -> Ask:
    """As ``xdetr-search`` does it: candidates, then their products in float64."""

    def ask(query: NDArray[np.float32]) -> NDArray[np.int64]:
        rows = flat.candidates(query, TOP, None) if probe is None else probe.candidates(query, TOP, None)
        return rows[np.argsort(-flat.score(rows, query), kind="stable")[:TOP]]

    return ask


def recall(found: list[NDArray[np.int64]], truth: list[NDArray[np.int64]]) -> float:
    """The share of the best that was found."""
    return float(np.mean([len(np.intersect1d(one, best)) / len(best) for one, best in zip(found, truth, strict=True)]))


def peak_gib() -> float:
    """The most memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file())


def timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    """What some work gives, and its seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def built(flags: argparse.Namespace, folder: Folder, around: NDArray[np.float32]) -> tuple[dict[str, Ask], Figures]:
    """Writes and opens what the ways need; how each is asked, and what it took."""

    def write() -> None:
        with folder.writing("vectors.faiss") as sink:
            write_vectors(sink, pieces(flags.kind, flags.objects, flags.seed, around), flags.objects, DIM)

    def write_lists() -> int:
        with folder.writing("probe.faiss") as sink:
            return write_probe(sink, flat)

    _, seconds = timed(write)
    flat = open_vectors(folder.path("vectors.faiss"))
    figures: Figures = {"exact": {"build_s": seconds, "bytes": size_of(Path(folder.path("vectors.faiss")))}}
    print(f"vectors written in {seconds:.0f} s, peak {peak_gib():.1f} GiB", flush=True)
    probes, seconds = timed(write_lists)
    probe = open_probe(folder.path("probe.faiss"), probes)
    figures["lists"] = {"build_s": seconds, "bytes": size_of(Path(folder.path("probe.faiss"))), "probes": probes}
    print(f"lists written in {seconds:.0f} s, {probes} probed, peak {peak_gib():.1f} GiB", flush=True)
    figures["numpy"] = {"build_s": 0.0, "bytes": 0}
    return {"exact": by_index(flat, None), "lists": by_index(flat, probe), "numpy": by_numpy(flat)}, figures


def main() -> None:
    """Builds, asks, and prints a table in Markdown; ``OUT/KIND-N.json`` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=("random", "clustered"), default="clustered")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files, some 700 bytes an object")
    flags = parser.parse_args()
    name = f"{flags.kind}-{flags.objects}"
    around = centres(np.random.default_rng(flags.seed + 1))
    queries = make(flags.kind, flags.queries, np.random.default_rng(flags.seed + 2), around)
    asks, figures = built(flags, Folder(str(flags.out / name)), around)
    seconds_of: dict[str, list[float]] = {way: [] for way in asks}
    found: dict[str, list[NDArray[np.int64]]] = {way: [] for way in asks}
    for query in queries:
        for way, ask in asks.items():
            rows, taken = timed(functools.partial(ask, query))
            found[way].append(rows)
            seconds_of[way].append(taken)
    print("| way | build, s | GB | p50, ms | p95, ms | recall of the 10 best |\n|---|---|---|---|---|---|")
    for way, one in figures.items():
        half, most = np.percentile(seconds_of[way], [50, 95]) * 1e3
        one |= {"p50_ms": half, "p95_ms": most, "recall": recall(found[way], found["exact"])}
        print(
            f"| {way} | {one['build_s']:.0f} | {one['bytes'] / 1e9:.2f} | {half:.1f} | {most:.1f} "
            f"| {one['recall']:.3f} |",
            flush=True,
        )
    print(f"peak memory of this process {peak_gib():.1f} GiB")
    summary = {"objects": flags.objects, "kind": flags.kind, "peak_gib": peak_gib(), "ways": figures}
    (flags.out / f"{name}.json").write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
