"""COCO's boxes of a photo whose phrases a model labels: they join as regions that no text names."""

from collections.abc import Sequence

from pipelines.engine.outcome import Outcome
from xdetr_data.boxed import LooseBox
from xdetr_data.sources.coco import parse_box
from xdetr_data.sources.elements import Element
from xdetr_data.stages.check_boxes import CrowdPolicy, check_box

PLACE = "place_coco"


def coco_boxes(
    elements: Sequence[Element], size_hw: tuple[int, int], crowd: CrowdPolicy, outcome: Outcome
) -> tuple[LooseBox, ...]:
    """The boxes in pixels on the photo; those that cannot be read, or are none, become rejects."""
    found: list[LooseBox] = []
    for element, one in outcome.readable("box", elements, [parse_box(each.data) for each in elements]):
        is_crowd = bool(one.iscrowd)
        box = check_box(one.bbox, is_crowd=is_crowd, size_hw=size_hw, crowd=crowd)
        if len(box) == 2:
            outcome.reject("box", PLACE, *box, where=element.where)
            continue
        source = {"source": element.label, "annotation_id": str(one.id), "input_ref": element.where}
        found.append(LooseBox(box_xyxy=box, is_crowd=is_crowd, **source))
    return tuple(found)
