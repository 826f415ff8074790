"""Photos: what identifies one, where its file is, and whether the file can be trusted."""

import io
import random
import warnings
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xdetr_data.errors import InputError
from xdetr_data.photos import (
    MAX_KEY_CHARS,
    MAX_PIXELS,
    BadPhoto,
    Photo,
    check_photo,
    list_photos,
    photo_id,
    photo_key,
    read_photo,
    unsafe_file_name,
)
from xdetr_data.record import GroundedImage, ImageRef


def encoded(format: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(size)
    sink = io.BytesIO()
    small.save(sink, format)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("file_name", "identity"),
    [
        ("COCO_train2014_000000581857.jpg", "581857"),
        ("COCO_val2014_000000581857.jpg", "581857"),
        ("000000581857.jpg", "581857"),
        ("train2017/000000581857.jpg", "581857"),
        ("train2017\\000000581857.jpg", "581857"),
        ("581857", "581857"),
        ("2334951.jpg", "2334951"),
        ("000.jpg", "0"),
        ("1000092795.JPEG", "1000092795"),
        ("000a1249af2bc5f0.jpg", "000a1249af2bc5f0"),
        ("ball_12.jpg", "ball_12"),
        ("a.b.jpg", "a.b"),
        ("photo.gif", "photo.gif"),
        ("\u0661.jpg", "\u0661"),
        ("\u00b2.jpg", "\u00b2"),
    ],
)
def test_a_photo_is_known_by_the_number_in_its_name_or_by_its_name(file_name: str, identity: str) -> None:
    assert photo_id(file_name) == identity


def test_keys_are_padded_for_coco_only() -> None:
    assert photo_key("coco", "581857") == "coco_000000581857"
    assert photo_key("vg", "2334951") == "vg_2334951"
    assert photo_key("flickr", "a.b c/é") == "flickr_a%2Eb%20c%2F%C3%A9"


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(NAMES, NAMES)
def test_keys_of_different_photos_differ_and_fit_a_tar(one: str, other: str) -> None:
    first, second = photo_id(one), photo_id(other)
    assert (photo_key("coco", first) == photo_key("coco", second)) == (first == second)
    key = photo_key("vg", first)
    assert "." not in key
    assert "/" not in key
    GroundedImage(key=key, image=ImageRef(file_name=one, source="vg", size_hw=(1, 1)))


def test_the_longest_key_fits_a_tar_header() -> None:
    assert MAX_KEY_CHARS + len(".webp") < 100


@pytest.mark.parametrize(
    "file_name",
    [
        *("", "/", "a/", "/etc/passwd", "../x.jpg", "a/../../x.jpg", "a\\..\\x.jpg", "..", "~/x.jpg", "~x.jpg"),
        *(
            "C:x.jpg",
            "C:\\x.jpg",
            "\\\\host\\x.jpg",
            "//host/x.jpg",
            "file:///x.jpg",
            "s3://b/x.jpg",
            "x\0.jpg",
            "a::b",
        ),
    ],
)
def test_a_name_that_may_lead_out_of_its_root_is_unsafe_and_says_why(file_name: str) -> None:
    assert repr(file_name) in str(unsafe_file_name(file_name))


@pytest.mark.parametrize("file_name", ["x.jpg", "train/x.jpg", "a..b.jpg", "...jpg", "x y.jpg", "-x.jpg"])
def test_an_ordinary_name_is_safe(file_name: str) -> None:
    assert unsafe_file_name(file_name) is None


def test_a_root_is_listed_with_its_subfolders_and_the_first_of_two_names_counts(tmp_path: Path) -> None:
    files = {
        "val2017/000000000001.jpg": b"1234",
        "train2014/COCO_train2014_000000000001.jpg": b"12",
        "7.PNG": b"123",
        "notes.txt": b"",
        "7.jpg.part": b"",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "8.jpg").mkdir()
    (tmp_path / "9.jpg").symlink_to(tmp_path / "7.PNG")
    (tmp_path / "10.jpg").symlink_to(tmp_path / "gone")
    found = list_photos(str(tmp_path))
    assert {identity: (address.rsplit("/", 2)[-1], size) for identity, (address, size) in found.items()} == {
        "1": ("COCO_train2014_000000000001.jpg", 2),
        "7": ("7.PNG", 3),
        "9": ("9.jpg", 3),
    }


def test_a_root_may_be_any_address_and_its_photos_open(tmp_path: Path) -> None:
    with fsspec.open("memory://photos/deep/12.jpg", "wb") as sink:
        sink.write(encoded())
    ((identity, (address, size)),) = list_photos("memory://photos").items()
    assert (identity, size) == ("12", len(encoded()))
    photo = read_photo(address)
    assert isinstance(photo, Photo)
    assert photo.data == encoded()


@pytest.mark.parametrize("root", ["nowhere", "a-file"])
def test_a_root_that_is_no_folder_is_named(root: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(InputError, match=f"image root .*{root}: there is no such folder; correct --image-root"):
        list_photos(str(tmp_path / root))


@pytest.mark.parametrize(("format", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_a_photo_keeps_its_bytes_and_says_its_size_and_type(format: str, suffix: str) -> None:
    data = encoded(format)
    photo = check_photo(data, "x.jpg")
    assert isinstance(photo, Photo)
    assert photo.data is data
    assert (photo.size_hw, photo.suffix) == ((48, 64), suffix)


def test_a_photo_that_cannot_be_opened_is_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        photo = read_photo(str(path))
        assert isinstance(photo, BadPhoto)
        assert photo.reason == "missing-photo"
        assert str(path) in photo.detail


def test_the_limit_is_on_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdetr_data.photos.MAX_PIXELS", 64 * 48 - 1)
    photo = check_photo(encoded(), "x.jpg")
    assert isinstance(photo, BadPhoto)
    assert photo.reason == "photo-too-large"
    assert photo.detail == "x.jpg: 64x48 pixels, more than 3071"
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


def test_pillows_own_limit_is_a_reject_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (64 * 48 - 1, 64 * 48 // 3):  # a warning above the limit, an error above twice the limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        photo = check_photo(encoded(), "x.jpg")
        assert isinstance(photo, BadPhoto)
        assert photo.reason == "photo-too-large"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_no_damage_makes_a_photo_raise_or_warn(format: str) -> None:
    whole = encoded(format)
    rng = random.Random(0)
    reasons = set()
    for trial in range(300):
        data = bytearray(whole[: rng.randrange(len(whole))] if trial % 3 == 0 else whole)
        for _ in range(rng.choice([0, 1, 3, 20])):
            if data:
                data[rng.randrange(min(len(data), 200 if trial % 2 else len(data)))] = rng.randrange(256)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            photo = check_photo(bytes(data), "x.jpg")
        reasons.add(photo.reason if isinstance(photo, BadPhoto) else "good")
    assert reasons <= {"good", "unreadable-photo", "photo-too-large"}
    assert len(reasons) >= 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_photo_cut_anywhere_is_unreadable(format: str, share: float) -> None:
    whole = encoded(format, (640, 480))
    photo = check_photo(whole[: int(len(whole) * share)], "x.jpg")
    assert isinstance(photo, BadPhoto)
    assert photo.reason == "unreadable-photo"
