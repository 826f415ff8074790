"""YOLO's text files, one a photo: a line ``class x y w h`` for each box, centre and size as shares of the photo's.

Source: docs.ultralytics.com/datasets/detect. Shares have six decimals, as its own converters write them.
"""

from collections.abc import Mapping

from xdetr_data.boxes import Box, clip_xyxy, normalise_xyxy, scale_xyxy
from xdetr_data.record import GroundedImage


def rounded(box_xyxy: Box, size_hw: tuple[int, int]) -> Box:
    """The box that a line gives back, on the photo."""
    x, y, width, height = _shares(box_xyxy, size_hw)
    x, y, width, height = round(x, 6), round(y, 6), round(width, 6), round(height, 6)
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return clip_xyxy(scale_xyxy(corners, size_hw), size_hw)


def yolo_lines(record: GroundedImage, labels: Mapping[str, int]) -> str:
    """The text of a projected record of classes; ``labels`` are the numbers of classes by their text, from 0."""
    size_hw = record.image.size_hw
    shares = [
        (labels[query.text], *_shares(record.regions[index].box_xyxy, size_hw))
        for query in record.queries
        for phrase in query.phrases
        for index in phrase.regions
    ]
    return "".join([f"{label} {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n" for label, x, y, width, height in shares])


def _shares(box_xyxy: Box, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = normalise_xyxy(box_xyxy, size_hw)
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
