"""One way from bytes to pixels: what every kind of photo becomes, and how damage is told."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.data.photo_kinds import HEIGHT, KINDS, WIDTH, encoded, grey_16, picture, ramp
from xdetr_data.errors import InputError
from xdetr_data.photos.decoding import decode_photo, to_rgb
from xdetr_data.photos.photo import Photo, check_photo


def pixels(data: bytes) -> NDArray[np.int64]:
    return np.asarray(decode_photo(data)).astype(np.int64)


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_of_any_kind_is_good_and_becomes_rgb_of_the_size_that_it_stores(kind: str) -> None:
    checked = check_photo(KINDS[kind], kind)
    assert isinstance(checked, Photo)
    assert checked.size_hw == (HEIGHT, WIDTH)
    photo = decode_photo(KINDS[kind])
    assert photo.mode == "RGB"
    assert photo.size == (WIDTH, HEIGHT)
    assert photo.info == {}
    assert dict(photo.getexif()) == {}


SAME_COLOURS = [
    *(
        "16-bit colour",
        "16-bit colour with alpha",
        "colour with alpha",
        "WebP with alpha",
        "colour with a clear colour",
    ),
    *("animated PNG", "animated WebP"),
    *(f"{file_format} of orientation {one}" for file_format in ("PNG", "WEBP") for one in range(1, 9)),
]


@pytest.mark.parametrize("kind", SAME_COLOURS)
def test_no_bits_no_alpha_no_animation_and_no_orientation_change_the_colours(kind: str) -> None:
    assert np.array_equal(pixels(KINDS[kind]), np.asarray(picture()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_not_turned(orientation: int) -> None:
    assert np.array_equal(pixels(KINDS[f"JPEG of orientation {orientation}"]), pixels(KINDS["colour JPEG"]))


@pytest.mark.parametrize("kind", ["palette with a clear colour", "palette with alpha"])
def test_a_palette_keeps_its_colours_however_clear_they_are(kind: str) -> None:
    assert np.array_equal(pixels(KINDS[kind]), pixels(KINDS["palette"]))


def test_cmyk_is_not_taken_for_its_negative() -> None:
    assert np.abs(pixels(KINDS["CMYK JPEG"]) - np.asarray(picture())).mean() < 6


@pytest.mark.parametrize(("low", "high"), [(0, 65535), (100, 4000), (0, 255), (40000, 40100), (65279, 65535), (7, 8)])
def test_sixteen_bit_greys_are_scaled_by_their_own_range(low: int, high: int) -> None:
    found = pixels(grey_16(low, high))
    assert (found.min(), found.max()) == (0, 255)
    wanted = (ramp(low, high).astype(float) - low) / (high - low) * 255
    assert np.abs(found - wanted[..., None]).max() <= 0.5


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (65535, 255), (32768, 128)])
def test_greys_that_are_all_the_same_have_the_range_of_their_bits(value: int, grey: int) -> None:
    assert np.unique(pixels(grey_16(value, value))).tolist() == [grey]


def test_a_jpeg_is_decoded_smaller_where_less_will_do_and_nothing_else_is() -> None:
    large = Image.new("RGB", (640, 400), "red")
    for least_px, size in [(None, (640, 400)), (201, (640, 400)), (200, (320, 200)), (50, (80, 50)), (1, (80, 50))]:
        assert decode_photo(encoded(large, "JPEG"), least_px=least_px).size == size
        assert decode_photo(encoded(large, "PNG"), least_px=least_px).size == (640, 400)


@pytest.mark.parametrize("data", [b"", b"GIF89a", encoded(picture(), "BMP"), encoded(picture(), "TIFF")])
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^UnidentifiedImageError: no JPEG, PNG or WebP photo$"):
        decode_photo(data)


@pytest.mark.parametrize("kind", ["colour JPEG", "colour PNG", "colour WebP", "16-bit grey", "CMYK JPEG"])
def test_damage_anywhere_is_told_in_one_line(kind: str) -> None:
    whole = KINDS[kind]
    for end in range(0, len(whole) // 2, 7):
        with pytest.raises(InputError) as caught:
            decode_photo(whole[:end])
        assert "\n" not in str(caught.value)


def test_floats_have_no_white() -> None:
    with pytest.raises(ValueError, match="floats"):
        to_rgb(Image.open(io.BytesIO(encoded(Image.new("F", (2, 2)), "TIFF"))))
