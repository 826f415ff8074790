"""A photo file of every kind that is read: modes, bits, alpha, palettes, animations, orientations."""

import io
from collections.abc import Iterator
from struct import pack
from typing import Any
from zlib import compress, crc32

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

HEIGHT, WIDTH = 30, 44


def picture(mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Smooth colours, so that a JPEG keeps them."""
    small = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).convert(mode)


def encoded(photo: Image.Image, file_format: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    photo.save(sink, file_format, **options)
    return sink.getvalue()


def turned(file_format: str, orientation: int) -> bytes:
    """A photo that viewers turn or mirror: EXIF orientation 1 to 8."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(picture(), file_format, exif=exif, **({"lossless": True} if file_format == "WEBP" else {}))


def ramp(low: int, high: int) -> NDArray[np.uint16]:
    """Grey values from ``low`` on the left to ``high`` on the right."""
    return np.tile(np.rint(np.linspace(low, high, WIDTH)).astype(np.uint16), (HEIGHT, 1))


def grey_16(low: int, high: int) -> bytes:
    return encoded(Image.fromarray(ramp(low, high)), "PNG")


def colour_16(*, has_alpha: bool = False) -> bytes:
    """A PNG of 16 bits a channel, which Pillow reads but does not write."""
    channels = np.asarray(picture("RGBA" if has_alpha else "RGB")).astype(">u2") * 257
    lines = b"".join(b"\0" + line.tobytes() for line in channels)
    header = pack(">IIBBBBB", WIDTH, HEIGHT, 16, 6 if has_alpha else 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", compress(lines)), (b"IEND", b""))
    chunks = (pack(">I", len(data)) + name + data + pack(">I", crc32(name + data)) for name, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def half_clear(mode: str) -> Image.Image:
    photo = picture().convert(mode)
    photo.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))))
    return photo


def animated(file_format: str) -> bytes:
    more = [picture(seed=seed) for seed in (1, 2)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    return encoded(picture(), file_format, save_all=True, append_images=more, duration=100, **options)


def all_kinds() -> Iterator[tuple[str, bytes]]:
    yield "colour JPEG", encoded(picture(), "JPEG")
    yield "colour PNG", encoded(picture(), "PNG")
    yield "colour WebP", encoded(picture(), "WEBP")
    yield "grey JPEG", encoded(picture("L"), "JPEG")
    yield "grey PNG", encoded(picture("L"), "PNG")
    yield "1 bit", encoded(picture("1"), "PNG")
    yield "CMYK JPEG", encoded(picture("CMYK"), "JPEG")
    yield "YCCK JPEG", ycck()
    yield "16-bit grey", grey_16(0, 65535)
    yield "16-bit grey of 12 bits", grey_16(100, 4000)
    yield "16-bit grey of few bright values", grey_16(40000, 40100)
    yield "16-bit grey, flat", grey_16(32768, 32768)
    yield "16-bit colour", colour_16()
    yield "16-bit colour with alpha", colour_16(has_alpha=True)
    yield "grey with alpha", encoded(half_clear("L"), "PNG")
    yield "colour with alpha", encoded(half_clear("RGB"), "PNG")
    yield "WebP with alpha", encoded(half_clear("RGB"), "WEBP", lossless=True, exact=True)
    yield "colour with a clear colour", encoded(picture(), "PNG", transparency=(0, 0, 0))
    yield "palette", encoded(picture("P"), "PNG")
    yield "palette with a clear colour", encoded(picture("P"), "PNG", transparency=3)
    yield "palette with alpha", encoded(picture("P"), "PNG", transparency=bytes(range(256)))
    yield "animated PNG", animated("PNG")
    yield "animated WebP", animated("WEBP")
    yield "two views in a JPEG", encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=1)])
    for file_format in ("JPEG", "PNG", "WEBP"):
        for orientation in range(1, 9):
            yield f"{file_format} of orientation {orientation}", turned(file_format, orientation)


def ycck() -> bytes:
    """A CMYK JPEG whose Adobe marker says that its channels are YCCK, as photo editors write them."""
    data = encoded(picture("CMYK"), "JPEG")
    place = data.index(b"Adobe") + 11
    return data[:place] + b"\x02" + data[place + 1 :]


KINDS = dict(all_kinds())
