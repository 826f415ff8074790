"""Photos: what identifies one, where its file is, and whether the file can be trusted.

A photo is found by its number, not by its name: COCO's 2014 and 2017 releases call the same photo
``COCO_train2014_000000581857.jpg`` and ``000000581857.jpg``. Only files that a listing of the image root found are
ever opened, so a name inside an annotation cannot lead anywhere else.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fsspec
from PIL import Image, UnidentifiedImageError

from xdetr_data.decoding import open_photo
from xdetr_data.errors import InputError

MAX_PIXELS = 80_000_000
MAX_KEY_CHARS = 90  # a tar header has room for 100

_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a JPEG with further views behind it
_PHOTO_NAME = re.compile(r"\.(jpe?g|png|webp)\Z", re.IGNORECASE)
_TRAILING_DIGITS = re.compile(r"[0-9]+\Z")
_UNSAFE_IN_KEY = re.compile(r"[^A-Za-z0-9_-]")


def unsafe_file_name(file_name: str) -> str | None:
    """Why a file name from an annotation may not be used, or None."""
    parts = file_name.replace("\\", "/").split("/")
    if not parts[-1] or "\0" in file_name:
        return f"file name {file_name!r} is empty or holds a NUL"
    if file_name.startswith(("/", "\\", "~")) or ".." in parts or ":" in parts[0]:
        return f"file name {file_name!r} leaves the image root"
    return None


def photo_id(file_name: str) -> str:
    """What identifies a photo within its source: the number its stem ends in, else the stem.

    ``COCO_train2014_000000581857.jpg``, ``000000581857.jpg`` and ``train2017/000000581857.jpg`` are all ``581857``.
    """
    stem = _PHOTO_NAME.sub("", file_name.replace("\\", "/").rsplit("/", 1)[-1])
    if is_number(stem) or stem.startswith("COCO_"):
        digits = _TRAILING_DIGITS.search(stem)
        if digits:
            return digits[0].lstrip("0") or "0"
    return stem


def is_number(identity: str) -> bool:
    """Whether a photo id is a number as the datasets write them; other scripts' digits are other photos."""
    return identity.isascii() and identity.isdigit()


def photo_key(source: str, identity: str) -> str:
    """Key of a photo's sample: unique, dot-free, the same wherever the photo comes from."""
    padded = identity.zfill(12) if is_number(identity) and source == "coco" else identity
    return f"{source}_{_UNSAFE_IN_KEY.sub(_escape, padded)}"


def photo_name(source: str, identity: str) -> str:
    """What labels call a photo while they are joined: ``coco/581857``."""
    return f"{source}/{identity}"


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def list_photos(root: str) -> dict[str, tuple[str, int]]:
    """Photo id → (address, size in bytes) of every photo at or below an image root.

    Where two files hold one photo (2014 and 2017 folders side by side), the first in alphabetical order counts.
    Raises InputError where the root does not exist.
    """
    try:
        fs, path = fsspec.url_to_fs(root)
        found: Mapping[str, Any] = fs.find(path, detail=True) if fs.isdir(path) else {}
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"image root {root}: cannot be listed ({error})") from error
    if not fs.isdir(path):
        raise InputError(f"image root {root}: there is no such folder; correct --image-root")
    photos: dict[str, tuple[str, int]] = {}
    for name in sorted(found):
        if _PHOTO_NAME.search(name) and (found[name]["type"] == "file" or fs.isfile(name)):  # a link, but no pipe
            photos.setdefault(photo_id(name), (fs.unstrip_protocol(name), int(found[name]["size"] or 0)))
    return photos


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
        with fsspec.open(address, "rb").open() as stream:
            stream.seek(offset or 0)
            data: bytes = stream.read(-1 if offset is None else size)
    except OSError as error:
        return BadPhoto(reason="missing-photo", detail=f"{address}: {error.strerror or error}")
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
