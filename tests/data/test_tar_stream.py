import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.shards.tar_stream import (
    HashingReader,
    Member,
    TarDamage,
    any_member_key,
    iter_headers,
    iter_members,
    member_key,
)

FILES = st.lists(st.tuples(st.text("abc", min_size=1, max_size=8), st.binary(max_size=1500)), max_size=5)


def tar_of(files: list[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def read(data: bytes) -> list[Member]:
    return list(iter_members(io.BytesIO(data)))


@given(FILES)
def test_members_are_what_tarfile_wrote(files: list[tuple[str, bytes]]) -> None:
    data = tar_of(files)
    assert [(one.name, one.data, data[one.offset : one.offset + len(one.data)]) for one in read(data)] == [
        (name, content, content) for name, content in files
    ]


@given(FILES)
def test_headers_say_where_the_data_is(files: list[tuple[str, bytes]]) -> None:
    stream = io.BytesIO(tar_of(files))
    found = [
        (one.name, stream.getvalue()[one.offset_data : one.offset_data + one.size]) for one in iter_headers(stream)
    ]
    assert found == files


@given(FILES.filter(bool), st.data())
def test_a_tar_that_was_cut_anywhere_before_its_end_mark_is_damaged(
    files: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    whole = tar_of(files)
    end = len(whole.rstrip(b"\0"))
    with pytest.raises(TarDamage):
        read(whole[: data.draw(st.integers(0, end - 1))])


def test_damage_says_from_which_byte_on() -> None:
    whole = bytearray(tar_of([("a.json", b"x"), ("b.json", b"y")]))
    whole[1024 + 5] ^= 1
    stream = iter_members(io.BytesIO(bytes(whole)))
    assert next(stream).name == "a.json"
    with pytest.raises(TarDamage, match="no valid header at byte 1024"):
        next(stream)


def test_tarfile_itself_would_have_ended_silently() -> None:
    whole = bytearray(tar_of([("a.json", b"x"), ("b.json", b"y")]))
    whole[1024 + 5] ^= 1
    with tarfile.open(fileobj=io.BytesIO(bytes(whole)), mode="r|") as tar:
        assert [one.name for one in tar] == ["a.json"]


@pytest.mark.parametrize(
    ("tail", "message"),
    [(b"", "no end mark at byte 1024: it was cut off"), (bytes(512) + b"x" * 512, "data behind the tar's end mark")],
)
def test_a_tar_ends_with_its_end_mark_and_zeros(tail: bytes, message: str) -> None:
    with pytest.raises(TarDamage, match=message):
        read(tar_of([("a.json", b"x")])[:1024] + tail)


def test_an_empty_file_is_no_tar() -> None:
    with pytest.raises(TarDamage, match="the tar is empty"):
        read(b"")


def test_what_is_no_plain_file_is_refused_by_name() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert read(sink.getvalue()) == [
        Member(name="a.jpg", data=b"", offset=512, refused="is a symbolic link, not a plain file")
    ]


@given(st.binary(max_size=5000))
def test_a_hashing_reader_knows_all_that_was_read(data: bytes) -> None:
    import hashlib

    reader = HashingReader(io.BytesIO(data))
    reader.read(100)
    reader.drain()
    assert (reader.size, reader.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_key_ends_at_the_first_dot() -> None:
    assert member_key("coco_1.jpg") == ("coco_1", "jpg")
    assert member_key("coco_1.seg.png") == ("coco_1", "seg.png")
    assert member_key("readme") == ("readme", "")


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_headers_of_anybodys_tar_have_their_long_names(format: int) -> None:
    names = ["./a.jpg", f"{'folder/' * 20}b.jpg", f"{'é' * 40}.jpg", "c.jpg"]
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format) as tar:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = number
            tar.addfile(member, io.BytesIO(b"x" * number))
    headers = list(iter_headers(sink))
    assert [header.name for header in headers] == names
    for header in headers:
        sink.seek(header.offset_data)
        assert sink.read(header.size) == b"x" * header.size


@pytest.mark.parametrize("records", [b"99 path=x\n", b"x path=y\n", b"12 size=-1a\n"])
def test_a_damaged_record_in_front_of_a_member_is_damage(records: bytes) -> None:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, len(records)
    with pytest.raises(TarDamage, match="no valid header at byte 0"):
        list(iter_headers(io.BytesIO(member.tobuf() + records.ljust(512, b"\0") + bytes(1024))))


@pytest.mark.parametrize(
    ("name", "key"),
    [("a.jpg", "a"), ("./a.jpg", "a"), ("b.2/a.tar.gz", "b.2/a"), ("./b//a", "b/a"), ("a.b.jpg", "a"), (".jpg", "")],
)
def test_a_key_ends_at_the_first_dot_of_the_base_name(name: str, key: str) -> None:
    assert any_member_key(name)[0] == key
