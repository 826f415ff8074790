"""COCO's ``instances_*2014.json`` and ``captions_*2014.json``: also crowds as run lengths, and the odd broken box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xdetr_data.toyworld import templates
from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.outlines import clip_polygon, placed_outline
from xdetr_data.toyworld.photo import Sheet, ToyPhoto, box_xywh
from xdetr_data.toyworld.render import Patch
from xdetr_data.toyworld.speech import say
from xdetr_data.toyworld.truth import text_truth

IDS_PER_PHOTO = 64
CATEGORIES = [
    {"supercategory": shape.supercategory, "id": shape.coco_id, "name": shape.name}
    for shape in words.SHAPES
    if shape.coco_id is not None
]


def write_coco(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds the photo, the boxes of COCO's own classes and its captions."""
    dice = photo.dice(Purpose.COCO)
    image = coco_image(photo)
    instances, captions = f"coco/instances_{photo.home.split}2014.json", f"coco/captions_{photo.home.split}2014.json"
    sheet.add(instances, "images", image)
    sheet.add(captions, "images", image)
    annotations = [
        coco_annotation(photo, index, category)
        for index, seen in enumerate(photo.view.objects)
        if (category := words.SHAPE[seen.shape].coco_id) is not None
    ]
    if dice.chance(0.005):
        annotations.append(_broken_annotation(photo))
    for annotation in annotations:
        sheet.add(instances, "annotations", annotation)
    _write_captions(photo, sheet, captions)


def coco_image(photo: ToyPhoto) -> dict[str, object]:
    """The photo's entry in ``images[]``."""
    home = photo.home
    return {
        "license": 4, "file_name": home.file_name, "height": photo.scene.height, "width": photo.scene.width,
        "coco_url": f"http://images.cocodataset.org/{home.split}2014/{home.file_name}",
        "date_captured": "2013-11-14 11:18:45", "flickr_url": f"http://farm1.staticflickr.com/1/{home.photo_id}_z.jpg",
        "id": int(home.photo_id),
    }  # fmt: skip


def annotation_id(photo: ToyPhoto, index: int) -> int:
    """The id that COCO, LVIS and RefCOCO give to an object of the photo."""
    return int(photo.home.photo_id) * IDS_PER_PHOTO + index


def coco_annotation(photo: ToyPhoto, index: int, category_id: int) -> dict[str, object]:
    """An object's entry in ``annotations[]``: polygons, or run lengths for a crowd."""
    placed, patch = photo.scene.objects[index], photo.rendered.patches[index]
    polygons = segmentation_polygons(photo, index)
    segmentation: object = polygons
    area = area_of(polygons)
    if placed.is_crowd:
        area = float(np.count_nonzero(patch.solid))
        segmentation = {
            "counts": run_lengths(patch, photo.scene.height, photo.scene.width),
            "size": [photo.scene.height, photo.scene.width],
        }
    return {
        "segmentation": segmentation, "area": area, "iscrowd": int(placed.is_crowd),
        "image_id": int(photo.home.photo_id), "bbox": box_xywh(photo.rendered.boxes_xyxy[index]),
        "category_id": category_id, "id": annotation_id(photo, index),
    }  # fmt: skip


def segmentation_polygons(photo: ToyPhoto, index: int) -> list[list[float]]:
    """The outer outline of an object, or of every member of a crowd, cut at the photo's edge: [[x, y, x, y, …], …].

    As with people's polygons, what shows through a ring or an outlined object is inside.
    """
    placed, scene = photo.scene.objects[index], photo.scene
    if placed.pattern == "outlined" and not placed.is_crowd:
        return [photo.rendered.patches[index].outer_outline().round(2).ravel().tolist()]
    centres = placed.member_centres_xy or (placed.centre_xy,)
    outlines = (placed_outline(placed.shape, centre, placed.radius, placed.tilt)[0] for centre in centres)
    clipped = (clip_polygon(outline, scene.height, scene.width) for outline in outlines)
    return [points.round(2).ravel().tolist() for points in clipped if len(points) > 2]


def area_of(polygons: list[list[float]]) -> float:
    """Pixels inside polygons that do not overlap (the shoelace formula)."""
    total = 0.0
    for polygon in polygons:
        x, y = np.array(polygon[0::2]), np.array(polygon[1::2])
        total += abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return round(total, 2)


def run_lengths(patch: Patch, height: int, width: int) -> list[int]:
    """COCO's uncompressed run lengths: column by column, beginning with the count of zeros."""
    mask: NDArray[np.bool_] = np.zeros((height, width), dtype=bool)
    mask[patch.window] = patch.solid
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    counts: list[int] = np.diff(bounds).tolist()
    return [0, *counts] if flat[0] else counts


def _broken_annotation(photo: ToyPhoto) -> dict[str, object]:
    return {
        "segmentation": [[5.0, 5.0, 5.0, 9.0, 5.0, 12.0]], "area": 0.0, "iscrowd": 0,
        "image_id": int(photo.home.photo_id), "bbox": [5.0, 5.0, 0.0, 7.0], "category_id": 1,
        "id": annotation_id(photo, IDS_PER_PHOTO - 1),
    }  # fmt: skip


def _write_captions(photo: ToyPhoto, sheet: Sheet, file: str) -> None:
    dice = photo.dice(Purpose.CAPTIONS)
    for number in range(dice.weighted((5, 6, 7), (90, 8, 2))):
        told = say(photo.view, dice, templates.CAPTION)
        text, mentions = (told.text, told.mentions) if told else ("A picture of something.", ())
        text += _untidy_end(dice)
        caption_id = int(photo.home.photo_id) * IDS_PER_PHOTO + number
        sheet.add(file, "annotations", {"image_id": int(photo.home.photo_id), "id": caption_id, "caption": text})
        sheet.texts.append(text_truth(file, str(caption_id), text, mentions))


def _untidy_end(dice: Dice) -> str:
    return dice.weighted(("", " ", "\n", "  "), (85, 10, 3, 2))
