"""Web captions: lines in either order, and the photos of img2dataset's tars without reading their pixels."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.web_captions import (
    CaptionLine,
    WebPhoto,
    expand_tars,
    iter_web_photos,
    parse_line,
    url_hash,
)

URL = "https://photos.example.com/1.jpg"


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"a man on a scooter\t" + URL.encode(), CaptionLine(text="a man on a scooter", url=URL)),
        (URL.encode() + b"\ta man on a scooter\r", CaptionLine(text="a man on a scooter", url=URL)),
        (b"  two \xc2\xa0 words \t " + URL.encode() + b" \tmore", CaptionLine(text="two words", url=URL)),
        (b"\t" + URL.encode(), CaptionLine(text="", url=URL)),
    ],
)
def test_a_line_is_a_caption_and_an_address_in_either_order(line: bytes, wanted: CaptionLine) -> None:
    assert parse_line(line) == wanted


@pytest.mark.parametrize(
    ("line", "problem"), [(b"caption", "no tab"), (b"caption\turl", "no address in 'url'"), (b"\xff\ta", "no UTF-8")]
)
def test_a_line_that_is_none_says_why(line: bytes, problem: str) -> None:
    found = parse_line(line)
    assert isinstance(found, Unreadable)
    assert problem in found.problem


@given(st.binary())
def test_any_bytes_are_a_line_or_unreadable(line: bytes) -> None:
    found = parse_line(line)
    assert isinstance(found, CaptionLine | Unreadable)
    if isinstance(found, CaptionLine):
        assert found.text == " ".join(found.text.split())
        assert 0 <= url_hash(found.url) < 1 << 63


def test_photos_of_a_tar_are_found_with_their_addresses_and_places(tmp_path: Path) -> None:
    facts = f'{{"url":"{URL}","status":"success","width":3}}'.encode()
    members = {
        "01.jpg": b"pixels",
        "01.json": facts,
        "01.txt": b"x",
        "02.json": facts,
        "03.JPEG": b"p",
        "03.json": b"{}",
    }
    one, two, three = iter_web_photos(str(write_tar(tmp_path / "0.tar", members)))
    assert (one.key, one.url, one.problem) == ("01", URL, None)
    assert (tmp_path / "0.tar").read_bytes()[one.offset : one.offset + one.size] == b"pixels"
    assert two == WebPhoto(key="02", problem=("missing-photo", "the tar holds no photo of this key"))
    assert three.problem is not None
    assert three.problem[0] == "no-address"


def test_a_key_of_two_photos_is_none_of_them(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    parts = [("01.json", b"A"), ("01.jpg", b"B"), ("01.json", b"B"), ("02.jpg", b"C"), ("02.json", b'{"url": "c"}')]
    with tarfile.open(path, "w") as tar:
        for name, data in parts:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    one, two = iter_web_photos(str(path))
    assert one.problem is not None
    assert one.problem[0] == "duplicate-key"
    assert (two.problem, two.url) == (None, "c")


def test_a_tar_that_was_cut_off_is_refused_by_name(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", {"01.jpg": b"p" * 600})
    path.write_bytes(path.read_bytes()[:1100])
    with pytest.raises(InputError, match=r"0\.tar: the tar .*; fetch it again, or leave it out of --images"):
        list(iter_web_photos(str(path)))


def test_a_folder_means_all_tars_in_it(tmp_path: Path) -> None:
    names = [write_tar(tmp_path / f"{number}.tar", {}) for number in (1, 0)]
    (tmp_path / "stats.json").write_text("{}")
    assert expand_tars([str(tmp_path)]) == sorted(map(str, names))
    assert expand_tars([str(names[0])]) == [str(names[0])]
    with pytest.raises(InputError, match="no file matches"):
        expand_tars([str(tmp_path / "9*.tar")])
