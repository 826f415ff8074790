"""Photos: their bytes, and whether a file can be trusted.

Which photo a name means is ``photo_ids``, which file it is ``sources/listing.py``. Only files that a listing of the
image root found are ever opened, so a name inside an annotation cannot lead anywhere else.
"""

import hashlib
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from xdetr_data.addresses.trees import open_address
from xdetr_data.errors import InputError
from xdetr_data.photos.decoding import open_photo

MAX_PIXELS = 80_000_000

_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a JPEG with further views behind it


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A photo's own bytes, never re-encoded, with what its header says; ``suffix`` is jpg, png or webp."""

    data: bytes
    size_hw: tuple[int, int]
    sha256: str
    suffix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadPhoto:
    """A photo that cannot be used: reason is one of missing-photo, unreadable-photo, photo-too-large."""

    reason: str
    detail: str


def read_photo(address: str, *, offset: int | None = None, size: int = -1) -> Photo | BadPhoto:
    """Reads and checks a photo: known type, at most ``MAX_PIXELS``, decodes to its end. Never raises for a bad file.

    With an ``offset`` it is the ``size`` bytes there, of a container.
    """
    try:
        with open_address(address) as stream:
            stream.seek(offset or 0)
            data: bytes = stream.read(-1 if offset is None else size)
    except InputError as error:
        return BadPhoto(reason="missing-photo", detail=str(error))
    return check_photo(data, address)


def check_photo(data: bytes, address: str) -> Photo | BadPhoto:
    """The photo in ``data``, or why it is none; decodes at an eighth of the size, which still reads every byte."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_photo(data) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    return _too_large(address, width, height)
                suffix = _SUFFIXES[str(image.format)]
                image.draft("L", (max(1, width // 8), max(1, height // 8)))
                image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return BadPhoto(reason="photo-too-large", detail=f"{address}: {error}")
    except UnidentifiedImageError:
        return BadPhoto(reason="unreadable-photo", detail=f"{address}: no JPEG, PNG or WebP photo")
    except Exception as error:  # on damaged bytes Pillow raises almost anything
        return BadPhoto(reason="unreadable-photo", detail=f"{address}: {type(error).__name__}: {error}")
    return Photo(data=data, size_hw=(height, width), sha256=hashlib.sha256(data).hexdigest(), suffix=suffix)


def _too_large(address: str, width: int, height: int) -> BadPhoto:
    detail = f"{address}: {width}x{height} pixels, more than {MAX_PIXELS}"
    return BadPhoto(reason="photo-too-large", detail=detail)
