"""Which photo a name means: the collection's own id, or the path; and keys that keep different photos apart."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.photos.ids import (
    COLLECTIONS,
    MAX_KEY_CHARS,
    collection_id,
    file_group,
    photo_group,
    photo_id,
    photo_key,
    unsafe_file_name,
)
from xdetr_data.record import GroundedImage, ImageRef


@pytest.mark.parametrize(
    ("source", "file_name", "identity"),
    [
        ("coco", "COCO_train2014_000000581857.jpg", "581857"),
        ("coco", "COCO_val2014_000000581857.jpg", "581857"),
        ("coco", "COCO_train2014_000000581857_3.jpg", "581857"),
        ("coco", "COCO_val2014_000000000042_1107.jpg", "42"),
        ("coco", "COCO_581857.jpg", "581857"),
        ("coco", "000000581857.jpg", "581857"),
        ("coco", "train2017/000000581857.jpg", "581857"),
        ("coco", "train2017\\000000581857.jpg", "581857"),
        ("coco", "581857", "581857"),
        ("coco", "000.jpg", "0"),
        ("coco", "deep/ball_12.jpg", "deep/ball_12"),
        ("coco", "a.b.jpg", "a.b"),
        ("coco", "photo.gif", "photo.gif"),
        ("coco", "\u0661.jpg", "\u0661"),
        ("coco", "\u00b2.jpg", "\u00b2"),
        ("vg", "2334951.jpg", "2334951"),
        ("vg", "VG_100K_2/2334951.jpg", "2334951"),
        ("vg", "COCO_train2014_000000581857.jpg", "COCO_train2014_000000581857"),
        ("flickr", "1000092795.JPEG", "1000092795"),
        ("openimages", "000a1249af2bc5f0", "000a1249af2bc5f0"),
        ("openimages", "000A1249AF2BC5F0.JPG", "000a1249af2bc5f0"),
        ("openimages", "0001234567890123", "0001234567890123"),
        ("openimages", "17.jpg", "17"),
        ("ade20k", "training/ADE_train_00000001.jpg", "ADE_train_00000001"),
        ("shop", "cam1/0001.jpg", "cam1/0001"),
        ("shop", "./cam1//0001.jpg", "cam1/0001"),
        ("shop", "0001.png", "0001.png"),
        ("shop", "0001", "0001"),
    ],
)
def test_a_photo_is_known_by_its_collections_id_or_by_its_path(source: str, file_name: str, identity: str) -> None:
    assert photo_id(source, file_name) == identity


def test_a_file_of_an_expression_is_no_file_of_its_photo() -> None:
    assert photo_group("coco", photo_id("coco", "COCO_train2014_000000000009_3.jpg")) == "9"
    assert file_group("coco", "crops/COCO_train2014_000000000009_3.jpg") != "9"
    assert file_group("coco", "train2014/COCO_train2014_000000000009.jpg") == "9"


def test_keys_are_padded_for_coco_only() -> None:
    assert photo_key("coco", "581857") == "coco_000000581857"
    assert photo_key("vg", "2334951") == "vg_2334951"
    assert photo_key("openimages", "0001234567890123") == "openimages_0001234567890123"
    assert photo_key("flickr", "a.b c/é") == "flickr_a%2Eb%20c%2F%C3%A9"


def test_the_page_of_photos_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "photos.md").read_text()
    for name, known in COLLECTIONS.items():
        (row,) = re.findall(rf"^\| `{name}` \|(.*)$", page, re.MULTILINE)
        assert row.rstrip(" |").endswith("is a mask") == known.has_masks, name
        shown = re.findall(r"`([^`]+)`", row)
        assert all(collection_id(name, one) for one in shown), name


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(NAMES, NAMES)
def test_keys_of_different_photos_differ_and_fit_a_tar(one: str, other: str) -> None:
    for source in ("coco", "vg", "shop"):
        first, second = photo_id(source, one), photo_id(source, other)
        assert (photo_key(source, first) == photo_key(source, second)) == (first == second)
        key = photo_key(source, first)
        assert "." not in key
        assert "/" not in key
        assert len(key) <= MAX_KEY_CHARS
        GroundedImage(key=key, image=ImageRef(file_name=one, source=source, size_hw=(1, 1)))


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
