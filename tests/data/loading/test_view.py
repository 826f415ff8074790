"""Crops and boxes: what a named region may lose, and that pixels and boxes obey the same view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.loading.painted import paint, red_box
from xdetr_data.boxes import Box
from xdetr_data.loading.config import DataConfig
from xdetr_data.loading.pixels import render
from xdetr_data.loading.view import MIN_KEPT, View, draw_crop, draw_view, resized_hw, see
from xdetr_data.photos.decoding import open_photo

sides = st.integers(24, 90)


@st.composite
def painted_boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    height, width = draw(sides), draw(sides)
    x0, y0 = draw(st.integers(0, width - 9)), draw(st.integers(0, height - 9))
    x1, y1 = draw(st.integers(x0 + 8, width)), draw(st.integers(y0 + 8, height))
    return (height, width), (float(x0), float(y0), float(x1), float(y1))


@settings(max_examples=150)
@given(case=painted_boxes(), seed=st.integers(0, 1 << 30), file_format=st.sampled_from(["PNG", "JPEG"]))
def test_a_painted_rectangle_is_found_in_the_pixels_where_its_box_says(
    case: tuple[tuple[int, int], Box], seed: int, file_format: str
) -> None:
    size_hw, box = case
    config = DataConfig(shortest_px=(16, 40, 75), longest_px=110, crop=0.8, flip=0.5)
    view = draw_view(np.random.default_rng(seed), size_hw, [box], config, may_flip=True)
    pixels = render(open_photo(paint(size_hw, box, file_format)), view)
    assert pixels.shape == (*view.out_hw, 4)
    height, width = view.out_hw
    told = see([box], view).boxes_xyxy_norm[0] * [width, height, width, height]
    scale = max(width / (view.crop_xyxy[2] - view.crop_xyxy[0]), height / (view.crop_xyxy[3] - view.crop_xyxy[1]))
    # Half an output pixel of rounding; JPEG's chroma is at half the resolution and bleeds.
    tolerance = (1.0 if file_format == "PNG" else 2.0) * max(1.0, scale) + 0.5
    assert np.abs(np.array(red_box(pixels)) - told).max() <= tolerance


def test_a_flip_mirrors_pixels_and_boxes() -> None:
    view = View(crop_xyxy=(0.0, 0.0, 60.0, 40.0), out_hw=(40, 60), is_flipped=True)
    box = (6.0, 4.0, 20.0, 30.0)
    assert see([box], view).boxes_xyxy_norm[0] * [60, 40, 60, 40] == pytest.approx([40, 4, 54, 30])
    assert red_box(render(open_photo(paint((40, 60), box)), view)) == (40, 4, 54, 30)


@given(case=painted_boxes(), seed=st.integers(0, 1 << 30))
def test_a_crop_keeps_most_of_every_named_region(case: tuple[tuple[int, int], Box], seed: int) -> None:
    size_hw, box = case
    crop = draw_crop(np.random.default_rng(seed), size_hw, [box])
    assert 0 <= crop[0] < crop[2] <= size_hw[1]
    assert 0 <= crop[1] < crop[3] <= size_hw[0]
    assert all(side == int(side) for side in crop)
    view = View(crop_xyxy=crop, out_hw=(10, 10), is_flipped=False)
    assert see([box], view).kept[0] >= MIN_KEPT


def test_crops_do_crop() -> None:
    crops = {draw_crop(np.random.default_rng(seed), (100, 100), [(40.0, 40.0, 60.0, 60.0)]) for seed in range(20)}
    assert len(crops) > 15


def test_a_photo_whose_corners_are_all_named_is_hardly_cropped() -> None:
    corners = [(float(x), float(y), x + 4.0, y + 4.0) for x in (0, 96) for y in (0, 96)]
    for seed in range(5):
        x0, y0, x1, y1 = draw_crop(np.random.default_rng(seed), (100, 100), corners)
        assert max(x0, y0, 100 - x1, 100 - y1) <= 2


def test_what_a_view_shows_of_a_box_is_told_as_a_share() -> None:
    view = View(crop_xyxy=(10.0, 0.0, 20.0, 10.0), out_hw=(10, 10), is_flipped=False)
    seen = see([(5.0, 0.0, 15.0, 10.0), (0.0, 0.0, 10.0, 10.0), (12.0, 2.0, 14.0, 4.0)], view)
    assert seen.kept == pytest.approx([0.5, 0.0, 1.0])
    assert seen.boxes_xyxy_norm[0] == pytest.approx([0.0, 0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("size_hw", "wanted"),
    [((480, 640), (800, 1066)), ((640, 480), (1066, 800)), ((213, 640), (443, 1333)), ((800, 900), (800, 900))],
)
def test_the_shortest_side_is_as_wanted_unless_the_longest_passes_its_limit(
    size_hw: tuple[int, int], wanted: tuple[int, int]
) -> None:
    height, width = resized_hw(size_hw, 800, 1333)
    assert abs(height - wanted[0]) <= 1
    assert abs(width - wanted[1]) <= 1


def test_a_view_without_any_chance_is_the_whole_photo_as_it_is() -> None:
    config = DataConfig(shortest_px=(48,), longest_px=64, crop=0, flip=0, jitter=0)
    view = draw_view(np.random.default_rng(0), (48, 64), [], config, may_flip=True)
    assert view == View(crop_xyxy=(0.0, 0.0, 64.0, 48.0), out_hw=(48, 64), is_flipped=False)
