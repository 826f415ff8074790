"""Which relations hold between boxes, with a margin, so that no eye would quarrel with the words.

`holds` is strict and `might_hold` lenient: a phrase may use a relation to tell kin apart only where it holds for one
and might not even hold for the others.
"""

from __future__ import annotations

from itertools import pairwise

from xdetr_data.toyworld.view import Seen, View

DIRECTIONS = ("left", "right", "above", "below")
ALL_RELATIONS = (*DIRECTIONS, "near", "front", "behind")
_AXIS = {"left": (0, -1), "right": (0, 1), "above": (1, -1), "below": (1, 1)}
_TOUCH = 2  # pixels that two boxes may share and still stand beside each other


def holds(view: View, relation: str, target: int, anchor: int) -> bool:
    """Whether the target clearly stands in this relation to the anchor."""
    one, other = view.objects[target], view.objects[anchor]
    if relation in _AXIS:
        axis, sign = _AXIS[relation]
        across = abs(one.centre_xy[1 - axis] - other.centre_xy[1 - axis])
        along = sign * (one.centre_xy[axis] - other.centre_xy[axis])
        apart = _gap(one, other, axis) >= -_TOUCH
        return apart and along > 0 and along > 0.6 * across
    if relation == "near":
        return _distance(one, other) < 0.12 * view.short_side
    if relation == "front":
        return target > anchor and _covers(view, one, other)
    return target < anchor and _covers(view, one, other)


def might_hold(view: View, relation: str, target: int, anchor: int) -> bool:
    """Whether somebody could say so of the target and the anchor."""
    one, other = view.objects[target], view.objects[anchor]
    if relation in _AXIS:
        axis, sign = _AXIS[relation]
        return sign * (one.centre_xy[axis] - other.centre_xy[axis]) > 0
    if relation == "near":
        return _distance(one, other) < 0.3 * view.short_side
    return _gap(one, other, 0) < 0 and _gap(one, other, 1) < 0


def places_of(view: View, target: int) -> list[str]:
    """The parts of the photo that the target clearly lies in."""
    x, y = view.objects[target].centre_xy
    x, y = x / view.width, y / view.height
    found = [name for name, value in (("left", x), ("top", y)) if value < 0.3]
    found += [name for name, value in (("right", x), ("bottom", y)) if value > 0.7]
    if 0.4 < x < 0.6 and 0.4 < y < 0.6:
        found.append("middle")
    return found


def might_be_at(view: View, place: str, target: int) -> bool:
    """Whether somebody could say that the target is there."""
    x, y = view.objects[target].centre_xy
    x, y = x / view.width, y / view.height
    if place == "middle":
        return 0.28 < x < 0.72 and 0.28 < y < 0.72
    return {"left": x < 0.5, "right": x > 0.5, "top": y < 0.5, "bottom": y > 0.5}[place]


def extreme_of(view: View, extreme: str, kin: tuple[int, ...]) -> int | None:
    """The one that is clearly the leftmost, biggest … of its kin, or None."""

    def measure(index: int) -> float:
        seen = view.objects[index]
        left, top, right, bottom = seen.box_xyxy
        return {
            "left": -seen.centre_xy[0], "right": seen.centre_xy[0], "top": -seen.centre_xy[1],
            "bottom": seen.centre_xy[1], "biggest": max(right - left, bottom - top),
            "smallest": -max(right - left, bottom - top),
        }[extreme]  # fmt: skip

    ranked = sorted(kin, key=measure, reverse=True)
    first, second = measure(ranked[0]), measure(ranked[1])
    if extreme in ("biggest", "smallest"):
        return ranked[0] if max(abs(first), abs(second)) > 1.3 * min(abs(first), abs(second)) else None
    return ranked[0] if first - second > 0.08 * view.short_side else None


def in_order(view: View, side: str, kin: tuple[int, ...]) -> list[int] | None:
    """Kin counted from the left or right, or None where two stand one above the other."""
    ranked = sorted(kin, key=lambda index: view.objects[index].centre_xy[0], reverse=side == "right")
    places = [view.objects[index].centre_xy[0] for index in ranked]
    gaps = [abs(one - other) for one, other in pairwise(places)]
    return ranked if min(gaps) > 0.08 * view.short_side else None


def _gap(one: Seen, other: Seen, axis: int) -> float:
    """Free pixels between two boxes along an axis, negative where they overlap."""
    return max(one.box_xyxy[axis] - other.box_xyxy[axis + 2], other.box_xyxy[axis] - one.box_xyxy[axis + 2])


def _distance(one: Seen, other: Seen) -> float:
    return float(max(_gap(one, other, 0), _gap(one, other, 1), 0))


def _covers(view: View, one: Seen, other: Seen) -> bool:
    behind = min(one.visible_share, other.visible_share)
    wide, high = -_gap(one, other, 0), -_gap(one, other, 1)
    return behind < 0.97 and wide > 0.03 * view.short_side and high > 0.03 * view.short_side
