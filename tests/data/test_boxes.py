import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import boxes_xyxy, sizes_hw
from xdetr_data.boxes import (
    Box,
    area_xyxy,
    clip_xyxy,
    iou_matrix_xyxy,
    normalise_xyxy,
    scale_xyxy,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

ANY = st.floats(-1e6, 1e6)
ANY_BOX = st.tuples(ANY, ANY, ANY, ANY)
ORDERED_BOX = ANY_BOX.map(lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])))
BOXES = st.lists(boxes_xyxy(), max_size=6)


def slow_iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / both if both > 0 else 0.0


@given(ANY_BOX)
def test_xywh_and_xyxy_invert_each_other(box: Box) -> None:
    assert xyxy_to_xywh(xywh_to_xyxy(box)) == pytest.approx(box, abs=1e-9)
    assert xywh_to_xyxy(xyxy_to_xywh(box)) == pytest.approx(box, abs=1e-9)


def test_xywh_is_corner_and_sides() -> None:
    assert xywh_to_xyxy((10.0, 20.0, 3.0, 4.0)) == (10.0, 20.0, 13.0, 24.0)


@given(boxes_xyxy(), sizes_hw())
def test_normalising_and_scaling_invert_each_other(box: Box, size_hw: tuple[int, int]) -> None:
    assert scale_xyxy(normalise_xyxy(box, size_hw), size_hw) == pytest.approx(box, abs=1e-9)


def test_height_and_width_are_not_confused() -> None:
    assert scale_xyxy((0.5, 0.5, 1.0, 1.0), (100, 200)) == (100.0, 50.0, 200.0, 100.0)
    assert clip_xyxy((-1.0, -1.0, 500.0, 500.0), (100, 200)) == (0.0, 0.0, 200.0, 100.0)


@given(ORDERED_BOX, sizes_hw())
def test_a_clipped_box_lies_on_the_photo_and_clipping_again_changes_nothing(box: Box, size_hw: tuple[int, int]) -> None:
    x0, y0, x1, y1 = clipped = clip_xyxy(box, size_hw)
    assert 0 <= x0 <= x1 <= size_hw[1]
    assert 0 <= y0 <= y1 <= size_hw[0]
    assert clip_xyxy(clipped, size_hw) == clipped


@given(boxes_xyxy((50, 100)))
def test_clipping_leaves_a_box_on_the_photo_as_it_is(box: Box) -> None:
    assert clip_xyxy(box, (50, 100)) == box


@given(BOXES)
def test_areas_are_width_times_height(boxes: list[Box]) -> None:
    expected = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]
    assert area_xyxy(np.array(boxes).reshape(-1, 4)).tolist() == expected


def test_a_box_with_negative_sides_has_no_area() -> None:
    assert area_xyxy([[5, 5, 1, 1], [5, 5, 1, 9], [1, 1, 3, 4]]).tolist() == [0.0, 0.0, 6.0]


@given(BOXES, BOXES)
def test_iou_is_what_the_slow_definition_says(a: list[Box], b: list[Box]) -> None:
    fast = iou_matrix_xyxy(a, b)
    assert fast.shape == (len(a), len(b))
    assert fast == pytest.approx(np.array([[slow_iou(one, other) for other in b] for one in a]).reshape(fast.shape))


@given(BOXES, BOXES)
def test_iou_is_symmetric_between_0_and_1_and_1_with_itself(a: list[Box], b: list[Box]) -> None:
    iou = iou_matrix_xyxy(a, b)
    assert np.array_equal(iou, iou_matrix_xyxy(b, a).T)
    assert ((iou >= 0) & (iou <= 1 + 1e-12)).all()
    areas = area_xyxy(np.array(a).reshape(-1, 4))
    assert np.diag(iou_matrix_xyxy(a, a))[areas > 1e-200] == pytest.approx(1.0)


def test_iou_of_boxes_without_area_is_0_not_nan() -> None:
    assert iou_matrix_xyxy([[1, 1, 1, 1]], [[1, 1, 1, 1], [0, 0, 2, 2]]).tolist() == [[0.0, 0.0]]


@given(boxes_xyxy(), st.integers(0, 100), st.integers(0, 100))
def test_iou_does_not_change_when_both_boxes_move(box: Box, dx: int, dy: int) -> None:
    other = (box[0] + 3, box[1] + 2, box[2] + 3, box[3] + 2)
    moved = [(x0 + dx, y0 + dy, x1 + dx, y1 + dy) for x0, y0, x1, y1 in (box, other)]
    assert iou_matrix_xyxy([moved[0]], [moved[1]])[0, 0] == pytest.approx(
        iou_matrix_xyxy([box], [other])[0, 0], abs=1e-6
    )
