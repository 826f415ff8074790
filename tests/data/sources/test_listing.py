"""Which file below a root a photo is: by name, ending, folder and size; and never by a guess."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from xdetr_data.errors import InputError
from xdetr_data.photos.ids import photo_id
from xdetr_data.photos.photo import Photo, read_photo
from xdetr_data.sources.listing import Listing, PhotoFile, list_photos
from xdetr_data.sources.protocol import Problem, Stated


def picture(shade: int, width: int = 20, height: int = 10, format: str = "JPEG") -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 255 - shade, 0)).save(sink, format)
    return sink.getvalue()


def tree(root: Path, **files: bytes) -> str:
    return trees(root, files)


def trees(root: Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return str(root)


def find(source: str, name: str, *roots: str, size_hw: tuple[int, int] = (0, 0)) -> PhotoFile | Problem:
    listing = Listing.of(source, [file for root in roots for file in list_photos(root)])
    return listing.find(photo_id(source, name), [Stated(name, *size_hw)])


def path_of(found: PhotoFile | Problem) -> str:
    assert isinstance(found, PhotoFile), found
    return found.path


def problem_of(found: PhotoFile | Problem) -> Problem:
    assert isinstance(found, Problem), found
    return found


def test_a_root_is_listed_with_its_subfolders_and_what_links_lead_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    trees(root, {"val2017/000000000001.jpg": b"1234", "7.PNG": b"123", "notes.txt": b"", "7.jpg.part": b""})
    trees(tmp_path / "store", {"a/8.jpg": b"8", "b/10.jpg": b"10"})
    (root / "9.jpg").symlink_to(root / "7.PNG")
    (root / "11.jpg").symlink_to(root / "gone")
    (root / "12.jpg").symlink_to(root / "12.jpg")
    (root / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "b" / "back").symlink_to(root)
    (root / "6.jpg").mkdir()
    os.mkfifo(root / "5.jpg")
    found = {file.path: file.bytes for file in list_photos(str(root))}
    assert found == {"7.PNG": 3, "9.jpg": 3, "linked/a/8.jpg": 1, "linked/b/10.jpg": 2, "val2017/000000000001.jpg": 4}


@pytest.mark.parametrize("root", ["nowhere", "a-file"])
def test_a_root_that_is_no_folder_is_named(root: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(InputError, match=f"image root .*{root}: there is no such folder; correct --image-root"):
        list_photos(str(tmp_path / root))


def _zip(path: Path, data: bytes) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train2014/deep/12.jpg", data)
    return str(path)


def _tar(path: Path, data: bytes) -> str:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("./train2014/deep/12.jpg")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return str(path)


@pytest.mark.parametrize(
    "root",
    ["zip://train2014::{zip}", "zip://::{zip}", "zip://train2014/::{zip}", "tar://::{tar}", "tar://train2014::{tar}"],
)
def test_a_root_may_be_in_an_archive_and_its_photos_open(root: str, tmp_path: Path) -> None:
    data = picture(7)
    root = root.format(zip=_zip(tmp_path / "train2014.zip", data), tar=_tar(tmp_path / "x.tar", data))
    (file,) = list_photos(root)
    assert file.path.endswith("deep/12.jpg")
    photo = read_photo(file.address)
    assert isinstance(photo, Photo), photo
    assert photo.data == data


def test_a_root_may_be_on_any_store_and_behind_a_cache(tmp_path: Path) -> None:
    with fsspec.open("memory://photos/deep/12.jpg", "wb") as sink:
        sink.write(picture(3))
    for root in ("memory://photos", "simplecache::memory://photos"):
        (file,) = list_photos(root)
        assert file.path == "deep/12.jpg"
        photo = read_photo(file.address)
        assert isinstance(photo, Photo), photo
        assert photo.data == picture(3)


def test_an_archive_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"x\.zip: cannot be reached"):
        list_photos(f"zip://a::{tmp_path}/x.zip")


def test_a_mask_of_the_same_number_is_never_the_photo(tmp_path: Path) -> None:
    both = trees(tmp_path / "both", {"panoptic/000000000009.png": picture(1, format="PNG"), "z/000000000009.jpg": b"x"})
    assert path_of(find("coco", "COCO_train2014_000000000009.jpg", both)) == "z/000000000009.jpg"
    assert path_of(find("coco", "9", both)) == "z/000000000009.jpg"
    mask = trees(tmp_path / "mask", {"panoptic/000000000009.png": picture(1, format="PNG")})
    found = problem_of(find("coco", "COCO_train2014_000000000009.jpg", mask))
    assert found.reason == "missing-photo"
    assert "panoptic/000000000009.png" in found.detail
    stored_so = trees(tmp_path / "png", {"COCO_train2014_000000000009.png": picture(1, format="PNG")})
    assert path_of(find("coco", "COCO_train2014_000000000009.jpg", stored_so)) == "COCO_train2014_000000000009.png"
    assert problem_of(find("coco", "000000000009.jpg", stored_so)).reason == "missing-photo"
    assert problem_of(find("ade20k", "ADE_train_00000001", trees(tmp_path / "ade", {"ADE_train_00000001.png": b"x"})))


def test_a_photo_of_a_number_may_be_stored_with_another_ending(tmp_path: Path) -> None:
    root = trees(tmp_path, {"0A0A0A0A0A0A0A0A.JPEG": b"1", "b/0b0b0b0b0b0b0b0b.png": b"2", "c/000000000003.webp": b"3"})
    assert path_of(find("openimages", "0a0a0a0a0a0a0a0a", root)) == "0A0A0A0A0A0A0A0A.JPEG"
    assert path_of(find("openimages", "0b0b0b0b0b0b0b0b", root)) == "b/0b0b0b0b0b0b0b0b.png"
    assert path_of(find("coco", "COCO_train2014_000000000003.jpg", root)) == "c/000000000003.webp"


def test_the_stated_name_folder_and_size_choose_in_this_order(tmp_path: Path) -> None:
    files = {
        "train2014/COCO_train2014_000000000001.jpg": picture(1),
        "val2017/000000000001.jpg": picture(2),
        "test2017/000000000001.jpg": picture(3, width=21),
    }
    root = trees(tmp_path, files)
    assert path_of(find("coco", "COCO_train2014_000000000001.jpg", root)).startswith("train2014/")
    assert path_of(find("coco", "val2017/000000000001.jpg", root)).startswith("val2017/")
    assert path_of(find("coco", "000000000001.jpg", root, size_hw=(10, 21))).startswith("test2017/")
    found = problem_of(find("coco", "000000000001.jpg", root))
    assert found.reason == "ambiguous-photo"
    assert "test2017/000000000001.jpg or val2017/000000000001.jpg" in found.detail


def test_files_of_the_same_bytes_are_one_photo(tmp_path: Path) -> None:
    root = trees(tmp_path, {"train2017/000000000001.jpg": picture(1), "all/000000000001.jpg": picture(1)})
    assert path_of(find("coco", "1", root)) == "all/000000000001.jpg"
    (tmp_path / "all" / "000000000001.jpg").write_bytes(picture(2))
    assert problem_of(find("coco", "1", root)).reason == "ambiguous-photo"


def test_statements_that_mean_different_files_of_a_number_are_told(tmp_path: Path) -> None:
    listing = Listing.of("coco", list_photos(trees(tmp_path, {"a/1.jpg": picture(1), "b/1.jpg": picture(2)})))
    assert path_of(listing.find("1", [Stated("a/1.jpg", 0, 0)])) == "a/1.jpg"
    found = problem_of(listing.find("1", [Stated("a/1.jpg", 0, 0), Stated("b/1.jpg", 0, 0)]))
    assert found.reason == "ambiguous-photo"
    assert "a/1.jpg and b/1.jpg" in found.detail


def test_own_photos_are_found_by_path_and_by_base_name_where_that_is_one_photos(tmp_path: Path) -> None:
    root = trees(tmp_path / "shop", {"cam1/1.jpg": picture(1), "cam2/1.jpg": picture(2), "cam2/2.jpg": picture(3)})
    assert path_of(find("shop", "cam1/1.jpg", root)) == "cam1/1.jpg"
    assert path_of(find("shop", "cam2\\1.jpg", root)) == "cam2/1.jpg"
    assert path_of(find("shop", "shop/cam2/1.jpg", root)) == "cam2/1.jpg"
    assert path_of(find("shop", "2.jpg", root)) == "cam2/2.jpg"
    assert path_of(find("shop", "cam2/1", root)) == "cam2/1.jpg"
    assert problem_of(find("shop", "1.jpg", root)).reason == "ambiguous-photo"
    for elsewhere in ("cam3/2.jpg", "cam1/2.jpg", "2.png", "3.jpg", "cam2/2.PNG"):
        assert problem_of(find("shop", elsewhere, root)).reason == "missing-photo", elsewhere


def test_a_root_in_another_root_does_not_make_a_file_two(tmp_path: Path) -> None:
    root = trees(tmp_path / "shop", {"cam1/1.jpg": picture(1), "cam2/1.jpg": picture(2), "cam1/2.jpg": picture(3)})
    assert path_of(find("shop", "2.jpg", f"{root}/cam1", root)) == "2.jpg"
    found = problem_of(find("shop", "1.jpg", f"{root}/cam1", root))
    assert "may be 1.jpg or cam2/1.jpg" in found.detail


def test_a_collection_may_have_several_roots(tmp_path: Path) -> None:
    one, two = trees(tmp_path / "VG_100K", {"7.jpg": picture(1)}), trees(tmp_path / "VG_100K_2", {"8.jpg": picture(2)})
    assert path_of(find("vg", "7.jpg", one, two)) == "7.jpg"
    assert path_of(find("vg", "8.jpg", one, two)) == "8.jpg"
    (tmp_path / "VG_100K_2" / "7.jpg").write_bytes(picture(9))
    found = problem_of(find("vg", "7.jpg", one, two))
    assert "VG_100K/7.jpg or" in found.detail
    assert path_of(find("vg", "VG_100K_2/7.jpg", one, two)) == "7.jpg"


def test_bare_numbers_in_the_folder_of_another_collection_are_none_of_this_one(tmp_path: Path) -> None:
    files = {"vg/VG_100K/8.jpg": picture(1), "coco/000000000007.jpg": picture(2), "flickr30k-images/9.jpg": picture(3)}
    root = trees(tmp_path, files)
    assert problem_of(find("coco", "COCO_train2014_000000000008.jpg", root)).reason == "missing-photo"
    assert problem_of(find("flickr", "8.jpg", root)).reason == "missing-photo"
    for number in (7, 9):
        assert problem_of(find("vg", f"{number}.jpg", root)).reason == "missing-photo"
    assert path_of(find("coco", "7", root)) == "coco/000000000007.jpg"
    assert path_of(find("vg", "8.jpg", root)) == "vg/VG_100K/8.jpg"
    assert path_of(find("coco", "8", f"{root}/vg/VG_100K")) == "8.jpg"  # this root was given as coco's
    assert path_of(find("coco", "VG_100K/8.jpg", root)) == "vg/VG_100K/8.jpg"  # and here the annotation says it
    assert path_of(find("shop", "VG_100K/8.jpg", root)) == "vg/VG_100K/8.jpg"
