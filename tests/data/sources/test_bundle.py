"""Many small files by name: the same from a folder and from a zip, wherever the zip keeps them."""

import zipfile
from pathlib import Path

import pytest

from xdetr_data.errors import InputError
from xdetr_data.sources.framing import bundle
from xdetr_data.sources.framing.bundle import Bundle

FILES = {"Sentences/1.txt": b"one", "Sentences/2.txt": b"", "Annotations/1.xml": b"<a/>", "README": b"read"}
ASKED = ["Annotations/1.xml", "Sentences/2.txt", "Sentences/9.txt", "README", "Nowhere/1.txt", "README/1.txt"]
FOUND = [b"<a/>", b"", None, b"read", None, None]


def folder(path: Path) -> Path:
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zipped(path: Path, *, below: str = "", more: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (more or {}).items():
            archive.writestr(name, data)
        for name, data in FILES.items():
            archive.writestr(below + name, data)
    return path


def test_a_folder_gives_what_is_asked_for_in_that_order(tmp_path: Path) -> None:
    assert Bundle(str(folder(tmp_path)), "Sentences").read(ASKED) == FOUND
    assert Bundle(str(tmp_path), "Sentences").read([]) == []


@pytest.mark.parametrize("below", ["", "flickr30k_entities/", "a/b/"])
def test_a_zip_gives_the_same_wherever_its_files_lie(below: str, tmp_path: Path) -> None:
    junk = {"__MACOSX/Sentences/._1.txt": b"junk", "MySentences/1.txt": b"others"}
    path = zipped(tmp_path / "a.zip", below=below, more=junk)
    assert Bundle(str(path), "Sentences").read(ASKED) == FOUND


def test_what_holds_no_such_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no zip")
    whole = zipped(tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-30])
    for path, says in (
        (folder(tmp_path), "holds no folder Photos; give the folder above it, or the zip"),
        (tmp_path / "whole.zip", "holds no folder Photos; is it the right zip"),
        (tmp_path / "none.zip", "there is no such file"),
        (tmp_path / "bad.zip", "cannot be read .*fetch it again"),
        (tmp_path / "cut.zip", "cannot be read .*fetch it again"),
    ):
        with pytest.raises(InputError, match=f"{path}: .*{says}"):
            Bundle(str(path), "Photos").read(["Sentences/1.txt"])


def test_a_member_that_is_damaged_or_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"Sentences/1.txt") + len(b"Sentences/1.txt") + 1] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a.zip: Sentences/1.txt: cannot be read"):
        Bundle(str(path), "Sentences").read(["Sentences/1.txt"])
    monkeypatch.setattr(bundle, "MAX_ELEMENT_BYTES", 3)
    assert Bundle(str(path), "Sentences").read(["Sentences/2.txt"]) == [b""]
    with pytest.raises(InputError, match="README is larger"):
        Bundle(str(path), "Sentences").read(["README"])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (folder(tmp_path) / "Sentences" / "3.txt").mkdir()
    with pytest.raises(InputError, match=r"3.txt: cannot be read"):
        Bundle(str(tmp_path), "Sentences").read(["Sentences/3.txt"])
