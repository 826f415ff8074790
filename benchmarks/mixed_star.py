"""``make bench``: build-mixed-star at the real files' size on two cores, beside a plain single-process script.

Writes its inputs first (``benchmarks.mixed_inputs``), checks that both make the same records, and prints a table.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

from benchmarks import mixed_inputs
from benchmarks.measure import Measured, measure
from xdetr_data.manifest import read_manifest
from xdetr_data.schema import to_json
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder


def _inputs(folder: Path, scale: float) -> tuple[Path, Path]:
    mdetr, coco = folder / "final_mixed_train.json", folder / "instances_train2014.json"
    stamp = folder / "scale.txt"
    if not stamp.exists() or stamp.read_text() != str(scale):
        folder.mkdir(parents=True, exist_ok=True)
        mixed_inputs.write_mixed(mdetr, scale, seed=0)
        mixed_inputs.write_instances(coco, scale, seed=0)
        stamp.write_text(str(scale))
    return mdetr, coco


def _digest(out: Path) -> dict[str, object]:
    """Count and hash of all records of a dataset in the order of their keys."""
    folder = Folder(str(out))
    records = {
        record.key: to_json(record) for stem in stems(read_manifest(folder)) for record in read_records(folder, stem)
    }
    digest = hashlib.sha256()
    for key in sorted(records):
        digest.update(records[key])
    return {"records": len(records), "sha256": digest.hexdigest()}


def _row(name: str, one: Measured) -> str:
    gib = 1 << 30
    return (
        f"| {name} | {one.wall_s:.0f} s | {one.cpu_s:.0f} s | {one.peak_rss_bytes / gib:.2f} GiB "
        f"| {one.peak_pss_bytes / gib:.2f} GiB |"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--skip-plain", action="store_true")
    options = parser.parse_args()
    mdetr, coco = _inputs(options.dir, options.scale)
    out = options.dir / "shards"
    inputs = ["--mdetr", str(mdetr), "--coco-instances", str(coco)]
    flags = ["--metadata-only", "--workers", "2", "--overwrite", "--out", str(out)]
    ours = measure([sys.executable, "-m", "pipelines.cli", "build-mixed-star", *inputs, *flags])
    print(f"load average {os.getloadavg()[0]:.1f}; {mdetr.stat().st_size:,} + {coco.stat().st_size:,} bytes of input")
    print("| | wall | CPU | all processes, RSS | PSS |\n|---|---|---|---|---|")
    print(_row("xdetr-data build-mixed-star --workers 2", ours), flush=True)
    if options.skip_plain:
        return
    plain_out = str(options.dir / "plain.tar")
    plain = measure([sys.executable, "-m", "benchmarks.plain_mixed_star", *inputs, "--out", plain_out])
    print(_row("plain script (json.load, one process)", plain))
    print(f"ratio plain / ours: time {plain.wall_s / ours.wall_s:.2f}, ", end="")
    print(f"memory {plain.peak_rss_bytes / ours.peak_rss_bytes:.2f}")
    same = json.loads(plain.output) == _digest(out)
    print("same records: " + ("yes" if same else "NO"))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
