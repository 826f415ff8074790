"""Copies of photos that fingerprints find, photos that they take for copies, and what a photo costs.

    python -m benchmarks.look_alikes --photos 'DIR/**/*.jpg'

Every photo is altered in each way, compressed anew at quality 30, and looked for among all; distances to the others'
fingerprints are those of pairs of different photos. Seconds are of one process.
"""

import argparse
import glob
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.fingerprint import KEPT, asked_fingerprints, kept_fingerprints
from xdetr_data.photos.look_alikes import MAX_DISTANCE, distances

Alter = Callable[[Image.Image], Image.Image]


def crop(left: float, top: float, right: float, bottom: float) -> Alter:
    """Cuts to these shares of the sides."""
    return lambda one: one.crop(
        (int(left * one.width), int(top * one.height), int(right * one.width), int(bottom * one.height))
    )


def written_on(one: Image.Image) -> Image.Image:
    """With a line of text on a black bar."""
    one = one.copy()
    draw = ImageDraw.Draw(one)
    draw.rectangle((0, int(0.88 * one.height), one.width, one.height), fill="black")
    draw.text((one.width // 10, int(0.9 * one.height)), "© PHOTO AGENCY", fill="white", font_size=one.height // 14)
    return one


ALTERED: dict[str, Alter] = {
    "as it is": lambda one: one,
    "half size": lambda one: one.resize((one.width // 2, one.height // 2)),
    "mirror": ImageOps.mirror,
    "inner nine tenths": crop(0.05, 0.05, 0.95, 0.95),
    "right tenth off": crop(0, 0, 0.9, 1),
    "left and upper tenth off": crop(0.1, 0.1, 1, 1),
    "mirror, lower tenth off": lambda one: crop(0, 0, 1, 0.9)(ImageOps.mirror(one)),
    "grey": lambda one: one.convert("L"),
    "white border": lambda one: ImageOps.expand(one, border=one.width // 20, fill="white"),
    "text": written_on,
    "brighter": lambda one: ImageEnhance.Brightness(one).enhance(1.3),
    "blurred": lambda one: one.filter(ImageFilter.GaussianBlur(2)),
    "turned by a degree": lambda one: one.rotate(1),
}


def encoded(one: Image.Image, quality: int = 90) -> bytes:
    """As a JPEG."""
    sink = io.BytesIO()
    one.convert("RGB").save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def cost(name: str, photos: Sequence[bytes], work: Callable[[bytes], object], beside: float) -> float:
    """Prints and returns milliseconds a photo, the best of three rounds; ``beside`` is 1.0 of the ratio."""
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        for data in photos:
            work(data)
        best = min(best, (time.perf_counter() - began) / len(photos) * 1000)
    print(f"| {name} | {best:.2f} | {best / (beside or best):.2f} |")
    return float(best)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, help="glob of JPEG photos, all of them different")
    files = sorted(glob.glob(parser.parse_args().photos, recursive=True))
    photos = sorted({Path(path).read_bytes() for path in files})
    kept = [kept_fingerprints(data) for data in photos]
    words = np.concatenate(kept).view(np.uint64)
    others: list[int] = []
    print(f"{len(photos)} photos\n\n| alteration | found | largest distance |\n|---|---:|---:|")
    for name, alter in ALTERED.items():
        own: list[int] = []
        for number, data in enumerate(photos):
            asked = asked_fingerprints(encoded(alter(Image.open(io.BytesIO(data)).convert("RGB")), 30)).view(np.uint64)
            distance = np.min([distances(words.T, one) for one in asked], axis=0).astype(np.int64)
            by_photo = distance.reshape(len(photos), -1).min(1)
            own.append(int(by_photo[number]))
            others += np.delete(by_photo, number).tolist()
        print(f"| {name} | {np.mean(np.array(own) <= MAX_DISTANCE):.1%} | {max(own)} |")
    false = sum(one <= MAX_DISTANCE for one in others)
    print(
        f"\n{len(others):,} pairs of different photos: {false} taken for copies; the nearest differ in {min(others)}\n"
    )
    print("| work | ms a photo | beside decoding |\n|---|---:|---:|")
    whole = cost("decoding alone", photos, decode_photo, 0.0)
    cost("fingerprints to keep (`fingerprints`)", photos, kept_fingerprints, whole)
    cost("fingerprints to ask (`--exclude-like`)", photos, asked_fingerprints, whole)
    asked, many = asked_fingerprints(photos[0]).view(np.uint64), np.resize(words, (100_000 * KEPT, 4)).T.copy()
    cost(
        "search among 100,000 photos",
        photos[:1],
        lambda _: [distances(many, one) for one in asked],
        whole,
    )


if __name__ == "__main__":
    main()
