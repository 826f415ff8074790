import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from pipelines.drawing.figure import draw_sample, photo_pixels, render
from tests.pipelines.drawing.test_naming import photo
from tests.strategies import grounded_images
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region

SOMEONE = Provenance(source="test")


def words_of(sample: GroundedImage, max_queries: int = 10) -> list[str]:
    figure = draw_sample(sample, None, max_queries=max_queries)
    return [one.get_text() for one in figure.findobj(Text)]


@given(grounded_images())
@settings(max_examples=12)
def test_any_sample_can_be_drawn_without_a_warning(sample: GroundedImage) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert render(draw_sample(sample, None, max_queries=5), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "text", ["$x^2$", "$\\frac{$", "a_b^c", "\\alpha", "😀 狗 \u202e rtl", "two\nlines\ttab", "\x1b[31m"]
)
@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_text_of_data_is_neither_mathematics_nor_a_crash(text: str, file_format: str) -> None:
    sample = photo([(f"{text} man", [(0, len(text), (0,))])])
    assert render(draw_sample(sample, None, max_queries=5), file_format)


def test_dollars_are_drawn_as_dollars() -> None:
    assert "$x^2$" in words_of(photo([("$x^2$", [(0, 5, (0,))])]))


def test_no_text_is_parsed_as_mathematics() -> None:
    figure = draw_sample(photo([("$x$ man", [(0, 3, (0,))])]), None, max_queries=1)
    assert {one.get_parse_math() for one in figure.findobj(Text)} == {False}


def test_queries_that_are_left_out_are_counted() -> None:
    sample = photo([("a man", []), ("a dog", []), ("a cat", [])])
    assert "… and 1 more query, not shown" in words_of(sample, 2)
    assert "… and 2 more queries, not shown" in words_of(sample, 1)
    assert not any("more" in words for words in words_of(sample, 3))


def test_the_legend_tells_numbers_and_styles() -> None:
    sample = photo([("a man", [(2, 5, (0, 1))]), ("a dog", [(2, 5, (2,))])])
    words = words_of(sample, 1)
    for entry in ("man ×2", "1 textless (detection only)", "1 of queries not shown"):
        assert entry in words


def test_the_sheer_mass_of_text_does_not_break_the_canvas() -> None:
    sample = photo([("word " * 3000, [])] * 300)
    height = draw_sample(sample, None, max_queries=1000).get_size_inches()[1] * 150
    assert height < 2**15


@pytest.mark.parametrize("size_hw", [(1, 1), (10, 10_000), (10_000, 10), (20_000, 20_000)])
def test_photos_of_any_shape_fit(size_hw: tuple[int, int]) -> None:
    sample = GroundedImage(key="key", image=ImageRef(file_name="a.jpg", source="coco", size_hw=size_hw))
    width, height = draw_sample(sample, None, max_queries=1).get_size_inches() * 150
    assert round(width) == 1400
    assert 50 < height < 2000


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1"])
def test_photos_of_any_mode_become_rgb(mode: str) -> None:
    sink = io.BytesIO()
    Image.new(mode, (40, 30)).save(sink, "JPEG" if mode == "CMYK" else "PNG")
    assert photo_pixels(sink.getvalue()).shape == (30, 40, 3)


def drawn(sample: GroundedImage, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(render(draw_sample(sample, pixels, max_queries=1), "png"))) as picture:
        return np.asarray(picture.convert("RGB"))


def square(*regions: Region) -> GroundedImage:
    """A photo of 100x100 pixels whose regions one query names; drawn at x 150 to 1250, y 48 to 1148."""
    phrases = (Phrase(spans=((0, 5),), regions=tuple(range(len(regions))), provenance=SOMEONE),) if regions else ()
    image = ImageRef(file_name="a.jpg", source="coco", size_hw=(100, 100))
    return GroundedImage(
        key="key", image=image, regions=regions, queries=(Query(text="a man", group="", phrases=phrases),)
    )


def test_the_photo_stands_upright() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:50] = (250, 0, 0)
    pixels[50:] = (0, 0, 250)
    picture = drawn(square(), pixels)
    assert tuple(picture[300, 700]) == (250, 0, 0)
    assert tuple(picture[900, 700]) == (0, 0, 250)


def test_a_box_is_drawn_where_its_object_is() -> None:
    black = np.zeros((100, 100, 3), np.uint8)
    picture = drawn(square(Region(box_xyxy=(20.0, 40.0, 80.0, 90.0), provenance=SOMEONE)), black)
    photo_part = picture[60:1140, 160:1240]
    rows, columns = np.nonzero((photo_part == (0xD6, 0x27, 0x28)).all(axis=2))
    found = [160 + columns.min(), 60 + rows.min(), 160 + columns.max(), 60 + rows.max()]
    assert found == pytest.approx([150 + 11 * 20, 48 + 11 * 40, 150 + 11 * 80, 48 + 11 * 90], abs=4)
