"""COCO's instances, of a dataset of classes with LVIS's fields.

An image is ``{"id", "file_name", "height", "width", "source"}``, ids count from 1; an annotation has one box
``[x, y, w, h]`` in pixels whose far edges are to the last bit those of the region where any width gives them back.
``segmentation`` is COCO's compressed run lengths, where somebody segmented the object. Of a photo of a federated
dataset ``neg_category_ids`` are the classes that people verified to be absent, ``not_exhaustive_category_ids`` those of
which not every object is boxed. Sources: cocodataset.org/#format-data, lvisdataset.org/dataset.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from xdetr_data.boxes import Box, exact_xyxy_to_xywh, xywh_to_xyxy
from xdetr_data.record import GroundedImage, Region


def rounded(box_xyxy: Box, size_hw: tuple[int, int]) -> Box:
    """The box that corner, width and height give back, on the photo."""
    x0, y0, x1, y1 = xywh_to_xyxy(exact_xyxy_to_xywh(box_xyxy))
    return (x0, y0, min(x1, float(size_hw[1])), min(y1, float(size_hw[0])))


def coco_image(
    record: GroundedImage, image_id: int, labels: Mapping[str, int], *, is_federated: bool
) -> dict[str, Any]:
    """The image of a projected record; ``labels`` are the numbers of classes by their text."""
    height, width = record.image.size_hw
    image = {
        "id": image_id,
        "file_name": record.image.file_name,
        "height": height,
        "width": width,
        "source": record.image.source,
    }
    if is_federated:
        there = [query.text for query in record.queries if any(phrase.regions for phrase in query.phrases)]
        unsure = {query.text for query in record.queries if not query.is_exhaustive}
        image["neg_category_ids"] = [labels[one.text] for one in record.queries if one.text not in there]
        image["not_exhaustive_category_ids"] = [labels[text] for text in there if text in unsure]
    return image


def coco_annotations(
    record: GroundedImage, image_id: int, first_id: int, labels: Mapping[str, int]
) -> list[dict[str, Any]]:
    """An annotation for each region of each class of a projected record."""
    found = [
        (labels[query.text], record.regions[index])
        for query in record.queries
        for phrase in query.phrases
        for index in phrase.regions
    ]
    return [
        {"id": first_id + number, "image_id": image_id, "category_id": label} | _about(region, record.image.size_hw)
        for number, (label, region) in enumerate(found)
    ]


def _about(region: Region, size_hw: tuple[int, int]) -> dict[str, Any]:
    box = exact_xyxy_to_xywh(region.box_xyxy)
    about: dict[str, Any] = {"bbox": box, "area": box[2] * box[3], "iscrowd": int(region.is_crowd)}
    if region.mask is not UNSET:
        about["segmentation"] = {"size": size_hw, "counts": region.mask}
    return about
