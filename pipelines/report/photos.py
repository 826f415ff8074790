"""Small copies of photos for the page: each photo once, however often it is shown."""

import hashlib
import io
from base64 import b64encode

from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.photo import BadPhoto, check_photo

MAX_SIDE = 960  # pixels of the copy's longer side: sharp at 480 on a dense screen
QUALITY = 82
SIDES, SMALL_QUALITY = (160, 200, 260, 340, 440, 580, 760), 50  # of copies where a page has little room for each


class PhotoBook:
    """The copies that a page needs, under the names that it uses for them."""

    def __init__(self) -> None:
        self._copies: dict[str, bytes] = {}

    def add(self, data: bytes, address: str) -> str | BadPhoto:
        """Name of the copy of a photo's bytes, or why there is none."""
        checked = check_photo(data, address)
        if isinstance(checked, BadPhoto):
            return checked
        name = f"photo-{hashlib.sha256(data).hexdigest()[:16]}"
        if name not in self._copies:
            self._copies[name] = _small(data)
        return name

    def jpeg(self, name: str) -> bytes:
        """The copy as JPEG."""
        return self._copies[name]

    def uri(self, name: str, most_bytes: int | None = None) -> str:
        """The copy as a ``data:`` address; one that takes more than ``most_bytes`` of an address is made smaller, down
        to ``SIDES[0]`` pixels."""
        data = self._copies[name]
        if most_bytes is None or len(data) * 4 / 3 <= most_bytes:
            return data_uri(data, "image/jpeg")
        return data_uri(_fitting(data, most_bytes * 3 // 4), "image/webp")


def data_uri(data: bytes, media_type: str) -> str:
    """A ``data:`` address, for pages that ask nothing of a network."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _small(data: bytes) -> bytes:
    sink = io.BytesIO()
    small = decode_photo(data, least_px=MAX_SIDE)
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    small.save(sink, "JPEG", quality=QUALITY)
    return sink.getvalue()


def _fitting(data: bytes, most_bytes: int) -> bytes:
    """The largest small copy of ``most_bytes``, as WebP; the smallest where none fits."""
    best = b""
    photo = decode_photo(data)
    for side in SIDES:
        sink = io.BytesIO()
        small = photo.copy()
        small.thumbnail((side, side))
        small.save(sink, "WEBP", quality=SMALL_QUALITY)
        if best and len(sink.getvalue()) > most_bytes:
            break
        best = sink.getvalue()
        if small.size == photo.size:
            break
    return best
