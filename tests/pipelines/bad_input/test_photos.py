"""Photos that are none: rejected by name with all that speaks of them; unusual ones are kept as they are."""

import io
import os
import struct
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pipelines.bad_input.corpus import Case, Rejects, check, each
from tests.pipelines.tiny import HEIGHT, WIDTH, World, coco_name, jpeg, run_cli, usual_args

VICTIM = coco_name(1)


def lost(reason: str) -> Rejects:
    return {("photo", reason): 1, ("paragraph", reason): 2, ("annotation", reason): 4, ("box", reason): 2}


UNREADABLE, MISSING, TOO_LARGE = lost("unreadable-photo"), lost("missing-photo"), lost("photo-too-large")
OF_ANOTHER_SIZE = {
    ("paragraph", "size-mismatch"): 2,
    ("annotation", "paragraph-rejected"): 4,
    ("photo", "no-paragraph-left"): 1,
    ("box", "no-paragraph-left"): 2,
}


def saved(format: str, mode: str = "RGB", **options: object) -> bytes:
    with Image.open(io.BytesIO(jpeg(1))) as image:
        sink = io.BytesIO()
        image.convert(mode).save(sink, format, **options)
    return sink.getvalue()


def animated(format: str) -> bytes:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("red", "blue", "green")]
    sink = io.BytesIO()
    frames[0].save(sink, format, save_all=True, append_images=frames[1:])
    return sink.getvalue()


def deep_png() -> bytes:
    sink = io.BytesIO()
    ramp = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 20
    Image.fromarray(ramp).save(sink, "PNG")
    return sink.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG whose header says a size, whatever follows."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose frame header says a size that its data does not have."""
    data = bytearray(jpeg(1))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_of(width: int, height: int) -> bytes:
    body = (
        b"VP8X"
        + struct.pack("<I", 10)
        + bytes(4)
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3]
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


PNG, WEBP = saved("PNG"), saved("WEBP")
CONTENT: dict[str, tuple[bytes, Rejects]] = {
    "empty": (b"", UNREADABLE),
    "one-byte": (b"\xff", UNREADABLE),
    "text": (b"this is no photo\n", UNREADABLE),
    "web-page": (b"<html><body>404 Not Found</body></html>", UNREADABLE),
    "json": (World().coco_json(), UNREADABLE),
    "random-bytes": (np.random.default_rng(0).bytes(5000), UNREADABLE),
    "zeros": (bytes(5000), UNREADABLE),
    "pointer-of-git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", UNREADABLE),
    "gif": (saved("GIF"), UNREADABLE),
    "animated-gif": (animated("GIF"), UNREADABLE),
    "bmp": (saved("BMP"), UNREADABLE),
    "tiff": (saved("TIFF"), UNREADABLE),
    "ico": (saved("ICO"), UNREADABLE),
    "jpeg-2000": (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(100), UNREADABLE),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='48'/>", UNREADABLE),
    "pdf": (b"%PDF-1.7\n%%EOF", UNREADABLE),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(id) system\n", UNREADABLE),
    "jpeg-start-only": (b"\xff\xd8\xff", UNREADABLE),
    "jpeg-header-only": (jpeg(1)[: jpeg(1).index(b"\xff\xda")], UNREADABLE),
    "jpeg-half": (jpeg(1)[: len(jpeg(1)) // 2], UNREADABLE),
    "jpeg-nine-tenths": (jpeg(1)[: len(jpeg(1)) * 9 // 10], UNREADABLE),
    "jpeg-of-no-width": (jpeg_of(0, HEIGHT), UNREADABLE),
    "jpeg-of-no-height": (jpeg_of(WIDTH, 0), UNREADABLE),
    "jpeg-of-300-megapixels": (jpeg_of(20_000, 15_000), TOO_LARGE),
    "jpeg-of-85-megapixels": (jpeg_of(10_000, 8_500), TOO_LARGE),
    "jpeg-of-the-largest-size": (jpeg_of(65_535, 65_535), TOO_LARGE),
    "jpeg-taller-than-its-data": (jpeg_of(WIDTH, 4 * HEIGHT), OF_ANOTHER_SIZE),
    "png-signature-only": (PNG[:8], UNREADABLE),
    "png-half": (PNG[: len(PNG) // 2], UNREADABLE),
    "png-without-pixels": (png_of(WIDTH, HEIGHT), UNREADABLE),
    "png-of-no-size": (png_of(0, 0), UNREADABLE),
    "png-of-300-megapixels": (png_of(20_000, 15_000), TOO_LARGE),
    "png-of-the-largest-size": (png_of(2**31 - 1, 2**31 - 1), TOO_LARGE),
    "png-too-little-data": (png_of(WIDTH, HEIGHT, png_chunk(b"IDAT", zlib.compress(b"\0"))), UNREADABLE),
    "png-damaged-header": (flipped(PNG, 17), UNREADABLE),
    "png-damaged-pixels": (flipped(PNG, len(PNG) // 2), UNREADABLE),
    "png-text-bomb": (
        png_of(WIDTH, HEIGHT, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20), 9))),
        UNREADABLE,
    ),
    "webp-half": (WEBP[: len(WEBP) // 2], UNREADABLE),
    "webp-header-only": (WEBP[:12], UNREADABLE),
    "webp-of-the-largest-size": (webp_of(16_383, 16_383), TOO_LARGE),
    "another-size": (jpeg(1, width=WIDTH + 1), OF_ANOTHER_SIZE),
    "turned": (jpeg(1, width=HEIGHT, height=WIDTH), OF_ANOTHER_SIZE),
}


def _holding(data: bytes) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.photos[VICTIM] = data

    return change


def _instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def afterwards(folder: Path) -> None:
        photo = folder / "photos" / VICTIM
        photo.unlink()
        make(photo)

    return afterwards


BAD = [
    *(Case(id=f"photo-{kind}", change=_holding(data), rejects=rejects) for kind, (data, rejects) in CONTENT.items()),
    *(
        Case(id=f"photo-{kind}", afterwards=_instead(make), rejects=MISSING)
        for kind, make in {
            "missing": lambda _: None,
            "a-folder": Path.mkdir,
            "a-pipe": os.mkfifo,
            "a-link-to-nothing": lambda path: path.symlink_to(path.parent / "gone.jpg"),
            "a-link-to-itself": lambda path: path.symlink_to(path),
            "of-another-type-by-name": lambda path: path.with_suffix(".gif").write_bytes(jpeg(1)),
            "packed": lambda path: path.with_suffix(".jpg.gz").write_bytes(jpeg(1)),
        }.items()
    ),
]
GOOD: dict[str, tuple[bytes, str]] = {
    "grayscale": (saved("JPEG", "L"), "jpg"),
    "cmyk": (saved("JPEG", "CMYK"), "jpg"),
    "progressive": (saved("JPEG", progressive=True), "jpg"),
    "multi-picture": (animated("MPO"), "jpg"),
    "trailing-bytes": (jpeg(1) + b"camera notes", "jpg"),
    "png": (PNG, "png"),
    "png-16-bit": (deep_png(), "png"),
    "png-with-alpha": (saved("PNG", "RGBA"), "png"),
    "png-palette": (saved("PNG", "P"), "png"),
    "png-bilevel": (saved("PNG", "1"), "png"),
    "png-animated": (animated("PNG"), "png"),
    "webp": (WEBP, "webp"),
    "webp-lossless": (saved("WEBP", lossless=True), "webp"),
    "webp-animated": (animated("WEBP"), "webp"),
}


@each(BAD)
def test_a_photo_that_is_none_is_rejected_by_name_with_all_that_speaks_of_it(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@pytest.mark.parametrize("kind", GOOD)
def test_an_unusual_photo_is_kept_byte_for_byte_under_its_real_type(kind: str, tmp_path: Path) -> None:
    data, suffix = GOOD[kind]
    check(Case(id="", change=_holding(data)), tmp_path)
    with tarfile.open(next((tmp_path / "out").glob("*.tar"))) as tar:
        member = tar.extractfile(f"coco_000000000001.{suffix}")
        assert member is not None
        assert member.read() == data


def test_a_link_to_a_photo_is_a_photo(tmp_path: Path) -> None:
    def afterwards(folder: Path) -> None:
        photo = folder / "photos" / VICTIM
        photo.rename(folder / "elsewhere.jpg")
        photo.symlink_to(folder / "elsewhere.jpg")

    check(Case(id="", afterwards=afterwards), tmp_path)


def _args_with_root(folder: Path, root: str) -> Sequence[str]:
    return [arg if "--image-root" not in arg else root.replace("FOLDER", str(folder)) for arg in usual_args(folder)]


@pytest.mark.parametrize(
    ("root", "says", "code"),
    {
        "missing": ("--image-root=coco=FOLDER/nowhere", "nowhere: there is no such folder", 1),
        "a-file": (
            "--image-root=coco=FOLDER/final_mixed_train.json",
            "final_mixed_train.json: there is no such folder",
            1,
        ),
        "unknown-protocol": ("--image-root=coco=s4://bucket", "s4://bucket: cannot be reached", 1),
        "of-another-source": ("--image-root=vg=FOLDER/photos", "--image-root coco=DIR", 2),
    }.values(),
    ids=["missing", "a-file", "unknown-protocol", "of-another-source"],
)
def test_an_image_root_that_is_none_is_refused_in_one_line(root: str, says: str, code: int, tmp_path: Path) -> None:
    World().write(tmp_path)
    ended = run_cli(*_args_with_root(tmp_path, root))
    assert ended.code == code
    assert len(ended.errors) == 1
    assert says in ended.errors[0]


def test_an_empty_image_root_rejects_every_photo_and_ends_with_the_code_of_too_many_errors(tmp_path: Path) -> None:
    world = World(photos={})
    world.write(tmp_path)
    ended = run_cli(*usual_args(tmp_path))
    assert ended.code == 3
    assert "100.0% of the photos were lost" in ended.stderr
