"""Adds boxes that no text names as class-agnostic regions (the paper's *+boxes*)."""

from collections.abc import Sequence

import msgspec

from xdetr_data.boxed import LooseBox
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage, Provenance, Region, Rejected

STAGE = "merge_boxes"


def merge_boxes(
    sample: GroundedImage, boxes: Sequence[LooseBox], *, dedupe_iou: float
) -> tuple[GroundedImage, list[Rejected]]:
    """The sample with ``boxes`` appended as textless regions in their order.

    A box whose IoU with a region that is already there is at least ``dedupe_iou`` is the same object: it is rejected
    as ``duplicate-of-region``. Crowd regions are compared with nothing, since they hold many objects. Two added boxes
    are never compared: one annotator told them apart, unless they are equal.
    """
    if not boxes:
        return sample, []
    named = [region.box_xyxy for region in sample.regions if not region.is_crowd]
    best = iou_matrix_xyxy([box.box_xyxy for box in boxes], named).max(axis=1, initial=0.0).tolist()
    seen = set(named)
    added: list[Region] = []
    rejects: list[Rejected] = []
    for box, iou in zip(boxes, best, strict=True):
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
    return msgspec.structs.replace(sample, regions=sample.regions + tuple(added)), rejects
