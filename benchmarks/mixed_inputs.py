"""Writes inputs of the real files' size for ``build-mixed-star``: made-up photos, real formats, real proportions.

``final_mixed_train.json`` has 1,107,631 paragraphs over about 174,000 photos with 6,178,786 annotations (1.9 GB), and
the instances file 600,000 boxes with polygons (330 MB). ``--scale 0.01`` writes a hundredth of it.
"""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from xdetr_data.toyworld.packing import Expression, Paragraph, pack_expressions

PARAGRAPHS, ANNOTATIONS, PHOTOS, BOXES = 1_107_631, 6_178_786, 174_000, 600_000
COCO_PHOTOS = 82_783
TEMPLATES = 600
WIDTH, HEIGHT = 640, 480

_COLOURS = ["red", "blue", "green", "white", "black", "brown", "grey", "yellow", "pink", "orange", "tan", "silver"]
_THINGS = [
    "man",
    "woman",
    "dog",
    "cat",
    "car",
    "bus",
    "street",
    "sign",
    "tree",
    "window",
    "building",
    "shirt",
    "hat",
    "plate",
    "cup",
    "table",
    "chair",
    "bench",
    "umbrella",
    "giraffe",
    "horse",
    "train",
    "clock",
    "tower",
    "bicycle",
    "boat",
    "wave",
    "surfboard",
    "skis",
    "snow",
    "mountain",
    "grass",
    "fence",
]
_PATTERNS = (
    "the {c} {t}",
    "a {t} with {c} trim on the left side of the photo",
    "{t} next to the {u}",
    "a {c} {t} in front of a {u} near the no. 4 {t}",
    "the {t} on the U.S. mail truck that is parked",
    "A {t} standing behind the {c} {u}.",
    "{c} {t}... near the {u}",
    "st. nicholas holding a {t} in one hand and {u} in the other",
)


@dataclass(frozen=True)
class Template:
    """Paragraphs of one made-up photo."""

    paragraphs: list[Paragraph]


def _expression(rng: random.Random, boxes: list[tuple[float, float, float, float]]) -> Expression:
    colour, thing, other = rng.choice(_COLOURS), rng.choice(_THINGS), rng.choice(_THINGS)
    if rng.random() < 0.06:
        text = f"Is the {thing} to the left of the {colour} {other}?"
        at = text.index(thing)
        return Expression(
            text=text, boxes_xyxy=(rng.choice(boxes),), spans_char=(((at, at + len(thing)),),), is_question=True
        )
    text = rng.choice(_PATTERNS).format(c=colour, t=thing, u=other)
    at = text.index(thing)
    names = [((at, at + len(thing)),)]
    if other in text and rng.random() < 0.07:
        begin = text.rindex(other)
        names.append(((begin, begin + len(other)),))
    return Expression(text=text, boxes_xyxy=tuple(rng.sample(boxes, len(names))), spans_char=tuple(names))


def _template(rng: random.Random) -> Template:
    boxes = []
    for _ in range(25):
        w, h = rng.uniform(20, 260), rng.uniform(20, 220)
        x, y = rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h)
        boxes.append((x, y, x + w, y + h))
    expressions = [_expression(rng, boxes) for _ in range(31)]
    return Template(paragraphs=pack_expressions(expressions))


def _photos(
    rng: random.Random, templates: list[Template], paragraphs: int, photos: int
) -> Iterator[tuple[int, int, Paragraph, float]]:
    """(photo, paragraph id, paragraph, shift of its boxes) until there are enough paragraphs."""
    count = photo = 0
    while count < paragraphs:
        template = rng.choice(templates)
        shift = rng.uniform(-3, 3)
        for paragraph in template.paragraphs:
            if count == paragraphs:
                return
            yield photo % photos, count, paragraph, shift
            count += 1
        photo += 1


def _file_name(photo: int, coco_photos: int) -> tuple[str, str, str]:
    if photo < coco_photos:
        return f"COCO_train2014_{photo + 1:012d}.jpg", str(photo + 1), "coco"
    return f"{photo + 2_000_000}.jpg", str(photo + 2_000_000), "vg"


def write_mixed(path: Path, scale: float, seed: int) -> tuple[int, int]:
    """Writes the MDETR file; returns its paragraphs and annotations."""
    rng = random.Random(seed)
    templates = [_template(rng) for _ in range(TEMPLATES)]
    paragraphs, annotations = round(PARAGRAPHS * scale), round(ANNOTATIONS * scale)
    photos, coco_photos = round(PHOTOS * scale), round(COCO_PHOTOS * scale)
    captions = {id(p): json.dumps(p.caption) for t in templates for p in t.paragraphs}
    negatives = {id(p): json.dumps(p.tokens_negative) for t in templates for p in t.paragraphs}
    with path.open("w") as file:
        file.write('{"info": [], "licenses": [], "images": [')
        comma = ""
        for photo, number, paragraph, _ in _photos(random.Random(seed), templates, paragraphs, photos):
            name, original, source = _file_name(photo, coco_photos)
            file.write(
                f'{comma}{{"file_name": "{name}", "height": {HEIGHT}, "width": {WIDTH}, "id": {number}, '
                f'"original_id": "{original}", "caption": {captions[id(paragraph)]}, '
                f'"tokens_negative": {negatives[id(paragraph)]}, "data_source": "{source}", "dataset_name": "mixed"}}'
            )
            comma = ", "
        file.write('], "annotations": [')
        written = _write_annotations(file, _photos(random.Random(seed), templates, paragraphs, photos), annotations)
        file.write('], "categories": [{"supercategory": "object", "id": 1, "name": "object"}]}')
    return paragraphs, written


def _write_annotations(file: IO[str], photos: Iterator[tuple[int, int, Paragraph, float]], wanted: int) -> int:
    """Writes every annotation, and some twice with another box (plurals), until there are as many as wanted."""
    number = 0
    comma = ""
    rest = list(photos)
    missing = wanted - sum(len(paragraph.annotations) for _, _, paragraph, _ in rest)
    for _, image_id, paragraph, shift in rest:
        for one in paragraph.annotations:
            spans = json.dumps(one.spans_char)
            x0, y0, x1, y1 = one.box_xyxy
            for extra in range(1 + (missing > 0)):
                missing -= extra
                x, y = max(0.0, x0 + shift + 40 * extra), max(0.0, y0 + shift)
                w, h = x1 - x0, y1 - y0
                file.write(
                    f'{comma}{{"area": {w * h:.4f}, "iscrowd": 0, "image_id": {image_id}, "category_id": 1, '
                    f'"id": {number}, "bbox": [{x:.2f}, {y:.2f}, {w:.2f}, {h:.2f}], "tokens_positive": {spans}}}'
                )
                comma = ", "
                number += 1
    return number


def write_instances(path: Path, scale: float, seed: int) -> int:
    """Writes the COCO instances file with polygons; returns its boxes."""
    rng = random.Random(seed)
    boxes, photos = round(BOXES * scale), max(1, round(COCO_PHOTOS * scale))
    with path.open("w") as file:
        file.write('{"info": {}, "licenses": [], "images": [')
        for i in range(photos):
            name, comma = f"COCO_train2014_{i + 1:012d}.jpg", ", " if i else ""
            file.write(f'{comma}{{"file_name": "{name}", "height": {HEIGHT}, "width": {WIDTH}, "id": {i + 1}}}')
        file.write('], "annotations": [')
        for number in range(boxes):
            w, h = rng.uniform(10, 300), rng.uniform(10, 240)
            x, y = rng.uniform(0, WIDTH - w), rng.uniform(0, HEIGHT - h)
            polygon = ", ".join(f"{x + w * rng.random():.2f}, {y + h * rng.random():.2f}" for _ in range(25))
            file.write(
                f'{", " if number else ""}{{"segmentation": [[{polygon}]], "area": {w * h / 2:.3f}, "iscrowd": 0, '
                f'"image_id": {rng.randint(1, photos)}, "bbox": [{x:.2f}, {y:.2f}, {w:.2f}, {h:.2f}], '
                f'"category_id": {rng.randint(1, 90)}, "id": {number + 1}}}'
            )
        file.write('], "categories": []}')
    return boxes


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    paragraphs, annotations = write_mixed(options.out / "final_mixed_train.json", options.scale, options.seed)
    boxes = write_instances(options.out / "instances_train2014.json", options.scale, options.seed)
    sizes = {one.name: one.stat().st_size for one in sorted(options.out.glob("*.json"))}
    print(json.dumps({"paragraphs": paragraphs, "annotations": annotations, "boxes": boxes, "bytes": sizes}))


if __name__ == "__main__":
    main()
