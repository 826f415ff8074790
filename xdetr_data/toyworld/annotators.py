"""People who box: each draws an object's box once, a little off; Visual Genome's are looser than COCO's."""

from __future__ import annotations

import math

from xdetr_data.boxes import Box
from xdetr_data.toyworld.dice import Dice
from xdetr_data.toyworld.view import View


class Annotator:
    """Somebody whose boxes lie up to ``looseness`` of a side outside the object, and remembers them."""

    def __init__(self, view: View, dice: Dice, looseness: float, *, whole_pixels: bool) -> None:
        self._view, self._dice = view, dice
        self._looseness, self._whole_pixels = looseness, whole_pixels
        self._boxes: dict[int, Box] = {}

    def box_xyxy(self, index: int) -> Box:
        """This annotator's box of an object, in pixels inside the photo."""
        if index not in self._boxes:
            self._boxes[index] = self._draw(index)
        return self._boxes[index]

    def _draw(self, index: int) -> Box:
        left, top, right, bottom = self._view.objects[index].box_xyxy
        reach_x, reach_y = self._looseness * (right - left), self._looseness * (bottom - top)
        # Hands err outwards more than inwards.
        off = [self._dice.uniform(-0.25, 1.0) * reach for reach in (reach_x, reach_y, reach_x, reach_y)]
        box = (left - off[0], top - off[1], right + off[2], bottom + off[3])
        if self._whole_pixels:
            box = (math.floor(box[0] + 0.4), math.floor(box[1] + 0.4), math.ceil(box[2] - 0.4), math.ceil(box[3] - 0.4))
        else:
            box = (round(box[0], 2), round(box[1], 2), round(box[2], 2), round(box[3], 2))
        width, height = float(self._view.width), float(self._view.height)
        return max(0.0, box[0]), max(0.0, box[1]), min(width, box[2]), min(height, box[3])


def muted_objects(view: View, dice: Dice, probability: float) -> frozenset[int]:
    """Objects that nobody mentions, never all of them."""
    muted = [index for index in range(len(view.objects)) if dice.chance(probability)]
    return frozenset(muted[: max(0, len(view.objects) - 1)])
