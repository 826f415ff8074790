"""Photos of every kind become the network's input, exactly as the library's processor makes it."""

import io
import random
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from xdetr_model.errors import PhotoError
from xdetr_model.photos import PhotoTransform, to_rgb
from xdetr_model.resizing import resize_bilinear

PROCESSOR = DeformableDetrImageProcessorPil(size={"shortest_edge": 80, "longest_edge": 133})
TRANSFORM = PhotoTransform.from_processor(PROCESSOR)


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("size", [(100, 60), (60, 100), (300, 20), (80, 80), (81, 133)])
def test_pixels_equal_the_librarys_processor(size: tuple[int, int]) -> None:
    photo = noise(*size)
    expected = PROCESSOR(images=photo, return_tensors="pt")["pixel_values"]
    batch = TRANSFORM.batch([TRANSFORM.prepare(photo)])
    assert batch.mask is None
    found = TRANSFORM.normalise(batch.pixels, batch.mask, torch.float32)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_batch_pads_as_the_librarys_processor_does() -> None:
    photos = [noise(100, 60), noise(60, 100)]
    expected = PROCESSOR(images=photos, return_tensors="pt")
    batch = TRANSFORM.batch([TRANSFORM.prepare(p) for p in photos])
    assert batch.mask is not None
    assert torch.equal(batch.mask, expected["pixel_mask"].bool())
    found = TRANSFORM.normalise(batch.pixels, batch.mask, torch.float32)
    assert torch.allclose(found, expected["pixel_values"], atol=1e-5)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_shortest_side_rules_unless_the_longest_is_too_long(width: int, height: int) -> None:
    shape = TRANSFORM.resized_hw((height, width))
    assert min(shape) >= 1
    assert max(shape) <= 133
    assert min(shape) == 80 or max(shape) >= 132 or min(shape) <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "YCbCr", "HSV", "I;16", "I"])
def test_every_mode_becomes_three_channels_of_the_same_size(mode: str) -> None:
    photo = noise(40, 30, "L").convert("I") if mode == "I" else noise(40, 30)
    photo = noise(40, 30, "L").convert("I;16") if mode == "I;16" else photo.convert(mode)
    prepared = TRANSFORM.prepare(photo)
    assert prepared.pixels.shape[2] == 3
    assert prepared.size_hw == (30, 40)


def test_sixteen_bits_keep_their_range() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    rgb = np.asarray(to_rgb(Image.fromarray(ramp)))
    assert rgb.min() == 0
    assert rgb.max() == 255
    assert len(np.unique(rgb)) == 256


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    photo = noise(20, 20).convert("P")
    photo.info["transparency"] = 3
    assert np.array_equal(np.asarray(to_rgb(photo)), np.asarray(photo.convert("RGBA").convert("RGB")))


def test_floats_are_refused() -> None:
    with pytest.raises(PhotoError, match="mode F"):
        to_rgb(Image.fromarray(np.zeros((4, 4), np.float32)))


def test_a_truncated_file_is_refused_in_one_line() -> None:
    buffer = BytesIO()
    noise(200, 200).convert("L").save(buffer, "JPEG")
    damaged = Image.open(BytesIO(buffer.getvalue()[: len(buffer.getvalue()) // 2]))
    with pytest.raises(PhotoError, match="damaged"):
        TRANSFORM.prepare(damaged)
    colour = BytesIO()
    noise(200, 200).save(colour, "JPEG")
    with pytest.raises(PhotoError, match="damaged"):
        TRANSFORM.prepare(Image.open(BytesIO(colour.getvalue()[: len(colour.getvalue()) // 2])))


def test_an_exif_rotation_is_not_applied() -> None:
    photo = noise(40, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    buffer = BytesIO()
    photo.save(buffer, "PNG", exif=exif)
    opened = Image.open(BytesIO(buffer.getvalue()))
    prepared = TRANSFORM.prepare(opened)
    assert prepared.size_hw == (30, 40)
    assert np.array_equal(prepared.pixels, TRANSFORM.prepare(photo).pixels)


def test_a_processor_that_does_something_else_is_refused() -> None:
    with pytest.raises(PhotoError, match="must resize to shortest_edge"):
        PhotoTransform.from_processor(DeformableDetrImageProcessorPil(do_normalize=False))
    with pytest.raises(PhotoError, match="bilinear"):
        PhotoTransform.from_processor(DeformableDetrImageProcessorPil(resample=0))


def test_a_png_that_is_damaged_behind_its_head_is_a_photo_error() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    second = data.find(b"IDAT", data.find(b"IDAT") + 4)
    data[second : second + 4] = b"\x00\x01\x02\x03"
    with Image.open(io.BytesIO(bytes(data))) as opened, pytest.raises(PhotoError, match="damaged"):
        to_rgb(opened)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_photos_resized_on_the_device_are_pillows_within_one_grey_level_at_a_thousand_sizes(device: str) -> None:
    draw = random.Random(0)
    for number in range(1000):
        height, width, *size_hw = (draw.choice((draw.randint(1, 9), draw.randint(1, 250))) for _ in range(4))
        photo = noise(width, height, seed=number)
        wanted = np.asarray(photo.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR), np.int16)
        pixels = torch.from_numpy(np.array(photo)).to(device).permute(2, 0, 1)
        found = resize_bilinear(pixels, (size_hw[0], size_hw[1])).permute(1, 2, 0).cpu().numpy()
        assert abs(found - wanted).max() <= 1, (photo.size, size_hw)


def test_resizing_is_left_to_the_device_unless_a_photo_is_much_larger_than_the_networks_input() -> None:
    photos = [noise(100, 60), noise(60, 100), noise(80, 80), noise(400, 300)]
    left = [TRANSFORM.prepare(photo, leave_resizing=True) for photo in photos]
    assert [one.pixels.shape[:2] for one in left] == [(60, 100), (100, 60), (80, 80), (80, 106)]
    done = [TRANSFORM.prepare(photo) for photo in photos]
    assert [one.input_hw for one in left] == [one.input_hw for one in done]
    found, wanted = TRANSFORM.batch(left), TRANSFORM.batch(done)
    assert found.mask is not None
    assert wanted.mask is not None
    assert torch.equal(found.mask, wanted.mask)
    assert (found.pixels.int() - wanted.pixels.int()).abs().max() <= 1
