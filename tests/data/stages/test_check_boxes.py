"""Which annotated boxes can be an object: on the photo with an area, or a reason why not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import sizes_hw
from xdetr_data.stages.check_boxes import MIN_SIDE_PX, check_box

SIZE_HW = (48, 64)
REASONS = {"crowd-box", "non-finite-box", "degenerate-box", "box-outside-photo"}
NUMBERS = st.floats() | st.floats(-100, 200) | st.integers(-(10**9), 10**9).map(float)


@pytest.mark.parametrize(
    ("box_xywh", "result"),
    [
        ((2, 3, 10, 12), (2.0, 3.0, 12.0, 15.0)),
        ((0, 0, 64, 48), (0.0, 0.0, 64.0, 48.0)),
        ((-5, -5, 10, 10), (0.0, 0.0, 5.0, 5.0)),
        ((60, 40, 10, 10), (60.0, 40.0, 64.0, 48.0)),
        ((1, 2, 0, 4), "degenerate-box"),
        ((1, 2, 3, -4), "degenerate-box"),
        ((1, 2, MIN_SIDE_PX / 2, 4), "degenerate-box"),
        ((64, 0, 5, 5), "box-outside-photo"),
        ((-5, 0, 5, 5), "box-outside-photo"),
        ((64 - MIN_SIDE_PX / 2, 0, 5, 5), "box-outside-photo"),
        ((math.nan, 0, 5, 5), "non-finite-box"),
        ((0, 0, math.inf, 5), "non-finite-box"),
    ],
)
def test_a_box_is_clipped_to_the_photo_or_has_its_reason(
    box_xywh: tuple[float, float, float, float], result: object
) -> None:
    found = check_box(box_xywh, is_crowd=False, size_hw=SIZE_HW, crowd="drop")
    assert (found if len(found) == 4 else found[0]) == result


def test_a_crowd_is_dropped_or_kept_as_the_policy_says() -> None:
    box = (2.0, 3.0, 10.0, 12.0)
    dropped = check_box(box, is_crowd=True, size_hw=SIZE_HW, crowd="drop")
    assert dropped[0] == "crowd-box"
    assert check_box(box, is_crowd=True, size_hw=SIZE_HW, crowd="keep") == (2.0, 3.0, 12.0, 15.0)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), sizes_hw(), st.booleans(), st.sampled_from(["drop", "keep"]))
def test_any_numbers_are_a_box_with_area_on_the_photo_or_a_reason(
    box_xywh: tuple[float, float, float, float], size_hw: tuple[int, int], is_crowd: bool, crowd: str
) -> None:
    found = check_box(box_xywh, is_crowd=is_crowd, size_hw=size_hw, crowd=crowd)  # type: ignore[arg-type]
    if len(found) == 2:
        assert found[0] in REASONS
        assert found[1].startswith("bbox [")
        return
    x0, y0, x1, y1 = found
    assert 0 <= x0 < x1 <= size_hw[1]
    assert 0 <= y0 < y1 <= size_hw[0]
    assert min(x1 - x0, y1 - y0) >= MIN_SIDE_PX
    x, y, w, h = box_xywh
    assert x0 >= min(x, size_hw[1])
    assert y0 >= min(y, size_hw[0])
    assert x1 <= max(x + w, 0)
    assert y1 <= max(y + h, 0)
