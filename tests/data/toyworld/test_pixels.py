"""The truth agrees with the pixels."""

import io

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.outlines import OUTLINES, clip_polygon
from xdetr_data.toyworld.photo import toy_photo
from xdetr_data.toyworld.render import draw_pixels, object_patch
from xdetr_data.toyworld.scene import MAX_SIDE, MIN_SIDE


@pytest.mark.parametrize("index", range(0, 60, 2))
def test_each_object_drawn_alone_changes_the_pixels_of_its_box_and_no_others(index: int) -> None:
    photo = toy_photo(0, index)
    bare = replace(photo.scene, objects=(), has_shadows=False)
    empty = draw_pixels(bare, [], Dice(0, index, Purpose.PIXELS)).astype(int)
    for placed, seen in zip(photo.scene.objects, photo.view.objects, strict=True):
        alone = replace(bare, objects=(placed,))
        patch = object_patch(placed, alone.height, alone.width)
        pixels = draw_pixels(alone, [patch], Dice(0, index, Purpose.PIXELS)).astype(int)
        changed = np.abs(pixels - empty).max(axis=2) > 2
        columns, rows = np.flatnonzero(changed.any(axis=0)), np.flatnonzero(changed.any(axis=1))
        box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert np.abs(box - seen.box_xyxy).max() <= 1, (placed.shape, box, seen.box_xyxy)


@pytest.mark.parametrize("index", range(1, 40, 2))
def test_a_plain_object_has_the_colour_that_it_is_called(index: int) -> None:
    photo = toy_photo(0, index)
    pixels = np.asarray(Image.open(io.BytesIO(photo.rendered.jpeg)).convert("RGB")).astype(float)
    names = [colour.name for colour in words.COLOURS]
    palette = np.array([colour.rgb for colour in words.COLOURS], dtype=float)
    for placed, seen, patch in zip(photo.scene.objects, photo.view.objects, photo.rendered.patches, strict=True):
        if placed.pattern != "plain" or seen.visible_share < 0.9:
            continue
        colour = np.median(pixels[patch.window][patch.coverage > 250], axis=0)
        assert names[int(np.abs(palette - colour).sum(axis=1).argmin())] == placed.colour


def test_sizes_and_aspect_ratios_vary_and_objects_stay_visible() -> None:
    photos = [toy_photo(3, index) for index in range(120)]
    sides = [side for photo in photos for side in (photo.scene.height, photo.scene.width)]
    assert MIN_SIDE <= min(sides) < 150
    assert 300 < max(sides) <= MAX_SIDE
    assert len({round(photo.scene.width / photo.scene.height, 1) for photo in photos}) > 8
    shares = [seen.visible_share for photo in photos for seen in photo.view.objects]
    assert min(shares) > 0.4
    assert 0.02 < np.mean(np.array(shares) < 0.97) < 0.3
    assert any(seen.is_crowd for photo in photos for seen in photo.view.objects)
    assert any(seen.is_cut for photo in photos for seen in photo.view.objects)
    assert all(Image.open(io.BytesIO(photo.rendered.jpeg)).format == "JPEG" for photo in photos[:5])


def test_every_shape_has_an_outline_and_every_pattern_words() -> None:
    assert set(OUTLINES) == set(words.SHAPE)
    assert {pattern for shape in words.SHAPES for pattern in shape.patterns} == set(words.PATTERN_ADJECTIVES)


def test_a_polygon_is_cut_at_the_photos_edge() -> None:
    square = np.array([[-5.0, 2.0], [5.0, 2.0], [5.0, 12.0], [-5.0, 12.0]])
    assert sorted(map(tuple, clip_polygon(square, height=10, width=20).tolist())) == [(0, 2), (0, 10), (5, 2), (5, 10)]
    assert len(clip_polygon(square + 100, height=10, width=20)) == 0
