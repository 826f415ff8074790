"""Which annotated boxes can be an object on the photo: finite, with an area on the photo, not a crowd."""

import math
from typing import Literal

from xdetr_data.boxes import Box, clip_xyxy, xywh_to_xyxy

CrowdPolicy = Literal["drop", "keep"]
MIN_SIDE_PX = 1e-3


def check_box(box_xywh: Box, *, is_crowd: bool, size_hw: tuple[int, int], crowd: CrowdPolicy) -> Box | tuple[str, str]:
    """The box as ``[x0, y0, x1, y1]`` clipped to the photo, or (reason, detail) why it is no object box.

    Reasons: crowd-box, non-finite-box, degenerate-box, box-outside-photo.
    """
    if is_crowd and crowd == "drop":
        return "crowd-box", f"bbox {list(box_xywh)} holds many objects"
    if not all(map(math.isfinite, box_xywh)):
        return "non-finite-box", f"bbox {list(box_xywh)}"
    if box_xywh[2] < MIN_SIDE_PX or box_xywh[3] < MIN_SIDE_PX:
        return "degenerate-box", f"bbox {list(box_xywh)} has no width or no height"
    return _on_photo(xywh_to_xyxy(box_xywh), box_xywh, size_hw)


def check_corners(box_xyxy: Box, size_hw: tuple[int, int]) -> Box | tuple[str, str]:
    """The same of a box that is given by its corners, whose bits are kept."""
    if not all(map(math.isfinite, box_xyxy)):
        return "non-finite-box", f"bbox {list(box_xyxy)}"
    if box_xyxy[2] - box_xyxy[0] < MIN_SIDE_PX or box_xyxy[3] - box_xyxy[1] < MIN_SIDE_PX:
        return "degenerate-box", f"bbox {list(box_xyxy)} has no width or no height"
    return _on_photo(box_xyxy, box_xyxy, size_hw)


def _on_photo(box_xyxy: Box, given: Box, size_hw: tuple[int, int]) -> Box | tuple[str, str]:
    box_xyxy = clip_xyxy(box_xyxy, size_hw)
    if box_xyxy[2] - box_xyxy[0] < MIN_SIDE_PX or box_xyxy[3] - box_xyxy[1] < MIN_SIDE_PX:
        return "box-outside-photo", f"bbox {list(given)} on a photo of {size_hw[1]}x{size_hw[0]} pixels"
    return box_xyxy
