"""Whatever a driver raises, wherever it raises it, is one line that names the file; and no line tells a secret."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from xdetr_data.accounting import Tally
from xdetr_data.addresses.identity import file_identity
from xdetr_data.addresses.reading import file_system, open_file
from xdetr_data.addresses.trees import list_tree, open_address
from xdetr_data.errors import InputError, OutputError, shown
from xdetr_data.manifest import InputEntry, Manifest, read_manifest, write_manifest
from xdetr_data.photos.photo import BadPhoto, read_photo
from xdetr_data.sources.framing.bundle import Bundle
from xdetr_data.sources.framing.files import input_bytes, open_input, read_input
from xdetr_data.sources.framing.lines import expand_inputs, iter_line_chunks
from xdetr_data.sources.protocol import input_label
from xdetr_data.sources.web_captions import expand_tars, iter_web_photos
from xdetr_data.storage import Folder


class OddError(Exception):
    """As botocore's and aiohttp's: a child of Exception alone."""


class DeadFileSystem(MemoryFileSystem):
    """A store whose server is gone: everything that asks it raises a class of its own."""

    protocol = "dead"

    def _dead(self, *_: Any, **__: Any) -> Any:
        raise OddError("could not connect to http://user:pw@host/x?sig=S3CRET\nafter 5 tries")

    ls = info = exists = isfile = isdir = find = glob = open = cat_file = cat = size = du = makedirs = _dead
    pipe_file = mv = rm = rm_file = _dead


class CutFileSystem(MemoryFileSystem):
    """A store that loses the connection in the middle of every file."""

    protocol = "cut"

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        return CutStream(b"0123456789" * 100)


class CutStream(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or self.tell() + size > 500:
            raise OddError("connection reset")
        return super().read(size)


@pytest.fixture(autouse=True, scope="module")
def _stores() -> None:
    fsspec.register_implementation("dead", DeadFileSystem, clobber=True)
    fsspec.register_implementation("cut", CutFileSystem, clobber=True)


READERS: dict[str, Callable[[str], Any]] = {
    "open_input": open_input,
    "read_input": read_input,
    "input_bytes": input_bytes,
    "expand_inputs": lambda path: expand_inputs([f"{path}*"]),
    "expand_tars": lambda path: expand_tars([path]),
    "spelled_out": lambda path: expand_inputs([path + "{1..2}"]),
    "line_chunks": lambda path: list(iter_line_chunks(path)),
    "web_photos": lambda path: list(iter_web_photos(path)),
    "bundle": lambda path: Bundle(path, "Sentences").read(["a"]),
    "zip": lambda path: Bundle(f"{path}.zip", "Sentences").read(["a"]),
    "identity": file_identity,
    "tree": list_tree,
    "open_address": open_address,
    "exists": lambda path: Folder(path).exists("a"),
    "size": lambda path: Folder(path).size("a"),
    "names": lambda path: Folder(path).names(),
    "open": lambda path: Folder(path).open("a"),
    "read_range": lambda path: Folder(path).read_range("a", 0, 1),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_store_that_does_not_answer_is_one_line_without_secrets(reader: str) -> None:
    with pytest.raises(InputError) as caught:
        READERS[reader]("dead://bucket/name")
    line = str(caught.value)
    assert line.startswith("dead://bucket/name")
    assert "could not connect to http://host/x" in line
    assert "\n" not in line
    assert "S3CRET" not in line
    assert "pw" not in line


@pytest.mark.parametrize("write", [lambda out: out.write("a", b""), lambda out: out.put("a", b"", replace=True)])
def test_a_store_that_cannot_be_written_is_one_line(write: Callable[[Folder], object]) -> None:
    with pytest.raises(OutputError, match=r"^dead://bucket/out/a: cannot be written \(could not .*; wait until"):
        write(Folder("dead://bucket/out"))


def test_a_file_that_breaks_off_is_one_line_and_a_photo_a_reject() -> None:
    stream = open_file(*file_system("cut://a"), "cut://a")
    assert stream.read(10) == b"0123456789"
    with pytest.raises(InputError, match=r"^cut://a: cannot be read \(connection reset\)"):
        stream.read()
    photo = read_photo("cut://a")
    assert isinstance(photo, BadPhoto)
    assert photo.detail.startswith("cut://a: cannot be read (connection reset)")


def test_what_is_wrong_with_a_file_decides_the_remedy(tmp_path: Path) -> None:
    half = gzip.compress(b"a,b\n" * 1000)[:20]
    for name, data, says in (
        ("half.csv.gz", half, "damaged or cut short, fetch it again"),
        ("no.csv.gz", b"plain", "damaged or cut short, fetch it again"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=says):
            list(iter_line_chunks(str(tmp_path / name)))
    with pytest.raises(InputError, match="install what it names"):
        file_system("dropbox://x")
    with pytest.raises(InputError, match=r"^'.*caf\\udce9': the name is no UTF-8; rename it"):
        file_system(f"{tmp_path}/caf\udce9")


def test_no_file_is_read_whole_beyond_a_bound(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"\0" * (3 << 20)))
    with pytest.raises(InputError, match="holds more than 2 MiB"):
        read_input(str(tmp_path / "bomb.gz"), max_bytes=2 << 20)


def test_a_zip_that_wants_a_password_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Sentences/1.txt", "x")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # says that it is encrypted: in the member's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"Sentences/1\.txt: cannot be read \(.*password"):
        Bundle(str(path), "Sentences").read(["Sentences/1.txt"])


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("https://h/a.json?X-Amz-Signature=s&x=1", "https://h/a.json"),
        ("https://me:pw@h:8080/a", "https://h:8080/a"),
        ("https://me:p#w@h/a", "https://h/a"),
        ("zip://a@2.jpg::https://me:pw@h/x.zip?t=1", "zip://a@2.jpg::https://h/x.zip"),
        ("s3://bucket/part-0000?.tar", "s3://bucket/part-0000?.tar"),
        ("s3://bucket/a.tar?versionId=1", "s3://bucket/a.tar"),
        ("abfs://c/a.json?sv=2020&sig=s", "abfs://c/a.json"),
        ("/data/a?b=c#d", "/data/a?b=c#d"),
        ("file:///data/a?b=c", "file:///data/a?b=c"),
        ("hf://datasets/u/n@main/x", "hf://datasets/u/n@main/x"),
        ("https://h/a?s=1: gone (https://h/b?s=1); x", "https://h/a: gone (https://h/b); x"),
        ("url='https://h/a?s=1', no", "url='https://h/a', no"),
    ],
)
def test_addresses_are_shown_without_user_password_and_query(given: str, seen: str) -> None:
    assert shown(given) == seen
    assert shown(seen) == seen
    assert str(InputError(given)) == seen


def test_a_manifest_and_the_labels_of_inputs_tell_no_secret() -> None:
    address = "https://user:pw@host/a.json?X-Amz-Signature=S3CRET"
    assert input_label(address) == "a"
    entry = InputEntry(role="mdetr", path=address, bytes=1, sha256="0")
    made = Manifest(
        **{"schema": 1, "recipe": "r", "tool_version": "0", "prefix": "p", "split": "train", "seed": 0},
        **{"config": {"mdetr": [address], "models": {address: "x"}}, "config_hash": "h", "inputs": [entry]},
        **{"exclusions": [], "accounting": Tally().to_builtins(), "rows": 0, "shards": [], "rejects": []},
        warnings=[f"nothing in {address}"],
    )
    folder = Folder("memory://secrets")
    write_manifest(folder, made)
    text = folder.read("manifest.json")
    assert b"S3CRET" not in text
    assert b"pw" not in text
    assert read_manifest(folder).inputs[0].path == "https://host/a.json"
