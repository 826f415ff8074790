"""ODVG's JSON lines: grounding for MM-Grounding-DINO and Open-GroundingDino, and detection with a label map.

A line is a query of a photo, or its classes. Both trainers read a region of one box each, so that a phrase of several
boxes is several regions with the same ``tokens_positive`` (characters of the caption). Boxes are ``[x0, y0, x1, y1]``
in pixels. Source: mmdetection ``mmdet/datasets/odvg.py``, Open-GroundingDino ``data_format.md``.
"""

from collections.abc import Mapping
from typing import Any

from xdetr_data.record import GroundedImage, Query
from xdetr_data.spans import span_text


def grounding_lines(record: GroundedImage, file_name: str) -> list[dict[str, Any]]:
    """A line for each query of a projected record."""
    return [_about(record, file_name) | {"grounding": _grounding(record, query)} for query in record.queries]


def detection_line(record: GroundedImage, file_name: str, labels: Mapping[str, int]) -> dict[str, Any]:
    """The line of a projected record of classes; ``labels`` are the numbers of all classes by their text."""
    instances = [
        {"bbox": record.regions[index].box_xyxy, "label": labels[query.text], "category": query.text}
        for query in record.queries
        for phrase in query.phrases
        for index in phrase.regions
    ]
    return _about(record, file_name) | {"detection": {"instances": instances}}


def _about(record: GroundedImage, file_name: str) -> dict[str, Any]:
    height, width = record.image.size_hw
    return {"filename": file_name, "height": height, "width": width}


def _grounding(record: GroundedImage, query: Query) -> dict[str, Any]:
    regions = [
        {
            "bbox": record.regions[index].box_xyxy,
            "phrase": span_text(phrase.spans, query.text),
            "tokens_positive": phrase.spans,
        }
        for phrase in query.phrases
        for index in phrase.regions
    ]
    return {"caption": query.text, "regions": regions}
