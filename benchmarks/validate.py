"""Times validate and stats: multiplies the samples of a finished dataset and checks the result in one process.

python -m benchmarks.validate OUT --samples 4000
python -m benchmarks.validate OUT --samples 20000 --labels-only
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import msgspec

from xdetr_data.accounting import Tally
from xdetr_data.manifest import Manifest, ShardEntry, read_manifest, write_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.plan import shard_of_key
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.shards.writer import Sample, ShardStats, shard_name, write_samples, write_stats
from xdetr_data.statistics.collect import collect_statistics
from xdetr_data.storage import Folder
from xdetr_data.validation.dataset import validate_dataset

PREFIX, SHARDS = "bench-train", 4


def multiplied(samples: Sequence[Sample], count: int, *, labels_only: bool) -> Iterator[Sample]:
    """``count`` samples with keys and file names of their own."""
    replace = msgspec.structs.replace
    for number, one in enumerate(islice(cycle(samples), count)):
        image = replace(one.record.image, source="coco", file_name=f"COCO_train2014_{number:012d}.jpg")
        image = replace(image, sha256=None) if labels_only else image
        record: GroundedImage = replace(one.record, key=f"coco_{number:012d}", image=image)
        yield Sample(record, None if labels_only else one.photo)


def write(folder: Folder, samples: Sequence[Sample], count: int, *, labels_only: bool) -> Manifest:
    """A finished dataset of ``count`` samples."""
    entries = []
    for shard in range(SHARDS):
        own = (
            one
            for one in multiplied(samples, count, labels_only=labels_only)
            if shard_of_key(one.record.key, seed=0, shards=SHARDS) == shard
        )
        rows, files = write_samples(folder, shard_name(PREFIX, shard), own)
        entries.append(ShardEntry(shard=shard, rows=rows, files=files))
        write_stats(
            folder,
            PREFIX,
            ShardStats(
                shard=shard, rows=rows, files=files, accounting=Tally().to_builtins(), config_hash="bench", seconds=0.0
            ),
        )
    tally = Tally()
    tally.came_in("photo", count)
    tally.went_out("photo", count)
    manifest = Manifest(
        schema=SCHEMA_VERSION, recipe="benchmark", tool_version="", prefix=PREFIX, split="train", seed=0,
        config={"metadata_only": labels_only}, config_hash="bench", inputs=[], exclusions=[],
        accounting=tally.to_builtins(), rows=count, shards=entries, rejects=[],
    )  # fmt: skip
    write_manifest(folder, manifest)
    return manifest


def run_here(task: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]) -> Iterator[Any]:
    """Runs tasks in this process."""
    return (task(context, item) for item in items)


def timed(title: str, count: int, work: Callable[[], Any]) -> Any:
    """Runs ``work`` and prints wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{title}: {wall:.1f} s wall, {cpu:.1f} s CPU, {count / cpu:,.0f} samples a CPU second")
    return result


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--labels-only", action="store_true")
    options = parser.parse_args()
    source = Folder(options.dataset)
    samples = [one for stem in stems(read_manifest(source)) for one in read_samples(source, stem)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(scratch)
        manifest = write(folder, samples, options.samples, labels_only=options.labels_only)
        report = timed(
            "validate", options.samples, lambda: validate_dataset(folder, manifest, run_here, lambda _: None)
        )
        print(f"{report.rows:,} samples, {report.photos:,} photos, {len(report.violations)} violations")
        timed("stats", options.samples, lambda: collect_statistics(folder, manifest, lambda _: None))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
