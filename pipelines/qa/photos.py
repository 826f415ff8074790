"""Photos for viewers that decode them on their own: a browser turns what has an orientation, and our boxes are not."""

import io

from PIL import ExifTags, Image

from xdetr_data.photos.decoding import decode_photo, opened

QUALITY = 95
_PLAIN_MODES = ("RGB", "L")


def viewable(data: bytes) -> bytes:
    """The photo's own bytes if every viewer shows them as they are decoded here, else a copy that is shown so.

    The copy has the format of the photo and the decoded pixels, without an orientation or anything else. Raises
    InputError for a photo that does not decode.
    """
    with opened(data) as photo:
        if _is_plain(photo):
            return data
        file_format = "JPEG" if photo.format == "MPO" else str(photo.format)
    sink = io.BytesIO()
    decode_photo(data).save(sink, file_format, quality=QUALITY, compress_level=1)
    return sink.getvalue()


def _is_plain(photo: Image.Image) -> bool:
    """Whether a photo is upright, of 8 bits, opaque, and a single picture (a JPEG's further views are not shown)."""
    is_moving = photo.format != "MPO" and getattr(photo, "is_animated", False)
    if photo.mode not in _PLAIN_MODES or "transparency" in photo.info or is_moving:
        return False
    try:
        return photo.getexif().get(ExifTags.Base.Orientation, 1) == 1
    except Exception:  # what viewers make of a damaged EXIF block, they alone know
        return False
