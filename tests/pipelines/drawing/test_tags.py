from hypothesis import given
from hypothesis import strategies as st

from pipelines.drawing.tags import place_tags
from tests.strategies import boxes_xyxy
from xdetr_data.boxes import Box, iou_matrix_xyxy

CANVAS = (1000.0, 1000.0)
SIZE = (20.0, 15.0)


@given(st.lists(boxes_xyxy(), max_size=12))
def test_tags_have_their_size_and_stay_on_the_photo(boxes: list[Box]) -> None:
    for x0, y0, x1, y1 in place_tags(boxes, [SIZE] * len(boxes), CANVAS):
        assert abs(x1 - x0 - 20) < 1e-6
        assert abs(y1 - y0 - 15) < 1e-6
        assert x0 >= -1e-6
        assert y0 >= -1e-6
        assert x1 <= 1000 + 1e-6
        assert y1 <= 1000 + 1e-6


def test_tags_of_one_box_stand_beside_one_another() -> None:
    box = (100.0, 100.0, 300.0, 250.0)
    tags = place_tags([box] * 5, [SIZE] * 5, CANVAS)
    iou = iou_matrix_xyxy(tags, tags)
    assert iou.sum() == 5.0
    assert tags[0] == (100.0, 100.0, 120.0, 115.0)


def test_the_tag_of_a_small_box_does_not_hide_it() -> None:
    box = (100.0, 100.0, 122.0, 118.0)
    (tag,) = place_tags([box], [SIZE], CANVAS)
    assert iou_matrix_xyxy([tag], [box]).item() == 0.0


def test_a_photo_smaller_than_a_tag_gets_one_all_the_same() -> None:
    assert len(place_tags([(0.0, 0.0, 5.0, 5.0)], [SIZE], (5.0, 5.0))) == 1
