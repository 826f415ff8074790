"""Boxes of whatever is on a photo, from any grounder."""

from collections.abc import Sequence

from xdetr_model.grounders.protocol import Candidates, Grounder, PhraseQuery, best
from xdetr_model.grounders.xdetr import XDetrGrounder
from xdetr_model.photos import PreparedPhoto

ANYTHING = PhraseQuery(text="object", spans=((0, 6),))


def propose(grounder: Grounder, photos: Sequence[PreparedPhoto], keep: int) -> list[Candidates]:
    """The ``keep`` best boxes of each photo: X-DETR's by objectness, another's for the phrase "object"."""
    if isinstance(grounder, XDetrGrounder):
        encoded = grounder.encode_photos(photos)
        return [best(one.boxes_xyxy, one.objectness, keep, "whole") for one in encoded]
    return [found for [found] in grounder.ground_prepared(photos, [[ANYTHING]] * len(photos), keep)]
