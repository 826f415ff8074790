"""What boxes say about text: annotations whose boxes overlap were never packed together from two expressions."""

from collections.abc import Sequence

from xdetr_data.boxes import Box, overlapping_pairs_xyxy
from xdetr_data.spans import Span


def hulls_of_overlapping(
    annotation_spans: Sequence[Sequence[Span]], boxes_xyxy: Sequence[Box], max_iou: float
) -> list[Span]:
    """Spans that no boundary lies across, one per pair of annotations whose boxes overlap by more than ``max_iou``.

    Each reaches from the first character of the pair to its last. MDETR packs two expressions into one paragraph only
    if no box of one overlaps a box of the other by more than 0.5 (IoU), so such a pair is of one expression.

    Args:
        annotation_spans: for each annotation its spans in the caption; may be none.
        boxes_xyxy: for each annotation its box, any one unit.
        max_iou: overlap up to which expressions were packed together.
    """
    hulls = []
    for i, j in overlapping_pairs_xyxy(boxes_xyxy, max_iou):
        spans = (*annotation_spans[i], *annotation_spans[j])
        if spans:
            hulls.append((min(spans)[0], max(end for _, end in spans)))
    return hulls
