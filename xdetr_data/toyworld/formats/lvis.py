"""LVIS v1 and v0.5, federated: of each photo only some classes are verified, present or absent.

v1's val photos are mostly photos of COCO's **train** set, as in life, and its images have no file name; v0.5 splits the
photos as COCO does, names their files, and numbers the classes otherwise. Both say the same of a photo.
The combinations that training never sees are classes of their own here, and rare: the open-vocabulary test.
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


class Version(NamedTuple):
    """A release: the start of its files' names, and whether it names the photos' files and counts classes backwards."""

    name: str
    is_old: bool

    def file(self, split: str) -> str:
        """The path of a split's file."""
        return f"lvis/{self.name}_{split}.json"

    def number(self, category: Category) -> int:
        """The class's id in this release."""
        return len(CATEGORIES) + 1 - category.id if self.is_old else category.id


VERSIONS = (Version("lvis_v1", is_old=False), Version("lvis_v0.5", is_old=True))


def categories_json(version: Version, split: str, counts: Counter[str]) -> list[dict[str, object]]:
    """The file's ``categories[]`` by id, with the number of photos and objects that this file holds."""
    file = version.file(split)
    return [
        {
            "id": version.number(category), "name": category.name, "frequency": category.frequency,
            "synset": f"{category.name.split('_(')[0]}.n.01", "synonyms": [category.name],
            "def": f"a {category.spoken} in a toy photo", "image_count": counts[_count_key(file, "image", category)],
            "instance_count": counts[_count_key(file, "instance", category)],
        }
        for category in sorted(CATEGORIES.values(), key=version.number)
    ]  # fmt: skip


class _Known(NamedTuple):
    """What is known of a photo: the class of each object, and the classes that are verified, absent, or of a crowd."""

    classes: dict[int, Category]
    verified: list[Category]
    absent: list[Category]
    crowded: set[Category]


def write_lvis(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds a COCO photo to a file of each release."""
    dice = photo.dice(Purpose.LVIS)
    is_val = photo.home.split == "val" or dice.chance(_VAL_SHARE_OF_TRAIN)
    classes = {index: category_of(seen) for index, seen in enumerate(photo.view.objects)}
    present = sorted(set(classes.values()))
    held_out = {classes[index] for index, seen in enumerate(photo.view.objects) if seen.is_held_out}
    verified = [category for category in present if category in held_out or dice.chance(0.88)]
    absent = [category for category in CATEGORIES.values() if category not in present]
    known = _Known(
        classes=classes,
        verified=verified,
        absent=dice.sample(absent, dice.integer(4, 8)),
        crowded={classes[index] for index, seen in enumerate(photo.view.objects) if seen.is_crowd},
    )
    for version, split in zip(VERSIONS, ("val" if is_val else "train", photo.home.split), strict=True):
        _write(photo, known, version, version.file(split), sheet)


def _write(photo: ToyPhoto, known: _Known, version: Version, file: str, sheet: Sheet) -> None:
    image = coco_image(photo)
    if not version.is_old:
        del image["file_name"]  # the name is the end of the address
    image["coco_url"] = f"http://images.cocodataset.org/{photo.home.split}2017/{int(photo.home.photo_id):012d}.jpg"
    image["neg_category_ids"] = sorted(map(version.number, known.absent))
    image["not_exhaustive_category_ids"] = sorted(map(version.number, known.crowded))
    sheet.add(file, "images", image)
    for category in known.verified:
        sheet.counts[_count_key(file, "image", category)] += any(
            known.classes[index] == category for index in photo.view.singles
        )
    for index in photo.view.singles:
        if (category := known.classes[index]) in known.verified:
            sheet.counts[_count_key(file, "instance", category)] += 1
            sheet.add(file, "annotations", _annotation(photo, index, version.number(category)))


def _annotation(photo: ToyPhoto, index: int, category_id: int) -> dict[str, object]:
    polygons = segmentation_polygons(photo, index)
    return {
        "segmentation": polygons, "area": area_of(polygons),
        "image_id": int(photo.home.photo_id), "bbox": box_xywh(photo.rendered.boxes_xyxy[index]),
        "category_id": category_id, "id": annotation_id(photo, index),
    }  # fmt: skip


def _count_key(file: str, what: str, category: Category) -> str:
    return f"{file} {what} {category.id}"
