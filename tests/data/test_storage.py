import errno
import hashlib
import pickle
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fsspec.implementations.local import LocalFileOpener

from xdetr_data.addresses.identity import file_identity
from xdetr_data.errors import InputError, OutputError
from xdetr_data.storage import Folder


@pytest.fixture(params=["path", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder on disk, and one at another fsspec address."""
    return Folder(str(tmp_path / "out") if request.param == "path" else f"memory://{uuid4().hex}/out")


def write_and_fail(folder: Folder, error: type[BaseException]) -> None:
    with folder.writing("file") as sink:
        sink.write(b"new")
        raise error


def test_what_is_written_is_read_back(folder: Folder) -> None:
    folder.write("deep/er/file.bin", b"\0bytes")
    assert folder.exists("deep/er/file.bin")
    assert folder.read("deep/er/file.bin") == b"\0bytes"


def test_writing_replaces_the_whole_file(folder: Folder) -> None:
    folder.write("file", b"long content")
    folder.write("file", b"short")
    assert folder.read("file") == b"short"


def test_a_file_that_was_not_finished_never_has_its_name(folder: Folder) -> None:
    folder.write("file", b"old")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(folder, ZeroDivisionError)
    assert folder.read("file") == b"old"
    assert folder.names() == ["file"]


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(Folder(str(tmp_path)), KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


def test_while_a_file_is_written_others_do_not_see_it(folder: Folder) -> None:
    with folder.writing("file") as sink:
        sink.write(b"new")
        assert not folder.exists("file")
        assert folder.names() == []
    assert folder.names() == ["file"]


def test_the_writer_knows_size_and_sha256_of_the_file(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    with folder.writing("file") as sink:
        assert sink.tell() == 0
        sink.write(b"abc")
        sink.write(b"def")
        assert sink.tell() == 6
    assert (sink.size, sink.sha256) == file_identity(str(tmp_path / "file"))
    assert sink.sha256 == hashlib.sha256(b"abcdef").hexdigest()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalFileOpener, "write", full)
    with pytest.raises(OutputError, match=r"file: cannot be written \(No space left on device\); make room"):
        Folder(str(tmp_path)).write("file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_at_the_very_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        Folder(str(tmp_path)).write("file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        Folder(str(tmp_path / "out")).write("file", b"x")


def test_a_missing_file_is_named(folder: Folder) -> None:
    with pytest.raises(InputError, match="nothing: cannot be read"):
        folder.read("nothing")


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(InputError, match="gopher://x: cannot be reached"):
        Folder("gopher://x").exists()


def test_names_are_sorted_and_match_their_pattern(folder: Folder) -> None:
    for name in ("b.tar", "a.tar", "a.json", "sub/c.tar"):
        folder.write(name, b"")
    assert folder.names("*.tar") == ["a.tar", "b.tar"]
    assert folder.names("*/*.tar") == ["sub/c.tar"]


def test_removing_takes_files_and_folders_and_forgives_absence(folder: Folder) -> None:
    folder.write("sub/c.tar", b"")
    folder.write("d", b"")
    folder.remove("sub")
    folder.remove("d")
    folder.remove("never was")
    assert not folder.exists("sub/c.tar")
    assert not folder.exists("d")


def test_sweeping_takes_only_what_killed_writers_left(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("sub/kept", b"")
    (tmp_path / ".kept.tmp-0123456789ab").write_bytes(b"")
    (tmp_path / "sub" / ".kept.tmp-0123456789ab").write_bytes(b"")
    folder.sweep()
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["sub", "kept"]


def test_a_folder_travels_to_another_process_by_its_address(folder: Folder) -> None:
    folder.write("file", b"x")
    assert pickle.loads(pickle.dumps(folder)).read("file") == b"x"


def test_a_local_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[list[str]] = []
    monkeypatch.setattr("os.fsync", lambda _: synced.append(sorted(path.name for path in tmp_path.iterdir())))
    Folder(str(tmp_path)).write("file", b"x")
    assert len(synced) == 1
    assert "file" not in synced[0]


def test_identity_of_a_missing_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check the address"):
        file_identity(str(tmp_path / "nothing"))


def test_identity_of_a_folder_is_that_of_what_sha256sum_prints_of_its_files(tmp_path: Path) -> None:
    for name, data in (("b.txt", b"two"), ("a/z.txt", b"three"), ("a.txt", b""), ("ä b.txt", b"four")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    command = "find * -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(command, cwd=tmp_path, shell=True, capture_output=True, text=True, check=True).stdout
    size, sha256 = file_identity(str(tmp_path))
    assert (size, sha256) == (12, printed.split()[0])
    assert file_identity(f"{tmp_path}/") == (size, sha256)
    (tmp_path / "b.txt").rename(tmp_path / "c.txt")
    assert file_identity(str(tmp_path))[1] != sha256
