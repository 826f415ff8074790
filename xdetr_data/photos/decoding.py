"""The one way from a photo's bytes to pixels: for the check of a build, labelling, training, drawing and review.

Pixels are those that the file stores: an EXIF orientation is not applied, because boxes are in the stored file's
pixels. Of an animation the first frame counts. Grey, palette and CMYK become RGB, an alpha channel is dropped and not
blended. 16-bit greys are scaled by their own range (the photo's least value is black, its greatest white), since how
many of the 16 bits a camera used is said nowhere; 16-bit colours keep their upper 8 bits (Pillow reads no others).

``xdetr_model.photos.to_rgb`` says the same of images that others opened; a test holds the two together.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from xdetr_data.errors import InputError

FORMATS = ("JPEG", "PNG", "WEBP")


def open_photo(data: bytes | IO[bytes]) -> Image.Image:
    """The photo in ``data``, not decoded yet. Raises what Pillow does for bytes that are no JPEG, PNG or WebP."""
    return Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=FORMATS)


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The photo as ``open_photo`` gives it; whatever is found to be wrong with it in the block is an InputError, which
    says so in one line, without the photo's name."""
    try:
        with open_photo(data) as photo:
            yield photo
    except UnidentifiedImageError as error:  # Pillow names an object by where it lies in memory
        raise InputError("UnidentifiedImageError: no JPEG, PNG or WebP photo") from error
    except Exception as error:  # on damaged bytes Pillow raises almost anything
        raise InputError(" ".join(f"{type(error).__name__}: {error}".split())) from error


def decode_photo(data: bytes, *, least_px: int | None = None) -> Image.Image:
    """The photo's pixels in RGB, without anything else that the file says of itself.

    A JPEG may be decoded at a half, a quarter or an eighth, as long as no side gets shorter than ``least_px``. Raises
    InputError for bytes that do not decode.
    """
    with opened(data) as photo:
        if least_px is not None:
            photo.draft(None, (least_px, least_px))
        rgb = to_rgb(photo).copy()  # not the file, which remembers
    rgb.info = {}  # Pillow would write an orientation into copies
    return rgb


def to_rgb(photo: Image.Image) -> Image.Image:
    """An opened photo in RGB: decoded as it was drafted, else whole. Raises ValueError for floats, or what Pillow does
    for damaged bytes."""
    if photo.mode == "F":
        raise ValueError("a photo of floats has no defined white")
    photo.load()
    if photo.mode == "RGB":
        return photo
    if photo.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(photo).astype(np.int64))).convert("RGB")
    if photo.mode in ("P", "PA"):
        return photo.convert("RGBA").convert("RGB")
    return photo.convert("RGB")


def _eight_bits(values_HW: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Grey values by their own range; by that of 16 bits where they are all the same."""
    low, high = int(values_HW.min()), int(values_HW.max())
    if low == high:
        low, high = 0, 65535
    grey: NDArray[np.uint8] = np.rint((values_HW - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    return grey
