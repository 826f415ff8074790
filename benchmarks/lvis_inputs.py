"""Writes ``lvis_v1_train.json`` at the real file's size: made-up photos and polygons, the real format and proportions.

100,170 photos, 1,270,141 annotations with polygons, 1,203 classes of frequencies from one photo to most of them, about
1.1 GB. ``--scale 0.01`` writes a hundredth of it, with all classes.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

PHOTOS, ANNOTATIONS, CLASSES = 100_170, 1_270_141, 1_203
WIDTH, HEIGHT = 640, 480
POINTS = (20, 70)  # of a polygon
_PER_CLASS = 3.4  # annotations of one class on one photo


def _weights() -> list[float]:
    """How often each class is drawn: a few on most photos, a third of them on ten or fewer."""
    return [1 / (rank + 8) ** 1.6 for rank in range(CLASSES)]


def _photos(seed: int, photos: int, annotations: int) -> Iterator[tuple[int, dict[int, int], list[int]]]:
    """COCO number, annotations by class, and absent classes, of each photo."""
    rng = random.Random(seed)
    classes, weights = range(1, CLASSES + 1), _weights()
    mean = annotations / photos / _PER_CLASS
    for place in range(photos):
        drawn = rng.choices(classes, weights, k=max(1, round(rng.expovariate(1 / mean))))
        if place < CLASSES:  # each class is on some photo
            drawn.append(place + 1)
        present = {one: max(1, round(rng.expovariate(1 / _PER_CLASS))) for one in dict.fromkeys(drawn)}
        absent = [one for one in rng.sample(classes, rng.randint(3, 9)) if one not in present]
        yield 9 + 5 * place, present, absent


def _polygon(rng: random.Random, x: float, y: float, w: float, h: float) -> str:
    return ", ".join(f"{x + w * rng.random():.2f}, {y + h * rng.random():.2f}" for _ in range(rng.randint(*POINTS)))


def write_lvis(path: Path, scale: float, seed: int) -> tuple[int, int]:
    """Writes the file, annotations before images as the real one; returns its photos and annotations."""
    rng = random.Random(seed)
    photos = list(_photos(seed, round(PHOTOS * scale), round(ANNOTATIONS * scale)))
    number = 0
    with path.open("w") as file:
        file.write('{"info": {"version": "1.0"}, "annotations": [')
        for photo, present, _ in photos:
            for category, count in present.items():
                for _ in range(count):
                    w, h = rng.uniform(10, 300), rng.uniform(10, 240)
                    x, y = rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h)
                    file.write(
                        f'{", " if number else ""}{{"area": {w * h / 2:.2f}, "id": {number + 1}, '
                        f'"segmentation": [[{_polygon(rng, x, y, w, h)}]], "image_id": {photo}, '
                        f'"bbox": [{x:.2f}, {y:.2f}, {w:.2f}, {h:.2f}], "category_id": {category}}}'
                    )
                    number += 1
        file.write('], "images": [')
        for place, (photo, present, absent) in enumerate(photos):
            one = {
                "date_captured": "2013-11-14 22:32:02", "id": photo, "neg_category_ids": absent, "license": 4,
                "height": HEIGHT, "width": WIDTH, "flickr_url": "http://farm9.staticflickr.com/8040/8017795_2_z.jpg",
                "coco_url": f"http://images.cocodataset.org/train2017/{photo:012d}.jpg",
                "not_exhaustive_category_ids": [one for one in present if rng.random() < 0.07],
            }  # fmt: skip
            file.write(f"{', ' if place else ''}{json.dumps(one)}")
        categories = [
            {"id": one, "name": f"thing_{one}_(kind)", "frequency": "f" if one < 406 else "c" if one < 867 else "r"}
            for one in range(1, CLASSES + 1)
        ]
        file.write(f'], "licenses": [], "categories": {json.dumps(categories)}}}')
    return len(photos), number


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "lvis_v1_train.json"
    photos, annotations = write_lvis(path, options.scale, options.seed)
    print(json.dumps({"photos": photos, "annotations": annotations, "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
