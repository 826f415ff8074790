"""LVIS v1: ``lvis_v1_{train,val}.json``, federated: of each photo only some classes are verified, present or absent.

Its val photos are mostly photos of COCO's **train** set, as in life. The combinations that training never sees are
classes of their own here, and rare: the open-vocabulary test.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Purpose
from xdetr_data.toyworld.formats.coco import annotation_id, area_of, coco_image, segmentation_polygons
from xdetr_data.toyworld.photo import Sheet, ToyPhoto, box_xywh
from xdetr_data.toyworld.view import Seen

_VAL_SHARE_OF_TRAIN = 0.35
_PARENTHESES = {"crescent": "crescent_(moon)", "ring": "ring_(hoop)", "half circle": "half_circle_(shape)"}


class Category(NamedTuple):
    """A class; `frequency` is LVIS's r, c or f, by how often the world draws it."""

    id: int
    name: str
    frequency: str
    spoken: str


def _categories() -> dict[tuple[str | None, str | None, str], Category]:
    """Classes by (colour or None, pattern or None, shape)."""
    total = sum(shape.weight for shape in words.SHAPES)
    found: dict[tuple[str | None, str | None, str], Category] = {}
    for shape in words.SHAPES:
        patterns_total = sum(words.PATTERN_WEIGHTS[pattern] for pattern in shape.patterns)
        for pattern in shape.patterns:
            share = shape.weight / total * words.PATTERN_WEIGHTS[pattern] / patterns_total
            frequency = "f" if share > 0.02 else "c" if share > 0.007 else "r"
            found[None, pattern, shape.name] = _category(len(found) + 1, (pattern, shape.name), frequency)
    for held in words.HELD_OUT:
        parts = tuple(part for part in held if part)
        found[held.colour, held.pattern, held.shape] = _category(len(found) + 1, parts, "r")
    return found


def _category(number: int, parts: tuple[str, ...], frequency: str) -> Category:
    *adjectives, noun = parts
    name = "_".join([*adjectives, _PARENTHESES.get(noun, noun.replace(" ", "_"))])
    return Category(number, name, frequency, " ".join(parts))


CATEGORIES = _categories()


def category_of(seen: Seen) -> Category:
    """The class of an object."""
    for key in ((seen.colour, seen.pattern, seen.shape), (seen.colour, None, seen.shape)):
        if key in CATEGORIES:
            return CATEGORIES[key]
    return CATEGORIES[None, seen.pattern, seen.shape]


def categories_json(split: str, counts: Counter[str]) -> list[dict[str, object]]:
    """The file's ``categories[]``, with the number of photos and objects that this file holds."""
    return [
        {
            "id": category.id, "name": category.name, "frequency": category.frequency,
            "synset": f"{category.name.split('_(')[0]}.n.01", "synonyms": [category.name],
            "def": f"a {category.spoken} in a toy photo", "image_count": counts[_count_key(split, "image", category)],
            "instance_count": counts[_count_key(split, "instance", category)],
        }
        for category in CATEGORIES.values()
    ]  # fmt: skip


def write_lvis(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds a COCO photo to LVIS's train or val file."""
    dice = photo.dice(Purpose.LVIS)
    split = "val" if photo.home.split == "val" or dice.chance(_VAL_SHARE_OF_TRAIN) else "train"
    file = f"lvis/lvis_v1_{split}.json"
    classes = {index: category_of(seen) for index, seen in enumerate(photo.view.objects)}
    crowded = {classes[index] for index, seen in enumerate(photo.view.objects) if seen.is_crowd}
    present = sorted(set(classes.values()))
    held_out = {classes[index] for index, seen in enumerate(photo.view.objects) if seen.is_held_out}
    verified = [category for category in present if category in held_out or dice.chance(0.88)]
    absent = [category for category in CATEGORIES.values() if category not in present]
    image = coco_image(photo)
    del image["file_name"]  # v1 has none: the name is the end of the address
    image["coco_url"] = f"http://images.cocodataset.org/{photo.home.split}2017/{int(photo.home.photo_id):012d}.jpg"
    image["neg_category_ids"] = sorted(category.id for category in dice.sample(absent, dice.integer(4, 8)))
    image["not_exhaustive_category_ids"] = sorted(category.id for category in crowded)
    sheet.add(file, "images", image)
    for category in verified:
        sheet.counts[_count_key(split, "image", category)] += any(
            classes[index] == category for index in photo.view.singles
        )
    for index in photo.view.singles:
        if classes[index] in verified:
            sheet.counts[_count_key(split, "instance", classes[index])] += 1
            sheet.add(file, "annotations", _annotation(photo, index, classes[index].id))


def _annotation(photo: ToyPhoto, index: int, category_id: int) -> dict[str, object]:
    polygons = segmentation_polygons(photo, index)
    return {
        "segmentation": polygons, "area": area_of(polygons),
        "image_id": int(photo.home.photo_id), "bbox": box_xywh(photo.rendered.boxes_xyxy[index]),
        "category_id": category_id, "id": annotation_id(photo, index),
    }  # fmt: skip


def _count_key(split: str, what: str, category: Category) -> str:
    return f"lvis {split} {what} {category.id}"
