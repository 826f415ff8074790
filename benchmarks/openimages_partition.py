"""Partitions a box file of OpenImages' size on two cores, beside two ways of only reading it.

Writes 14,600,000 rows over 1,743,042 photos first (made-up boxes, the real format and proportions), then runs, each in
processes of its own: the partition of ``pseudo-label`` (look every row's photo up, spill typed rows by shard), a
``csv.DictReader`` loop that keeps every photo's boxes, and bare ``pyarrow.csv``. Prints time and peak memory of each.
"""

import argparse
import csv
import json
import os
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as pa_csv
from pyarrow import ipc

from benchmarks.measure import measure

ROWS, PHOTOS, SPOKEN_PHOTOS = 14_600_000, 1_743_042, 507_444
SHARDS = 300
BLOCK = 1_000_000
COLUMNS = ["ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"]
COLUMNS += ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"]
CLICKS = [f"XClick{i}{axis}" for i in range(1, 5) for axis in "XY"]


def write_rows(folder: Path, scale: float, *, clicks: bool, scattered: bool) -> Path:
    """Writes the box file and ``ids.txt``, unless they are there; returns the box file."""
    path = folder / f"boxes-{scale}{'-clicks' if clicks else ''}{'-scattered' if scattered else ''}.csv"
    rows, photos = round(ROWS * scale), max(1, round(PHOTOS * scale))
    rng = np.random.default_rng(0)
    ids = sorted({f"{number:016x}" for number in rng.integers(0, 1 << 63, photos)})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ids.txt").write_text("\n".join(ids))
    if path.exists():
        return path
    owner = np.concatenate([np.arange(len(ids)), rng.integers(0, len(ids), rows - len(ids))])
    owner = rng.permutation(owner) if scattered else np.sort(owner)
    labels = np.array([f"/m/{number:05x}" for number in rng.integers(0, 1 << 20, 601)])
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        file.write((",".join(COLUMNS + (CLICKS if clicks else [])) + "\n").encode())
        for begin in range(0, rows, BLOCK):
            block = _block(rng, pa.array(ids).take(pa.array(owner[begin : begin + BLOCK])), labels, clicks)
            pa_csv.write_csv(block, file, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
    temporary.rename(path)
    return path


def _block(rng: np.random.Generator, ids: pa.Array, labels: np.ndarray, clicks: bool) -> pa.Table:
    count = len(ids)
    x, y = (np.sort(np.round(rng.random((count, 2)), 6), axis=1) for _ in range(2))
    flags = rng.choice(np.array([0, 0, 0, 0, 0, 1, 1, -1], dtype=np.int8), (count, 5))
    columns = [
        ids,
        pa.array(np.where(rng.random(count) < 0.1, "activemil", "xclick")),
        pa.array(labels[rng.integers(0, len(labels), count)]),
        pa.array(np.ones(count, np.int8)),
        *(pa.array(one) for one in (x[:, 0], x[:, 1], y[:, 0], y[:, 1])),
        *(pa.array(flags[:, i]) for i in range(5)),
    ]
    if clicks:
        columns += [pa.array(np.round(rng.random(count), 6)) for _ in CLICKS]
    return pa.table(columns, names=COLUMNS + (CLICKS if clicks else []))


def partition(path: Path, photos: int, workers: int) -> dict[str, object]:
    """Scans and partitions the file for the first ``photos`` photos of a shuffled list; returns what became of it."""
    from pipelines.job import run_partitions
    from pipelines.partitioning import cut_tasks
    from pipelines.pseudo_label.partition import PartitionContext, run_partition
    from pipelines.pseudo_label.plan import BoxInput
    from pipelines.pseudo_label.scan import scan_boxes

    from pipelines.execution import executor
    from xdetr_data.accounting import Tally, total
    from xdetr_data.storage import Folder

    ids = np.array(path.with_name("ids.txt").read_bytes().split(b"\n"))
    ids = np.sort(np.random.default_rng(1).permutation(ids)[:photos])
    out = Folder(str(path.with_name("partition")))
    shutil.rmtree(out.url, ignore_errors=True)
    started = time.monotonic()
    with executor(workers) as run:
        ((_, scan),) = run(scan_boxes, None, [(0, str(path))])
        scanned = time.monotonic()
        one = BoxInput(path=scan.path, label=scan.label, chunks=scan.chunks, columns=scan.columns)
        context = PartitionContext(
            out=out,
            config_hash="benchmark",
            inputs=[one],
            shard=np.random.default_rng(2).integers(0, SHARDS, len(ids), dtype=np.int32),
            box_ids=ids,
            box_rows=np.arange(len(ids), dtype=np.int32),
        )
        tasks = cut_tasks([(one.path, one.chunks)])
        done = run_partitions(out, tasks, "benchmark", run, run_partition, context)
    rejected = total(Tally.from_builtins(one.accounting) for one in done).total_rejected("box")
    spilled = 0
    for task in tasks:
        with ipc.open_file(out.path(task.spill)) as reader:
            spilled += sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))
    rows = sum(chunk.count for chunk in scan.chunks)
    spill_bytes = sum(os.path.getsize(out.path(task.spill)) for task in tasks)
    shutil.rmtree(out.url)
    return {
        "rows": rows,
        "spilled": spilled,
        "rejected": rejected,
        "balances": rows == spilled + rejected,
        "spill_bytes": spill_bytes,
        "scan_s": round(scanned - started, 1),
    }


def read_with_dict_reader(path: Path) -> dict[str, object]:
    """The loop that everybody writes first."""
    boxes: defaultdict[str, list[tuple[float, ...]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            boxes[row["ImageID"]].append(tuple(float(row[name]) for name in ("XMin", "YMin", "XMax", "YMax")))
    return {"rows": sum(map(len, boxes.values()))}


def read_with_pyarrow(path: Path) -> dict[str, object]:
    """Reads all columns and keeps none."""
    return {"rows": sum(batch.num_rows for batch in pa_csv.open_csv(path))}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clicks", action="store_true", help="with the XClick columns, as the V6 train file")
    parser.add_argument("--scattered", action="store_true", help="rows of one photo anywhere in the file")
    parser.add_argument("--all-photos", action="store_true", help="keep the boxes of every photo of the file")
    parser.add_argument("--skip-plain", action="store_true", help="no DictReader, no bare pyarrow")
    parser.add_argument("--run", choices=("partition", "dict-reader", "pyarrow"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.dir / "none"
    if options.run is None:
        path = write_rows(options.dir, options.scale, clicks=options.clicks, scattered=options.scattered)
    photos = round((PHOTOS if options.all_photos else SPOKEN_PHOTOS) * options.scale)
    if options.run is not None:
        path = Path(os.environ["BENCHMARK_FILE"])
        runs = {
            "partition": lambda: partition(path, photos, options.workers),
            "dict-reader": lambda: read_with_dict_reader(path),
            "pyarrow": lambda: read_with_pyarrow(path),
        }
        print(json.dumps(runs[options.run]()))
        return
    os.environ["BENCHMARK_FILE"] = str(path)
    print(f"{path.name}: {path.stat().st_size:,} bytes; boxes of {photos:,} photos are kept")
    print("| | load before | wall | CPU | all processes, RSS | PSS |\n|---|---|---|---|---|---|")
    for name in ("partition", *(() if options.skip_plain else ("pyarrow", "dict-reader"))):
        load = os.getloadavg()[0]
        one = measure([sys.executable, "-m", "benchmarks.openimages_partition", *sys.argv[1:], "--run", name])
        rss, pss = one.peak_rss_bytes / 1e9, one.peak_pss_bytes / 1e9
        print(f"| {name} | {load:.1f} | {one.wall_s:.1f} s | {one.cpu_s:.1f} s | {rss:.2f} GB | {pss:.2f} GB |")
        print(one.output.strip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
