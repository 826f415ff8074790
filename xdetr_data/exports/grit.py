"""GRIT's lines (Kosmos-2): a caption with its noun chunks, each ``[begin, end, x0, y0, x1, y1, score]``.

``begin`` and ``end`` are characters of the caption, boxes are shares of the photo's width and height. A phrase of
several boxes is several chunks of the same words; of a phrase that is the whole sentence, ``ref_exps`` have the same.
The score is 1. Source: the data card of zzliang/GRIT.
"""

from typing import Any

from xdetr_data.boxes import Box, clip_xyxy, normalise_xyxy, scale_xyxy
from xdetr_data.record import GroundedImage, Query


def rounded(box_xyxy: Box, size_hw: tuple[int, int]) -> Box:
    """The box that shares of the photo's sides give back."""
    return clip_xyxy(scale_xyxy(normalise_xyxy(box_xyxy, size_hw), size_hw), size_hw)


def grit_lines(record: GroundedImage) -> list[dict[str, Any]]:
    """A line for each query of a projected record."""
    height, width = record.image.size_hw
    about = {"key": record.key, "file_name": record.image.file_name, "width": width, "height": height}
    return [about | {"caption": query.text} | _chunks(record, query) for query in record.queries]


def _chunks(record: GroundedImage, query: Query) -> dict[str, Any]:
    chunks = [
        [*phrase.spans[0], *normalise_xyxy(record.regions[index].box_xyxy, record.image.size_hw), 1.0]
        for phrase in query.phrases
        for index in phrase.regions
    ]
    whole = (0, len(query.text))
    return {"noun_chunks": chunks, "ref_exps": [one for one in chunks if (one[0], one[1]) == whole]}
