"""At which rate of photos the input side of labelling becomes the limit, with a model that only sleeps.

python -m benchmarks.label_input --photos ../shared/fixtures/coco/train2017 --json out/label_input.json

Without --photos, or with too few of them, photos of 640x480 pixels are made of smoothed noise. First, on one core:
photos a second from a JPEG file to what the model takes, with the photos resized here and with resizing left to a GPU,
beside decoding alone (Pillow; simplejpeg where it is installed, which nothing else here needs). Then the labelling loop
itself, ``pipelines.labelling.grounding.ground``, before a stand-in for a GPU: a model that copies a batch, as the way
to a GPU's memory does, and sleeps as long as a batch would take at a given rate, which lets go of the interpreter as a
GPU does. Told is the share of the time that the stand-in waited.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.loader import read_photos
from pipelines.cores import cores
from pipelines.labelling.grounding import Clock, Job, Phrase, ground, readers
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.photo import Photo, read_photo
from xdetr_data.stages.grounding.ground_phrases import PhraseCandidates, PhraseQuery
from xdetr_model.photos import PhotoTransform, PreparedPhoto

BATCH = 8
TRANSFORM = PhotoTransform(shortest_px=800, longest_px=1333)  # xdetr-r101's
Row = dict[str, Any]


class StandIn:
    """A grounder that finds nothing, at ``rate`` photos a second."""

    def __init__(self, rate: float, leave_resizing: bool) -> None:
        self._rate, self._leave = rate, leave_resizing

    def prepare(self, photo: Image.Image) -> PreparedPhoto:
        """As X-DETR's grounder does, with or without a GPU that resizes."""
        return TRANSFORM.prepare(photo, leave_resizing=self._leave)

    def ground_prepared(
        self, photos: Sequence[PreparedPhoto], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> Sequence[Sequence[PhraseCandidates]]:
        """The copy counts as the model's time."""
        began = time.monotonic()
        for photo in photos:
            np.empty_like(photo.pixels)[...] = photo.pixels
        time.sleep(max(0.0, len(photos) / self._rate - (time.monotonic() - began)))
        return [[] for _ in photos]

    def forget(self) -> None:
        """Nothing is kept."""

    def fingerprint(self) -> str:
        """Of nothing."""
        return "stand-in"


def per_second(work: Callable[[Path], object], files: Sequence[Path], seconds: float) -> float:
    """Photos a second of CPU time, on this thread."""
    work(files[0])
    done, began = 0, time.thread_time()
    while time.thread_time() - began < seconds:
        work(files[done % len(files)])
        done += 1
    return done / (time.thread_time() - began)


def one_core(files: Sequence[Path], seconds: float) -> list[Row]:
    """A row for each way from a file to pixels; ``of_pillow`` is its rate beside bare decoding's."""

    def prepared(file: Path, leave_resizing: bool) -> PreparedPhoto:
        photo = read_photo(str(file))
        assert isinstance(photo, Photo)
        return TRANSFORM.prepare(decode_photo(photo.data), leave_resizing=leave_resizing)

    def pillow(file: Path) -> Image.Image:
        return Image.open(BytesIO(file.read_bytes())).convert("RGB")

    ways: dict[str, Callable[[Path], object]] = {
        "Pillow, decoding alone": pillow,
        "file to the network's size, resized on the CPU": lambda file: prepared(file, False),
        "file to pixels, resizing left to a GPU": lambda file: prepared(file, True),
    }
    try:
        import simplejpeg
    except ImportError:
        print("simplejpeg is not installed: no row for it")
    else:
        ways["simplejpeg, decoding alone"] = lambda file: simplejpeg.decode_jpeg(file.read_bytes())
    rates = {name: per_second(work, files, seconds) for name, work in ways.items()}
    base = rates["Pillow, decoding alone"]
    return [{"way": name, "photos_per_second_and_core": rate, "of_pillow": rate / base} for name, rate in rates.items()]


def waiting(files: Sequence[Path], rate: float, leave_resizing: bool, threads: int, seconds: float) -> Row:
    """The loop before a model of some rate, for about so many seconds."""
    count = max(8 * BATCH, int(rate * seconds))
    jobs = [Job(number=number, address=str(files[number % len(files)])) for number in range(count)]
    clock, began = Clock(), time.monotonic()
    phrases = [[Phrase("a photo", ((0, 7),))]]
    found = ground(
        jobs,
        lambda window: phrases * len(window),
        StandIn(rate, leave_resizing),
        batch_size=BATCH,
        keep=1,
        threads=threads,
        clock=clock,
    )
    done = sum(1 for _ in found)
    took = time.monotonic() - began
    return {
        "model_photos_per_second": rate,
        "resized_by": "GPU" if leave_resizing else "CPU",
        "threads": threads,
        "photos_per_second": done / took,
        "waiting_share": clock.waiting_s / took,
        "padding_share": clock.padding_share,
    }


def main() -> None:
    """Prints rows as they come, and writes all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG files")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rates", type=float, nargs="+", default=(10, 20, 40, 81.5, 150), help="of the model")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number:04d}.jpg" for number in range(args.count)]
        photos = read_photos(args.photos, args.count)
        for number, file in enumerate(files):
            file.write_bytes(photos[number % len(photos)])
        sizes = np.mean([file.stat().st_size for file in files])
        pixels = np.mean([np.prod(Image.open(file).size) for file in files])
        found: Row = {
            "cores": cores(),
            "load_before": os.getloadavg()[0],
            "photos": len(photos),
            "bytes_each": round(float(sizes)),
            "megapixels_each": round(float(pixels) / 1e6, 3),
            "one_core": one_core(files, args.seconds),
        }
        print(json.dumps(found, indent=1))
        found["loop"] = []
        for rate in args.rates:
            for leave in (False, True):
                row = waiting(files, rate, leave, readers(1), args.seconds)
                print(row)
                found["loop"].append(row)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
