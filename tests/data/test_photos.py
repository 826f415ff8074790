"""Photos: their bytes, and whether a file can be trusted."""

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xdetr_data.photos.photo import MAX_PIXELS, BadPhoto, Photo, check_photo, read_photo


def encoded(format: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(size)
    sink = io.BytesIO()
    small.save(sink, format)
    return sink.getvalue()


@pytest.mark.parametrize(("format", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_a_photo_keeps_its_bytes_and_says_its_size_and_type(format: str, suffix: str) -> None:
    data = encoded(format)
    photo = check_photo(data, "x.jpg")
    assert isinstance(photo, Photo)
    assert photo.data is data
    assert (photo.size_hw, photo.suffix) == ((48, 64), suffix)


def test_a_photo_that_cannot_be_opened_is_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        photo = read_photo(str(path))
        assert isinstance(photo, BadPhoto)
        assert photo.reason == "missing-photo"
        assert str(path) in photo.detail


def test_the_limit_is_on_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdetr_data.photos.photo.MAX_PIXELS", 64 * 48 - 1)
    photo = check_photo(encoded(), "x.jpg")
    assert isinstance(photo, BadPhoto)
    assert photo.reason == "photo-too-large"
    assert photo.detail == "x.jpg: 64x48 pixels, more than 3071"
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


def test_pillows_own_limit_is_a_reject_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (64 * 48 - 1, 64 * 48 // 3):  # a warning above the limit, an error above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        photo = check_photo(encoded(), "x.jpg")
        assert isinstance(photo, BadPhoto)
        assert photo.reason == "photo-too-large"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_no_damage_makes_a_photo_raise_or_warn(format: str) -> None:
    whole = encoded(format)
    rng = random.Random(0)
    reasons = set()
    for trial in range(300):
        data = bytearray(whole[: rng.randrange(len(whole))] if trial % 3 == 0 else whole)
        for _ in range(rng.choice([0, 1, 3, 20])):
            if data:
                data[rng.randrange(min(len(data), 200 if trial % 2 else len(data)))] = rng.randrange(256)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            photo = check_photo(bytes(data), "x.jpg")
        reasons.add(photo.reason if isinstance(photo, BadPhoto) else "good")
    assert reasons <= {"good", "unreadable-photo", "photo-too-large"}
    assert len(reasons) >= 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_photo_cut_anywhere_is_unreadable(format: str, share: float) -> None:
    whole = encoded(format, (640, 480))
    photo = check_photo(whole[: int(len(whole) * share)], "x.jpg")
    assert isinstance(photo, BadPhoto)
    assert photo.reason == "unreadable-photo"
