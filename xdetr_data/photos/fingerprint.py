"""What a photo looks like in 256 bits, so that its copies are found: resized, compressed anew, mirrored, cropped.

A perceptual hash (the signs of the low frequencies, ``imagehash.phash``) hardly changes when a photo is compressed,
scaled, brightened or written upon, but does when it is mirrored or cropped. So a photo that is kept has the hashes of
itself, of itself cut by a tenth at any edge, and of the mirror images of these; a photo that is asked about has its
own, and that of what is inside a plain border.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from xdetr_data.photos.decoding import decode_photo

HASH_SIDE = 16  # bits; a hash is the square of them
BYTES = HASH_SIDE * HASH_SIDE // 8
_SIDE_PX = 256  # of the grey picture that all hashes are of
_CUT = 0.1
_FLAT = 6.0  # grey levels; rows and columns that vary less are a border
_LEAST_INSIDE = 0.375  # share of the side; less is no photo with a border
_CROPS = (
    (0.0, 0.0, 1.0, 1.0),
    (_CUT / 2, _CUT / 2, 1 - _CUT / 2, 1 - _CUT / 2),
    *((left, top, right, bottom) for left in (0.0, _CUT) for right in (1 - _CUT, 1.0) for top in (0.0, _CUT)
      for bottom in (1 - _CUT, 1.0) if (left > 0) + (right < 1) < 2 and (top > 0) + (bottom < 1) < 2
      and (left, top, right, bottom) != (0.0, 0.0, 1.0, 1.0)),
)  # fmt: skip
KEPT = 2 * len(_CROPS)  # hashes of a photo that is kept


def kept_fingerprints(data: bytes) -> NDArray[np.uint8]:
    """Hashes ``[KEPT, BYTES]`` under which copies of a photo are found; raises InputError for bytes that are none."""
    picture = _grey(data)
    return np.stack([_hash(_cut(side, *crop)) for side in (picture, ImageOps.mirror(picture)) for crop in _CROPS])


def asked_fingerprints(data: bytes) -> NDArray[np.uint8]:
    """Hashes ``[1 or 2, BYTES]`` of a photo that may be a copy; raises InputError for bytes that are none."""
    picture = _grey(data)
    inside = _inside(picture)
    return np.stack([_hash(one) for one in (picture, inside) if one is not None])


def _grey(data: bytes) -> Image.Image:
    return decode_photo(data, least_px=_SIDE_PX).convert("L").resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BILINEAR)


def _hash(picture: Image.Image) -> NDArray[np.uint8]:
    import imagehash

    return np.packbits(imagehash.phash(picture, hash_size=HASH_SIDE).hash.reshape(-1))


def _cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Shares of the sides."""
    width, height = picture.size
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def _inside(picture: Image.Image) -> Image.Image | None:
    """What a plain border surrounds; None where there is no border, or nothing inside."""
    grey_HW = np.asarray(picture, np.float32)
    rows, columns = (np.flatnonzero(grey_HW.std(axis) > _FLAT) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return None
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    least = _LEAST_INSIDE * _SIDE_PX
    if (left, top, right, bottom) == (0, 0, _SIDE_PX, _SIDE_PX) or right - left < least or bottom - top < least:
        return None
    return picture.crop((int(left), int(top), int(right), int(bottom)))
