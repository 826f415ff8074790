"""What stands between a reader and the record: queries whose phrases still carry their own boxes.

One object may be boxed several times here, once for each query that names it; ``stages.merge_regions`` makes them one
region and the queries part of a ``GroundedImage``.
"""

import msgspec

from xdetr_data.boxes import Box
from xdetr_data.spans import Span


class BoxedPhrase(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A phrase of a query with the boxes of the annotations that name it, in pixels on the photo.

    ``score`` is what a model said of it, where a model did; ``detail`` is for an audit: of a model, or the class.
    ``masks`` are those of the boxes (``record.Region.mask``), None for a box without; empty where nobody segments.
    """

    spans: tuple[Span, ...]
    boxes_xyxy: tuple[Box, ...]
    annotation_ids: tuple[str, ...]
    score: float | None = None
    detail: str = ""
    masks: tuple[str | None, ...] = ()


class BoxedQuery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One independent sentence with its phrases; ``source`` says which file's annotators boxed it."""

    text: str
    group: str
    source: str
    phrases: tuple[BoxedPhrase, ...]


def whole_query(
    text: str, box_xyxy: Box, *, group: str, source: str, annotation_id: str, detail: str = ""
) -> BoxedQuery:
    """A sentence that as a whole names one box."""
    phrase = BoxedPhrase(
        spans=((0, len(text)),), boxes_xyxy=(box_xyxy,), annotation_ids=(annotation_id,), detail=detail
    )
    return BoxedQuery(text=text, group=group, source=source, phrases=(phrase,))


class LooseBox(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A box that no text names, in pixels on the photo; ``input_ref`` is where it stands in the input."""

    box_xyxy: Box
    is_crowd: bool
    source: str
    annotation_id: str
    input_ref: str = ""
    detail: str = ""
