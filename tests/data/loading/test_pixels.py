"""Pixels: how much a smaller decode changes them, what recolouring does, which photos are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from xdetr_data.loading.pixels import draw_recolour, render
from xdetr_data.loading.view import View
from xdetr_data.photos.decoding import open_photo


def smooth(size_hw: tuple[int, int] = (300, 400), file_format: str = "JPEG", mode: str = "RGB") -> bytes:
    small = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    sink = io.BytesIO()
    photo = Image.fromarray(small).resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC).convert(mode)
    photo.save(sink, file_format, **({"quality": 90} if file_format == "JPEG" else {}))
    return sink.getvalue()


def whole(size_hw: tuple[int, int], out_hw: tuple[int, int]) -> View:
    return View(crop_xyxy=(0.0, 0.0, float(size_hw[1]), float(size_hw[0])), out_hw=out_hw, is_flipped=False)


@pytest.mark.parametrize("size_hw", [(300, 400), (301, 403)])
def test_a_jpeg_decoded_at_half_size_looks_like_one_decoded_whole(size_hw: tuple[int, int]) -> None:
    data = smooth(size_hw)
    view = View(crop_xyxy=(21.0, 10.0, 381.0, 290.0), out_hw=(70, 90), is_flipped=False)
    photo = open_photo(data)
    quick = render(photo, view)[..., :3].astype(int)
    assert photo.size == (-(-size_hw[1] // 4), -(-size_hw[0] // 4))
    exact = np.asarray(Image.open(io.BytesIO(data)).resize((90, 70), Image.Resampling.BILINEAR, view.crop_xyxy))
    assert np.abs(quick - exact).mean() < 1.0
    assert np.abs(quick - exact).max() < 16


def test_a_jpeg_that_is_enlarged_is_decoded_whole() -> None:
    photo = open_photo(smooth())
    render(photo, whole((300, 400), (301, 401)))
    assert photo.size == (400, 300)


def test_no_jitter_is_no_recolouring_and_jitter_changes_colours_a_little() -> None:
    assert draw_recolour(np.random.default_rng(0), 0.0) is None
    colours = np.random.default_rng(0).integers(0, 256, (50, 3))
    for seed in range(8):
        matrix = np.array(draw_recolour(np.random.default_rng(seed), 0.1)).reshape(3, 4)
        changed = np.concatenate([colours, np.ones((50, 1))], axis=1) @ matrix.T
        assert 0 < np.abs(changed - colours).mean() < 30


def test_recolouring_keeps_grey_grey_and_black_dark() -> None:
    for seed in range(8):
        matrix = np.array(draw_recolour(np.random.default_rng(seed), 0.3)).reshape(3, 4)
        changed = matrix @ [100, 100, 100, 1]
        assert np.ptp(changed) < 1e-9


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "I;16"])
def test_a_photo_of_another_mode_becomes_rgb(mode: str) -> None:
    photo = Image.open(io.BytesIO(smooth(file_format="PNG")))
    sink = io.BytesIO()
    (photo.convert("L").convert("I").convert("I;16") if mode == "I;16" else photo.convert(mode)).save(sink, "PNG")
    assert render(open_photo(sink.getvalue()), whole((300, 400), (30, 40))).shape == (30, 40, 4)
