"""Adds boxes that no text names as class-agnostic regions (the paper's *+boxes*)."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from xdetr_data.box_order import rank
from xdetr_data.boxed import LooseBox
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage, Provenance, Region, Rejected

STAGE = "merge_boxes"


def merge_boxes(
    sample: GroundedImage, boxes: Sequence[LooseBox], *, dedupe_iou: float, order: Sequence[str] = ()
) -> tuple[GroundedImage, list[Rejected]]:
    """The sample with ``boxes`` appended as textless regions in their order.

    A box whose IoU with a region that is already there is at least ``dedupe_iou`` is the same object: it is rejected
    as ``duplicate-of-region``. Crowd regions are compared with nothing, since they hold many objects. Two added boxes
    are never compared: one annotator told them apart, unless they are equal.

    Of the boxes of one object, the one whose source stands first in ``order`` (``xdetr_data.box_order``) becomes the
    region's, with both named in its provenance; it is then no reject. Phrases keep what they name and who said so.
    """
    if not boxes:
        return sample, []
    named = [region.box_xyxy for region in sample.regions if not region.is_crowd]
    iou_BR = iou_matrix_xyxy([box.box_xyxy for box in boxes], named)
    best = iou_BR.max(axis=1, initial=0.0).tolist()
    winners = _winners(sample.regions, boxes, iou_BR, dedupe_iou, order)
    seen = set(named)
    added: list[Region] = []
    rejects: list[Rejected] = []
    for number, (box, iou) in enumerate(zip(boxes, best, strict=True)):
        if number in winners.values():
            seen.add(box.box_xyxy)
            continue
        if not box.is_crowd and (iou >= dedupe_iou or box.box_xyxy in seen):
            rejects.append(
                Rejected(
                    key=sample.key,
                    unit="box",
                    stage=STAGE,
                    reason="duplicate-of-region",
                    detail=f"annotation {box.annotation_id} has IoU {iou:.3f} with a region",
                    input_ref=box.input_ref or box.source,
                )
            )
            continue
        seen.add(box.box_xyxy)
        added.append(
            Region(
                box_xyxy=box.box_xyxy,
                is_crowd=box.is_crowd,
                provenance=Provenance(source=box.source, annotation_id=box.annotation_id, detail=box.detail),
            )
        )
    regions = tuple(
        _with_box(region, boxes[winners[index]]) if index in winners else region
        for index, region in enumerate(sample.regions)
    )
    return msgspec.structs.replace(sample, regions=regions + tuple(added)), rejects


def _winners(
    regions: Sequence[Region],
    boxes: Sequence[LooseBox],
    iou_BR: NDArray[np.float64],
    dedupe_iou: float,
    order: Sequence[str],
) -> dict[int, int]:
    """Position of a region → the box that takes its place: the closest of those that the order puts before it.

    ``iou_BR`` is with the regions that are no crowds. A box takes one place, that of its closest region.
    """
    if not order:
        return {}
    places = [index for index, region in enumerate(regions) if not region.is_crowd]
    winners: dict[int, int] = {}
    for number, box in enumerate(boxes):
        if box.is_crowd or not places:
            continue
        column = int(iou_BR[number].argmax())
        index, iou = places[column], float(iou_BR[number, column])
        if iou < dedupe_iou or rank(box.source, order) >= rank(regions[index].provenance.source, order):
            continue
        held = winners.get(index)
        if held is None or (rank(box.source, order), -iou) < (rank(boxes[held].source, order), -iou_BR[held, column]):
            winners[index] = number
    return winners


def _with_box(region: Region, box: LooseBox) -> Region:
    """The region with a box of another source; what it was before is told."""
    was = region.provenance
    told = " ".join(part for part in (box.detail, f"also {was.source} {was.annotation_id}".strip(), was.detail) if part)
    provenance = Provenance(source=box.source, annotation_id=box.annotation_id, detail=told)
    return msgspec.structs.replace(region, box_xyxy=box.box_xyxy, provenance=provenance)
