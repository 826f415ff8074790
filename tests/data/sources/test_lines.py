import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.lines import expand_inputs, iter_line_chunks, split_lines


def chunks_of(path: Path, size: int) -> list[bytes]:
    return [chunk.data for chunk in iter_line_chunks(str(path), chunk_bytes=size)]


@given(data=st.binary(max_size=300).filter(lambda b: not b.startswith(b"\xef")), size=st.integers(1, 64))
def test_chunks_are_the_file_whatever_their_size(tmp_path_factory, data, size):
    path = tmp_path_factory.mktemp("lines") / "file.jsonl"
    path.write_bytes(data)
    chunks = list(iter_line_chunks(str(path), chunk_bytes=size))
    assert b"".join(chunk.data for chunk in chunks) == data
    assert [line for chunk in chunks for line in split_lines(chunk.data)] == data.removesuffix(b"\n").split(b"\n")[
        : sum(chunk.count for chunk in chunks)
    ]
    row = offset = 0
    for chunk in chunks:
        assert (chunk.first_row, chunk.offset) == (row, offset)
        assert chunk.count == len(split_lines(chunk.data))
        row += chunk.count
        offset += len(chunk.data)


def test_no_chunk_ends_inside_a_line(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"a" * 50 + b"\n" + b"b" * 3 + b"\nlast without end")
    assert chunks_of(path, 8) == [b"a" * 50 + b"\nbbb\n", b"last without end"]


def test_a_byte_order_mark_belongs_to_no_line(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"\xef\xbb\xbfImageID\nx\n")
    (chunk,) = iter_line_chunks(str(path))
    assert (chunk.offset, chunk.data) == (3, b"ImageID\nx\n")


def test_gzip_reads_like_the_plain_file(tmp_path):
    text = b"".join(b"line %d\n" % i for i in range(1000))
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    assert b"".join(chunks_of(packed, 100)) == b"".join(chunks_of(plain, 100)) == text


def test_truncated_gzip_is_one_line_for_the_user(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 100)[:-20])
    with pytest.raises(InputError, match=r"a\.csv\.gz: cannot be read .*fetch it again"):
        chunks_of(path, 100)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(InputError, match=r"no such file|cannot be opened"):
        chunks_of(tmp_path / "none.csv", 100)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("xdetr_data.sources.framing.lines.MAX_ELEMENT_BYTES", 1000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"ok\n" + b"x" * 5000)
    with pytest.raises(InputError, match="line 2 is longer"):
        chunks_of(path, 100)


def test_wildcards_expand_in_order_and_each_file_counts_once(tmp_path):
    for name in ("n-00001.jsonl", "n-00000.jsonl", "other.csv"):
        (tmp_path / name).touch()
    (tmp_path / "n-dir.jsonl").mkdir()
    first, second = f"{tmp_path}/n-00000.jsonl", f"{tmp_path}/n-00001.jsonl"
    assert expand_inputs([f"{tmp_path}/n-*.jsonl"]) == [first, second]
    assert expand_inputs([second, f"{tmp_path}/n-0000?.jsonl"]) == [second, first]
    assert expand_inputs(["plain/name.csv"]) == ["plain/name.csv"]


def test_wildcards_work_at_any_address():
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe({"/lines/b.csv": b"", "/lines/a.csv": b""})
    assert expand_inputs(["memory://lines/*.csv"]) == ["memory:///lines/a.csv", "memory:///lines/b.csv"]


def test_a_file_whose_name_holds_a_bracket_is_found(tmp_path):
    path = tmp_path / "a[1].csv"
    path.touch()
    assert expand_inputs([str(path)]) == [str(path)]


def test_a_pattern_without_match_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"x-\*\.jsonl: no file matches"):
        expand_inputs([f"{tmp_path}/x-*.jsonl"])
