"""Times the training loader beside a bare loop that decodes and resizes the same photos, in one run.

python -m benchmarks.loader --photos ../shared/fixtures/coco/train2017
python -m benchmarks.loader --wait --workers 2 --step-seconds 0.5

Without --photos, or with too few of them, photos of 640x480 pixels are made of smoothed noise. Photos get labels as in
mixed*+boxes: about 9 regions and 12 queries each. The first form measures CPU time on one core, so that it can be run
beside other jobs: blocks of the loader's work and of the bare loop take turns, and the ratio of each pair is told. The
second form runs loader processes beside a step that only sleeps, and tells what share of the time was spent waiting.
"""

import argparse
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import msgspec
import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase

from pipelines.train.loading.batches import SourceConfig, TrainBatches
from pipelines.train.loading.handover import make_slots
from pipelines.train.loading.step_loader import StepLoader
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.order import Schedule, Stream
from xdetr_data.loading.shard_set import ShardSet, open_shards
from xdetr_data.loading.view import draw_view
from xdetr_data.manifest import Manifest, ShardEntry, write_manifest
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import Sample, shard_name, write_samples
from xdetr_data.storage import Folder
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.train.batch import SourceName

PREFIX, BATCH, BLOCK_STEPS = "bench-train", 4, 8
SOURCES: dict[SourceName, int] = {"full": 4, "pseudo": 2, "weak": 4}
SOMEONE = Provenance(source="bench")
PLAIN = DataConfig(crop=0.0, flip=0.0, jitter=0.0)
RECIPES = {
    "resize only": PLAIN,
    "crop and flip (the paper's recipe)": msgspec.structs.replace(PLAIN, crop=0.5, flip=0.5),
    "crop, flip and jitter": DataConfig(),
}


def read_photos(folder: Path | None, count: int) -> list[bytes]:
    """JPEGs of a folder, filled up with noise where there are fewer than 20."""
    found = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:count]] if folder else []
    return found if len(found) >= 20 else [noise(seed) for seed in range(min(count, 40))]


def noise(seed: int) -> bytes:
    """A JPEG of 640x480 pixels with detail at several scales, about as large as a photo."""
    rng = np.random.default_rng(seed)
    layers = []
    for side in (6, 24, 96, 320):
        small = rng.integers(0, 255, (side * 3 // 4, side, 3), dtype=np.uint8)
        layers.append(np.asarray(Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC), np.float32))
    sink = io.BytesIO()
    mixed = np.average(layers, axis=0, weights=[6, 3, 2, 2])
    Image.fromarray(mixed.astype(np.uint8)).save(sink, "JPEG", quality=92)
    return sink.getvalue()


def labelled(number: int, photo: Photo) -> Sample:
    """A photo with nine regions and twelve queries."""
    rng = random.Random(number)
    height, width = photo.size_hw
    regions = []
    for _ in range(9):
        x0, y0 = rng.uniform(0, 0.7) * width, rng.uniform(0, 0.7) * height
        box = (x0, y0, x0 + rng.uniform(0.1, 0.3) * width, y0 + rng.uniform(0.1, 0.3) * height)
        regions.append(Region(box_xyxy=box, provenance=SOMEONE))
    queries = []
    for index in range(12):
        phrase = Phrase(spans=((2, 9),), regions=(rng.randrange(6),), provenance=SOMEONE)
        text = f"a red man number {index} stands behind the wooden table with a small white dog."
        queries.append(Query(text=text, group=f"p{index // 4}", phrases=(phrase,)))
    key = f"bench_{number:06d}"
    image = ImageRef(file_name=f"{key}.jpg", source="bench", size_hw=photo.size_hw, sha256=photo.sha256)
    return Sample(GroundedImage(key=key, image=image, regions=tuple(regions), queries=tuple(queries)), photo)


def write(folder: Folder, photos: Sequence[bytes], count: int) -> None:
    """A finished dataset of ``count`` samples in four shards."""
    checked = [one for data in photos if isinstance(one := check_photo(data, "bench"), Photo)]
    samples = [labelled(number, photo) for number, photo in enumerate(islice(cycle(checked), count))]
    entries = []
    for shard in range(4):
        rows, files = write_samples(folder, shard_name(PREFIX, shard), samples[shard::4])
        entries.append(ShardEntry(shard=shard, rows=rows, files=files))
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="bench", tool_version="0", prefix=PREFIX, split="train", seed=0, config={},
            config_hash="", inputs=[], exclusions=[], accounting={"units": {}, "notes": {}}, rows=count,
            shards=entries, rejects=[],
        ),
    )  # fmt: skip


def bare(photos: Sequence[bytes], rng: np.random.Generator, data: DataConfig) -> None:
    """What nobody can do without: decode, resize the recipe's view to its size, take the pixels as an array.

    The view is the loader's own (without boxes to spare), since a crop of another shape has another number of pixels.
    """
    for encoded in photos:
        photo = Image.open(io.BytesIO(encoded)).convert("RGB")
        view = draw_view(rng, (photo.height, photo.width), (), data, may_flip=False)
        np.asarray(photo.resize(view.out_hw[::-1], Image.Resampling.BILINEAR, box=view.crop_xyxy))


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU time that a piece of work takes in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(url: str, tokenizer: PreTrainedTokenizerBase, data: DataConfig, pairs: int) -> list[tuple[float, float]]:
    """Photos per CPU second of the bare loop and of a loader process, block by block on the same photos."""
    found: ShardSet = open_shards(url, "full")
    stream = Stream(
        source="full", rows_per_shard=found.rows_per_shard, batch_size=BATCH, seed=0, rank=0, world_size=1, buffer=4096
    )
    schedule = Schedule(main=stream)
    loader = StepLoader({"full": found}, data, tokenizer, 256, make_slots(data, BATCH, 1))
    rng = np.random.default_rng(0)
    figures = []
    for pair in range(pairs + 1):
        steps = range(pair * BLOCK_STEPS, (pair + 1) * BLOCK_STEPS)
        places = [schedule.step(0, step % schedule.steps_per_epoch)["full"] for step in steps]
        requests = [[(place, found.locate(place.shard, place.row)) for place in one] for one in places]
        photos = [photo for one in requests for _, at in one if (photo := found.read(at)[1]) is not None]

        def load(requests: Sequence[list[tuple]] = requests) -> None:  # type: ignore[type-arg]
            for request in requests:
                loader[0, {"full": request}]

        works = [lambda photos=photos: bare(photos, rng, data), load]  # type: ignore[misc]
        order = (0, 1) if pair % 2 else (1, 0)
        seconds = {which: cpu_seconds(works[which]) for which in order}
        if pair:  # the first pair warms caches up
            figures.append((len(photos) / seconds[0], len(photos) / seconds[1]))
    return figures


def print_comparison(url: str, tokenizer: PreTrainedTokenizerBase, pairs: int) -> None:
    """One line for each recipe."""
    print("| recipe | bare loop, photos a CPU second | loader | ratio: median (smallest to largest) |")
    print("|---|---|---|---|")
    for name, data in RECIPES.items():
        figures = compare(url, tokenizer, data, pairs)
        ratios = sorted(loader / bare_loop for bare_loop, loader in figures)
        medians = [statistics.median(column) for column in zip(*figures, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {name} | {medians[0]:.1f} | {medians[1]:.1f} | {spread} |")


def batches_of(url: str, tokenizer: PreTrainedTokenizerBase, workers: int) -> TrainBatches:
    """Three sources, 4/2/4 photos a step."""
    data = msgspec.structs.replace(RECIPES["crop, flip and jitter"], workers=workers)
    sources = {name: SourceConfig(paths=(url,), batch_size=size) for name, size in SOURCES.items()}
    return TrainBatches(sources, data, tokenizer, 256)


def print_waiting(url: str, tokenizer: PreTrainedTokenizerBase, workers: int, step_s: float, steps: int) -> None:
    """Waits beside a step that sleeps; the first steps, in which the processes start, are told apart."""
    batches = batches_of(url, tokenizer, workers)
    first = 0.0
    began = time.perf_counter()
    for number, _ in enumerate(_steps(batches)):
        if number == 2:
            first, began = batches.waited_seconds, time.perf_counter()
        if number == steps + 2:
            break
        time.sleep(step_s)
    seconds = time.perf_counter() - began
    share = (batches.waited_seconds - first) / seconds
    print(f"{workers} loader processes, steps of {step_s:.2f} s and 10 photos: {steps / seconds:.2f} steps a second, "
          f"{share:.1%} of the time waiting for data; {first:.1f} s until the second step")  # fmt: skip


def _steps(batches: TrainBatches) -> Iterator[object]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def main() -> None:
    """Parses the command line and prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs")
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--step-seconds", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # both as in a loader process
    tokenizer = word_tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        photos = read_photos(args.photos, args.samples)
        write(Folder(folder), photos, args.samples)
        print(f"{len(photos)} different photos, {sum(map(len, photos)) / len(photos) / 1000:.0f} kB each on average\n")
        if args.wait:
            print_waiting(folder, tokenizer, args.workers, args.step_seconds, args.steps)
        else:
            print_comparison(folder, tokenizer, args.pairs)


if __name__ == "__main__":
    main()
