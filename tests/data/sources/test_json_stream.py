"""Arrays of one huge JSON object, or one huge array, in chunks: the same elements as json.loads, whatever the chunk
size and the layout.
"""

import codecs
import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import ArrayChunk, input_bytes, is_compressed, open_input
from xdetr_data.sources.framing.json_stream import (
    WHOLE_FILE,
    elements,
    iter_array_chunks,
    iter_whole_array_chunks,
    members,
)

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(['}],"annotations":[{', '"', "\\", "]", "}", "{", ",", "\\u007d", "}\n]", "🎈", "\u2028", ""]),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
ARRAYS = st.one_of(st.lists(OBJECTS, max_size=6), st.lists(VALUES, max_size=6))
LAYOUTS = st.sampled_from(
    [
        {"indent": None, "separators": (",", ":")},
        {"indent": None},
        {"indent": 1},
        {"indent": "\t", "separators": (" ,", " : ")},
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document with ``images`` and ``annotations`` among other keys, in any order."""
    others = draw(st.dictionaries(TEXTS.filter(lambda key: key not in ("images", "annotations")), VALUES, max_size=3))
    found = others | {"images": draw(ARRAYS), "annotations": draw(ARRAYS)}
    return {key: found[key] for key in draw(st.permutations(sorted(found)))}


def written(document: object, layout: dict[str, Any], *, ascii_only: bool = True) -> bytes:
    return json.dumps(document, ensure_ascii=ascii_only, **layout).encode()


def stored(data: bytes, name: str = "file.json") -> str:
    path = f"memory://json-stream/{name}"
    with fsspec.open(path, "wb") as sink:
        sink.write(data)
    return path


def read(path: str, names: Sequence[str] = ("images", "annotations"), chunk_bytes: int = 4 << 20) -> list[ArrayChunk]:
    return list(iter_array_chunks(path, names, chunk_bytes=chunk_bytes))


def values_of(chunks: Sequence[ArrayChunk], name: str) -> list[Any]:
    return [json.loads(one) for chunk in chunks if chunk.name == name for one in elements(chunk.data)]


@given(documents(), LAYOUTS, st.booleans(), st.integers(1, 80) | st.sampled_from([200, 4 << 20]))
@example({"images": [{"a": 1}], "annotations": []}, {"indent": None}, True, 20)
@example({"images": [{"a": -1.5e-7}, {"a": True}, None], "annotations": [[]]}, {"indent": 1}, True, 1)
@example({"annotations": [{}], "zeros": [0, 0, 0], "images": [{}]}, {"indent": None}, True, 12)
def test_chunks_of_any_size_hold_the_elements_that_json_loads_finds(
    document: dict[str, Any], layout: dict[str, Any], ascii_only: bool, chunk_bytes: int
) -> None:
    data = written(document, layout, ascii_only=ascii_only)
    chunks = read(stored(data), chunk_bytes=chunk_bytes)
    assert values_of(chunks, "images") == document["images"]
    assert values_of(chunks, "annotations") == document["annotations"]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 40, 4 << 20])
def test_a_byte_order_mark_is_skipped_and_counts_as_bytes_of_the_file(chunk_bytes: int) -> None:
    data = codecs.BOM_UTF8 + b'{"images": [{"id": 1}], "annotations": []}'
    (chunk,) = read(stored(data), chunk_bytes=chunk_bytes)
    assert data[chunk.offset : chunk.offset + len(chunk.data)] == chunk.data == b'{"id": 1}'


@given(documents(), LAYOUTS, st.integers(1, 80))
def test_a_chunk_says_where_its_bytes_stand_in_the_file_and_which_elements_they_are(
    document: dict[str, Any], layout: dict[str, Any], chunk_bytes: int
) -> None:
    data = written(document, layout)
    rows = {"images": 0, "annotations": 0}
    for chunk in read(stored(data), chunk_bytes=chunk_bytes):
        assert data[chunk.offset : chunk.offset + len(chunk.data)] == chunk.data
        assert chunk.first_row == rows[chunk.name]
        assert chunk.count == len(elements(chunk.data)) > 0
        rows[chunk.name] += chunk.count
    assert rows == {name: len(document[name]) for name in rows}


@given(documents(), st.integers(1, 80))
def test_a_gzip_file_has_the_chunks_of_the_plain_one(document: dict[str, Any], chunk_bytes: int) -> None:
    data = written(document, {"indent": None})
    plain = read(stored(data), chunk_bytes=chunk_bytes)
    packed = read(stored(gzip.compress(data), "file.json.gz"), chunk_bytes=chunk_bytes)
    assert packed == plain


@given(documents(), st.integers(1, 200), st.data())
def test_a_file_cut_anywhere_is_refused_and_never_taken_for_whole(
    document: dict[str, Any], chunk_bytes: int, draw: st.DataObject
) -> None:
    data = written(document, {"indent": None})
    cut = draw.draw(st.integers(0, len(data) - 1))
    path = stored(data[:cut])
    with pytest.raises(InputError, match=r"file\.json"):
        read(path, chunk_bytes=chunk_bytes)


@given(documents(), st.integers(1, 200), st.data())
def test_any_change_of_one_byte_is_read_as_json_loads_reads_it_or_refused(
    document: dict[str, Any], chunk_bytes: int, draw: st.DataObject
) -> None:
    data = bytearray(written(document, {"indent": None}))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 127))
    try:
        expected = json.loads(bytes(data))
    except ValueError:
        expected = None
    try:
        chunks = read(stored(bytes(data)), chunk_bytes=chunk_bytes)
    except InputError:
        return
    assert expected is not None  # what is no JSON is never read as if it were
    for name in ("images", "annotations"):
        found = values_of(chunks, name)
        assert json.dumps(found) == json.dumps(expected[name])


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 5000])
@pytest.mark.parametrize("chunk_bytes", [1, 30, 4 << 20])
def test_numbers_that_no_field_can_hold_stay_elements_of_their_own(number: str, chunk_bytes: int) -> None:
    data = f'{{"images": [{{"a": 1}}, {{"a": {number}}}, {number}, {{"a": 2}}], "annotations": []}}'.encode()
    chunks = read(stored(data), chunk_bytes=chunk_bytes)
    found = [one for chunk in chunks for one in elements(chunk.data)]
    assert found == [b'{"a": 1}', b'{"a": %s}' % number.encode(), number.encode(), b'{"a": 2}']


def test_an_element_far_larger_than_a_chunk_is_one_element() -> None:
    big = {"a": "x" * 300_000, "b": [{}] * 1000}
    data = written({"images": [{}, big, {}], "annotations": []}, {"indent": None})
    chunks = read(stored(data), chunk_bytes=1000)
    assert values_of(chunks, "images") == [{}, big, {}]


def test_memory_is_bounded_by_the_chunk_not_by_the_file() -> None:
    data = written({"images": [{"a": "x" * 90}] * 20_000, "annotations": []}, {"indent": None})
    chunks = read(stored(data), chunk_bytes=1 << 16)
    assert len(chunks) > 20
    assert max(len(chunk.data) for chunk in chunks) <= 1 << 16


def test_keys_that_are_not_asked_for_may_hold_anything_and_occur_twice() -> None:
    data = b'{"x": [], "x": {"images": [1]}, "\\u0069nfo": NaN, "images": [7], "y": "]}", "annotations": []}'
    assert values_of(read(stored(data)), "images") == [7]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "byte 0: the file is empty"),
        (b"[]", "byte 0: expected one JSON object with images, annotations"),
        (b'{"images": []}', "byte 13: the file has no 'annotations' array; is it of the stated format?"),
        (b'{"images": 3, "annotations": []}', r"byte 11: expected '\[' for key 'images': it must be an array"),
        (b'{"images": [], "images": []', "byte 24: key 'images' occurs twice"),
        (b'{"images": [], "annotations": []} x', "byte 34: text follows the end of the JSON object"),
        (b'{"images": [{"a": 1}', "byte 20: ends in the middle of a value: the file is truncated; fetch it again"),
        (b'{"images": [{"a": 1} {"b": 2}], "annotations": []}', "byte 21: "),
        (b'{"images": [{"a" 1}], "annotations": [{}, {}, {}]}', "byte 17: is not JSON"),
    ],
)
def test_a_message_names_the_file_the_byte_and_the_problem(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=f"^memory://json-stream/file.json: {says}"):
        read(stored(data))


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    data = b'{"images": [' + b"[" * 10**6 + b"]" * 10**6 + b'], "annotations": []}'
    with pytest.raises(InputError, match="nested too deeply"):
        read(stored(data))


# --- a file that is one array -----------------------------------------------------------------------------------------


def read_whole(path: str, chunk_bytes: int = 4 << 20) -> list[ArrayChunk]:
    return list(iter_whole_array_chunks(path, chunk_bytes=chunk_bytes))


@given(ARRAYS, LAYOUTS, st.booleans(), st.booleans(), st.integers(1, 80) | st.sampled_from([200, 4 << 20]))
@example([{"id": 1, "regions": [{}, {}]}, 0, [], None], {"indent": 1}, True, True, 1)
def test_a_whole_array_has_the_elements_that_json_loads_finds_and_says_where_each_chunk_stands(
    document: list[Any], layout: dict[str, Any], ascii_only: bool, has_mark: bool, chunk_bytes: int
) -> None:
    data = (codecs.BOM_UTF8 if has_mark else b"") + written(document, layout, ascii_only=ascii_only)
    chunks = read_whole(stored(data), chunk_bytes)
    assert values_of(chunks, WHOLE_FILE) == document
    rows = 0
    for chunk in chunks:
        assert data[chunk.offset : chunk.offset + len(chunk.data)] == chunk.data
        assert (chunk.first_row, chunk.count) == (rows, len(elements(chunk.data)))
        rows += chunk.count
    assert read_whole(stored(gzip.compress(data), "file.json.gz"), chunk_bytes) == chunks


@given(ARRAYS, st.integers(1, 200), st.data())
def test_a_whole_array_cut_anywhere_is_refused(document: list[Any], chunk_bytes: int, draw: st.DataObject) -> None:
    data = written(document, {"indent": None})
    path = stored(data[: draw.draw(st.integers(0, len(data) - 1))])
    with pytest.raises(InputError, match=r"file\.json"):
        read_whole(path, chunk_bytes)


@given(ARRAYS, st.integers(1, 200), st.data())
def test_a_whole_array_with_one_byte_changed_is_read_as_json_loads_reads_it_or_refused(
    document: list[Any], chunk_bytes: int, draw: st.DataObject
) -> None:
    data = bytearray(written(document, {"indent": None}))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 127))
    try:
        chunks = read_whole(stored(bytes(data)), chunk_bytes)
    except InputError:
        return
    assert json.dumps(values_of(chunks, WHOLE_FILE)) == json.dumps(json.loads(bytes(data)))


def test_the_chunks_of_a_whole_array_are_bounded_whatever_the_file_holds() -> None:
    data = written([{"a": "x" * 90}] * 20_000, {"indent": None})
    chunks = read_whole(stored(data), 1 << 16)
    assert len(chunks) > 20
    assert max(len(chunk.data) for chunk in chunks) <= 1 << 16


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "byte 0: the file is empty"),
        (b'{"images": []}', "byte 0: expected one JSON array"),
        (b"[", "byte 1: ends in the middle of a value: the file is truncated; fetch it again"),
        (b"[] x", "byte 3: text follows the end of the JSON array"),
        (b'[{"a": 1} {"b": 2}]', "byte 10: "),
    ],
)
def test_a_file_that_is_no_array_is_told_with_its_byte(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=f"^memory://json-stream/file.json: {says}"):
        read_whole(stored(data))


@given(st.dictionaries(TEXTS, VALUES, max_size=5), LAYOUTS, st.booleans())
def test_members_are_the_values_that_json_loads_finds(
    value: dict[str, Any], layout: dict[str, Any], ascii_only: bool
) -> None:
    found = members(written(value, layout, ascii_only=ascii_only))
    assert {key: json.loads(data) for key, data in found.items()} == value


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b'"\xff"'])
def test_members_keep_what_no_field_can_hold(number: bytes) -> None:
    assert members(b'{"a": [%s ], "b" :2 }' % number) == {"a": b"[%s ]" % number, "b": b"2"}


@pytest.mark.parametrize("data", [b"[1]", b"3", b'"{"', b"null", b"{ }"])
def test_what_is_no_object_has_no_members(data: bytes) -> None:
    assert members(data) == {}


def test_an_address_without_a_file_is_named(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none.json"), str(tmp_path), "memory://nowhere/none.json", "s4://x/y"):
        with pytest.raises(InputError, match=path):
            open_input(path)
        if path != str(tmp_path):
            with pytest.raises(InputError, match=path):
                input_bytes(path)


def test_the_size_of_a_folder_is_that_of_all_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert input_bytes(str(tmp_path), or_folder=True) == 0
    (tmp_path / "a" / "1").write_bytes(b"xx")
    (tmp_path / "a" / "b" / "2").write_bytes(b"yyy")
    assert input_bytes(str(tmp_path), or_folder=True) == input_bytes(str(tmp_path / "a"), or_folder=True) == 5
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is no file"):
        input_bytes(str(tmp_path / "pipe"), or_folder=True)


def test_the_size_of_an_input_is_as_stored_and_its_name_tells_whether_it_is_packed(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"x" * 1000))
    path = str(tmp_path / "a.json.gz")
    assert input_bytes(path) < 100
    assert is_compressed(path)
    assert not is_compressed(str(tmp_path / "a.json"))
    with open_input(path) as stream:
        assert stream.read() == b"x" * 1000


@pytest.mark.parametrize("element", ['{"a": [' + "1, " * 2000, '{"a": "' + "x" * 6000, "[" + "[1], " * 2000])
def test_an_element_longer_than_the_limit_is_called_so_where_it_begins(
    element: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("json_stream", "json_window"):
        monkeypatch.setattr(f"xdetr_data.sources.framing.{module}.MAX_ELEMENT_BYTES", 1000)
    path = tmp_path / "a.json"
    path.write_text(f'[{{"a": 1}}, {element}')
    with pytest.raises(InputError, match="byte 11: an element is longer than"):
        list(iter_whole_array_chunks(str(path), chunk_bytes=100))
