"""Times exports of labels beside a bare loop that decodes the Parquet files and writes JSON lines, in one process.

python -m benchmarks.exports OUT --samples 100000
"""

import argparse
import tempfile
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from benchmarks.validate import timed, write
from pipelines.exporting.run import export_dataset
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.storage import Folder

FORMATS = ("odvg", "coco", "mdetr", "yolo", "grit", "chat")


def bare(source: Path, target: Path, manifest: Manifest) -> None:
    """A line of JSON for each row, as it is."""
    encoder = msgspec.json.Encoder()
    with target.open("wb") as sink:
        for stem in stems(manifest):
            with pq.ParquetFile(source / f"{stem}.parquet") as parquet:
                for batch in parquet.iter_batches():
                    sink.write(encoder.encode_lines(batch.to_pylist()))


def export(source: Folder, target: Path, manifest: Manifest, to: str) -> None:
    """All labels, whatever is lost."""
    export_dataset(
        source,
        manifest,
        Folder(str(target)),
        to=to,
        style="qwen",
        strict=False,
        may_lose=frozenset(),
        progress=lambda _: None,
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a finished dataset, whose samples are multiplied")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--to", nargs="+", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    source = Folder(options.dataset)
    samples = [one for stem in stems(read_manifest(source)) for one in read_samples(source, stem)]
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        manifest = write(Folder(str(data)), samples, options.samples, labels_only=True)
        timed("bare loop", options.samples, lambda: bare(data, Path(scratch) / "bare.jsonl", manifest))
        for to in options.to:
            timed(to, options.samples, lambda to=to: export(Folder(str(data)), Path(scratch) / to, manifest, to))  # type: ignore[misc]
        timed("bare loop again", options.samples, lambda: bare(data, Path(scratch) / "bare.jsonl", manifest))


if __name__ == "__main__":
    main()
