"""The index of a shard: where each member's data lies in the tar."""

import io
import tarfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tiny_dataset import KEYS, build, sample
from xdetr_data.errors import InputError
from xdetr_data.shards.index import Place, decode_index, encode_index, index_name, walk
from xdetr_data.shards.tar_stream import iter_headers
from xdetr_data.shards.tar_writer import TarWriter
from xdetr_data.shards.writer import write_samples
from xdetr_data.storage import Folder

EXTENTS = st.tuples(st.integers(512, 1 << 40), st.integers(0, 1 << 30))
PLACES = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_%-]+", fullmatch=True),
    st.dictionaries(st.sampled_from(["jpg", "json", "png"]), EXTENTS, min_size=1),
).map(lambda found: [Place(key=key, members=members) for key, members in found.items()])


@given(PLACES)
def test_decoding_inverts_encoding(places: list[Place]) -> None:
    assert decode_index(encode_index(places)) == places


def test_the_text_is_that_of_wds2idx() -> None:
    place = Place(key="a", members={"jpg": (512, 7), "json": (1536, 9)})
    assert encode_index([place]) == b"v1.2 1\njpg 512 7 a.jpg json 1536 9 a.json\n"
    assert place.extent == (512, 1033)


def test_the_index_that_is_written_is_that_of_the_tar(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    for shard in (0, 1):
        stated = decode_index(dataset.file(".idx", shard).read_bytes())
        with dataset.file(".tar", shard).open("rb") as stream:
            assert stated == walk(iter_headers(stream))
        whole = dataset.file(".tar", shard).read_bytes()
        found = {
            f"{place.key}.{suffix}": whole[offset : offset + size]
            for place in stated
            for suffix, (offset, size) in place.members.items()
        }
        assert found == dict(dataset.members(shard))


@pytest.mark.parametrize("length", [1, 94, 95, 96, 200, 2000])
def test_a_member_s_place_is_right_however_long_its_name(length: int) -> None:
    key, sink = "k" * length, io.BytesIO()
    with TarWriter(sink) as tar:
        places = [tar.add(f"{key}.jpg", b"photo" * 300), tar.add(f"{key}.json", b"{}")]
    whole = sink.getvalue()
    assert [whole[offset : offset + size] for offset, size in places] == [b"photo" * 300, b"{}"]
    with tarfile.open(fileobj=io.BytesIO(whole)) as read:
        assert [(one.name, one.offset_data) for one in read] == [
            (f"{key}.{suffix}", offset) for suffix, (offset, _) in zip(("jpg", "json"), places, strict=True)
        ]


@given(st.dictionaries(st.from_regex(r"[\w%-]{1,120}", fullmatch=True), st.binary(max_size=12_000), max_size=4))
def test_a_tar_is_written_as_webdataset_writes_it(members: dict[str, bytes]) -> None:
    reference, sink = io.BytesIO(), io.BytesIO()
    with webdataset.TarWriter(reference, encoder=False, mtime=0, user="", group="") as theirs, TarWriter(sink) as ours:
        for key, data in members.items():
            theirs.write({"__key__": key, "json": data})
            ours.add(f"{key}.json", data)
    assert sink.getvalue() == reference.getvalue()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no index"),
        (b"\xff", "is no index"),
        (b"v1.1 0\n", "begins with 'v1.1 0', not with 'v1.2 0'"),
        (b"v1.2 2\njpg 512 7 a.jpg\n", "begins with 'v1.2 2', not with 'v1.2 1'"),
        (b"v1.2 1\njpg 512 7\n", "line 2 does not name the members of one sample"),
        (b"v1.2 1\njpg x 7 a.jpg\n", "line 2 does not name"),
        (b"v1.2 1\njpg 0 7 a.jpg\n", "line 2 does not name"),
        (b"v1.2 1\njpg 512 7 a.json\n", "line 2 does not name"),
        (b"v1.2 1\njpg 512 7 a.jpg json 1024 1 b.json\n", "line 2 does not name"),
        (b"v1.2 2\njpg 512 7 a.jpg\njpg 512 7 a.jpg\n", "names a sample twice"),
    ],
)
def test_what_is_no_index_is_said_to_be_none(text: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_index(text)


def test_the_same_samples_give_the_same_bytes() -> None:
    written = []
    for number in range(2):
        folder = Folder(f"memory://index-test-{number}")
        write_samples(folder, "x-000000", [sample(key) for key in KEYS])
        written.append(folder.read(index_name("x-000000")))
    assert written[0] == written[1]
