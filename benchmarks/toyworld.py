"""Photos a second of the toy world with all its files, with one and two processes, and the memory they need."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Measured, measure

_CODE = "import sys; from xdetr_data.toyworld.world import write_toyworld; "
_CALL = "write_toyworld(sys.argv[1], photos=int(sys.argv[2]), workers=int(sys.argv[3]))"


def _draw(out: Path, photos: int, workers: int) -> Measured:
    return measure([sys.executable, "-c", _CODE + _CALL, str(out), str(photos), str(workers)])


def _row(photos: int, workers: int, one: Measured) -> str:
    return (
        f"| {photos:,} | {workers} | {one.wall_s:.1f} s | {photos / one.wall_s:.0f} | {one.cpu_s:.1f} s "
        f"| {1000 * one.cpu_s / photos:.1f} ms | {one.peak_pss_bytes / 2**20:.0f} MiB |"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load before the run {os.getloadavg()[0]:.1f}\n")
    print("| photos | processes | wall | photos/s | CPU, all processes | CPU a photo | peak memory |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for photos in options.photos:
        for workers in options.workers:
            with tempfile.TemporaryDirectory() as folder:
                print(_row(photos, workers, _draw(Path(folder) / "world", photos, workers)), flush=True)


if __name__ == "__main__":
    main()
