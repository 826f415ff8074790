"""``build lvis`` at the real file's size on two cores, beside ``build-mixed-star`` on as many bytes.

Writes its inputs first (``benchmarks.lvis_inputs``, ``benchmarks.mixed_inputs``), and prints a table. Exit code 1: more
than 2 GB of all processes together (shared pages counted once) or more than 1.5 times the time for as many bytes.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks import lvis_inputs, mixed_inputs
from benchmarks.measure import Measured, measure

MOST_BYTES, MOST_TIMES = 2_000_000_000, 1.5
_MIXED_BYTES = 2_310_000_000  # of both its files at full size


def _inputs(folder: Path, scale: float) -> tuple[Path, list[Path]]:
    """LVIS's file at this scale, and mixed's of about as many bytes; written where they are not there."""
    lvis = folder / "lvis_v1_train.json"
    mixed = [folder / "final_mixed_train.json", folder / "instances_train2014.json"]
    stamp = folder / "scale.txt"
    if not stamp.exists() or stamp.read_text() != str(scale):
        folder.mkdir(parents=True, exist_ok=True)
        lvis_inputs.write_lvis(lvis, scale, seed=0)
        share = lvis.stat().st_size / _MIXED_BYTES
        mixed_inputs.write_mixed(mixed[0], share, seed=0)
        mixed_inputs.write_instances(mixed[1], share, seed=0)
        stamp.write_text(str(scale))
    return lvis, mixed


def _row(name: str, one: Measured, size: int) -> str:
    return (
        f"| {name} | {size / 1e9:.2f} GB | {one.wall_s:.1f} s | {one.cpu_s:.1f} s | {one.peak_rss_bytes / 1e9:.2f} GB "
        f"| {one.peak_pss_bytes / 1e9:.2f} GB |"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    lvis, (mdetr, coco) = _inputs(options.dir, options.scale)
    size, mixed_size = lvis.stat().st_size, mdetr.stat().st_size + coco.stat().st_size
    program = [sys.executable, "-m", "pipelines.cli"]
    flags = ["--metadata-only", "--workers", "2", "--overwrite", "--out", str(options.dir / "shards")]
    build = [*program, "build", "lvis", "--annotations", str(lvis)]
    mixed = [*program, "build-mixed-star", "--mdetr", str(mdetr), "--coco-instances", str(coco)]
    print("| | inputs | wall | CPU | all processes, RSS | PSS |\n|---|---|---|---|---|---|")
    found = []
    for name, command, bytes_read in (
        ("build lvis", [*build, *flags], size),
        ("build lvis --fraction 0.01", [*build, "--fraction", "0.01", *flags], size),
        ("build-mixed-star", [*mixed, *flags], mixed_size),
    ):
        found.append(measure(command))
        print(_row(name, found[-1], bytes_read), flush=True)
    whole, share, other = found
    times = (whole.wall_s / size) / (other.wall_s / mixed_size)
    cpu = (whole.cpu_s / size) / (other.cpu_s / mixed_size)
    print(f"build lvis / build-mixed-star for as many bytes: wall {times:.2f}, CPU {cpu:.2f}", end="; ")
    print(f"load average {os.getloadavg()[0]:.1f}")
    most = max(whole.peak_pss_bytes, share.peak_pss_bytes)
    sys.exit(0 if most <= MOST_BYTES and times <= MOST_TIMES else 1)


if __name__ == "__main__":
    main()
