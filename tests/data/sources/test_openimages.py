import csv
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.csv_rows import CsvRows
from xdetr_data.sources.framing.files import ArrayChunk
from xdetr_data.sources.openimages import (
    BOX_SCHEMA,
    COORDINATES,
    FLAGS,
    parse_boxes,
    read_chunks,
    read_class_names,
    read_header,
)

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures")) / "openimages"
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="the fixtures are not here (XDETR_FIXTURES)")

COLUMNS = ["ImageID", "Source", "LabelName", "Confidence", *COORDINATES, *FLAGS]
CLICKS = [f"XClick{number}{axis}" for number in range(1, 5) for axis in "XY"]
ROW = "001143f413f62634,xclick,/m/031n1,1,0.518762,0.669794,0.949375,0.999375,0,1,0,-1,0"


def parse(*lines: str | bytes, columns: list[str] = COLUMNS, first_row: int = 1, end: bytes = b"\n") -> CsvRows:
    data = b"".join((line if isinstance(line, bytes) else line.encode()) + end for line in lines)
    chunk = ArrayChunk(name="lines", offset=0, first_row=first_row, count=data.count(b"\n"), data=data)
    return parse_boxes(chunk, columns)


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_row_is_typed():
    (row,) = parse(ROW).table.to_pylist()
    assert row == {
        "ImageID": "001143f413f62634",
        "LabelName": "/m/031n1",
        "Source": "xclick",
        "XMin": 0.518762,
        "XMax": 0.669794,
        "YMin": 0.949375,
        "YMax": 0.999375,
        "IsOccluded": 0,
        "IsTruncated": 1,
        "IsGroupOf": 0,
        "IsDepiction": -1,
        "IsInside": 0,
    }


def test_both_column_sets_and_any_order_of_columns_read_the_same():
    plain = parse(ROW)
    clicked = parse(ROW + ",0.5" * 8, columns=COLUMNS + CLICKS)
    turned = parse(",".join(reversed(ROW.split(","))), columns=COLUMNS[::-1])
    assert plain.table == clicked.table == turned.table


def test_an_empty_flag_is_an_unknown_flag():
    (row,) = parse(ROW.replace("-1", "")).table.to_pylist()
    assert row["IsDepiction"] == -1


def test_missing_flag_columns_are_unknown_flags():
    rows = parse("a,/m/1,0.1,0.2,0.3,0.4", columns=["ImageID", "LabelName", *COORDINATES])
    assert rows.table.schema == BOX_SCHEMA
    (row,) = rows.table.to_pylist()
    assert [row[flag] for flag in FLAGS] == [-1] * 5
    assert row["Source"] == ""


def test_one_bad_value_takes_no_other_row_with_it():
    rows = parse(ROW, ROW.replace("0.518762", "left"), ROW.replace(",xclick", ""), "", ROW, first_row=7)
    assert rows.line.tolist() == [7, 10, 11]
    assert rows.problems == [(8, "XMin 'left' is no number"), (9, "12 fields, not 13")]
    assert rows.table["ImageID"].to_pylist() == ["001143f413f62634", "", "001143f413f62634"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (ROW.replace("-1", "300"), "IsDepiction '300' is no flag"),
        (ROW.replace("-1", "maybe"), "IsDepiction 'maybe' is no flag"),
        (ROW.replace("-1", "0.5"), "IsDepiction '0.5' is no flag"),
        (ROW.replace("0.518762", "0_1"), "XMin '0_1' is no number"),
        (ROW.encode().replace(b"xclick", b"\xff"), "'utf-8' codec can't decode byte 0xff in position 17"),
        (ROW + ",more", "14 fields, not 13"),
        ('"' + ROW, "1 fields, not 13"),
    ],
)
def test_what_is_no_row_is_a_problem_with_its_line(line, problem):
    rows = parse(ROW, line, ROW)
    assert rows.line.tolist() == [1, 3]
    ((number, said),) = rows.problems
    assert (number, said[: len(problem)]) == (2, problem)


def test_quoted_values_and_windows_line_ends_are_read():
    quoted = ",".join(f'"{value}"' for value in ROW.split(","))
    assert parse(quoted, quoted).table == parse(ROW, ROW).table
    assert parse(ROW, ROW, end=b"\r\n").table == parse(ROW, ROW).table


def test_a_line_end_of_another_kind_inside_a_line_is_a_problem_and_not_two_rows():
    rows = parse(f"{ROW}\r{ROW}", ROW)
    assert [number for number, _ in rows.problems] == [1]
    assert rows.line.tolist() == [2]


def test_numbers_that_are_none_stay_to_be_judged():
    rows = parse(ROW.replace("0.518762", "nan").replace("0.669794", "").replace("0.949375", "-inf"))
    (row,) = rows.table.to_pylist()
    assert math.isnan(row["XMin"])
    assert row["XMax"] is None
    assert row["YMin"] == -math.inf


_FIELD = st.sampled_from(
    ["", "0", "1", "-1", "0.25", "1e-3", "nan", "abc", " 0.5 ", '"x"', "300", "+1"]
)  # pyarrow reads 0x1 as well, which no file has


@given(st.lists(st.lists(_FIELD, min_size=12, max_size=14).map(",".join), min_size=1, max_size=6))
def test_every_line_is_a_row_or_a_problem(lines):
    rows = parse(*lines, first_row=5)
    accounted = sorted([*rows.line.tolist(), *(number for number, _ in rows.problems)])
    assert accounted == list(range(5, 5 + len(lines)))
    assert rows.table.num_rows == len(rows.line)


@given(st.lists(st.lists(_FIELD, min_size=13, max_size=13).map(",".join), min_size=1, max_size=6))
def test_a_bad_row_beside_it_changes_no_row(lines):
    alone = [parse(line) for line in lines]
    together = parse(*lines)
    assert together.table.to_pylist().__repr__() == [row for one in alone for row in one.table.to_pylist()].__repr__()


def test_chunks_leave_the_header_out_and_count_lines_from_it(tmp_path):
    path = write(tmp_path / "b.csv", ",".join(COLUMNS), *[ROW] * 10)
    chunks = list(read_chunks(path, chunk_bytes=200))
    assert len(chunks) > 1
    assert chunks[0].first_row == 1
    assert chunks[0].offset == len(",".join(COLUMNS)) + 1
    assert sum(chunk.count for chunk in chunks) == 10
    lines = [line for chunk in chunks for line in parse_boxes(chunk, read_header(path)).line.tolist()]
    assert lines == list(range(1, 11))


def test_a_file_of_a_header_alone_has_no_rows(tmp_path):
    assert list(read_chunks(write(tmp_path / "b.csv", ",".join(COLUMNS)))) == []


@pytest.mark.parametrize("missing", ["ImageID", "LabelName", *COORDINATES])
def test_another_file_is_refused_by_the_column_it_lacks(tmp_path, missing):
    path = write(tmp_path / "b.csv", ",".join(name for name in COLUMNS if name != missing))
    with pytest.raises(InputError, match=f"has no column '{missing}'"):
        read_header(path)


def test_a_column_that_occurs_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="more than one column 'XMin'"):
        read_header(write(tmp_path / "b.csv", ",".join([*COLUMNS, "XMin"])))


def test_class_names_are_read_and_other_files_refused(tmp_path):
    path = write(tmp_path / "c.csv", "/m/011k07,Tortoise", '/m/1,"Cat, big"')
    assert read_class_names(path) == {"/m/011k07": "Tortoise", "/m/1": "Cat, big"}
    with pytest.raises(InputError, match="line 1: 13 fields"):
        read_class_names(write(tmp_path / "d.csv", ROW))
    with pytest.raises(InputError, match="holds no class name"):
        read_class_names(write(tmp_path / "e.csv", ""))


@needs_fixtures
def test_the_damaged_file_goes_through_with_every_row_accounted():
    path = str(FIXTURES / "corrupt_empty_rows.csv")
    columns = read_header(path)
    rows = [parse_boxes(chunk, columns) for chunk in read_chunks(path)]
    lines = [line for one in rows for line in one.line.tolist()]
    assert lines == list(range(1, len(Path(path).read_text().splitlines())))
    assert {image for one in rows for image in one.table["ImageID"].to_pylist()} == {""}
    assert not any(one.problems for one in rows)


@needs_fixtures
@pytest.mark.parametrize("name", ["train-annotations-bbox.csv", "test-annotations-bbox.csv"])
def test_real_rows_read_the_same_as_with_the_standard_library(name):
    path = str(FIXTURES / name)
    columns = read_header(path)
    rows = [
        row for chunk in read_chunks(path, chunk_bytes=1000) for row in parse_boxes(chunk, columns).table.to_pylist()
    ]
    with open(path, newline="") as file:
        plain = list(csv.DictReader(file))
    assert len(rows) == len(plain)
    for row, text in zip(rows, plain, strict=True):
        for column, value in row.items():
            assert value == type(value)(text[column])


@needs_fixtures
def test_the_real_class_names_are_601():
    names = read_class_names(str(FIXTURES / "class-descriptions-boxable.csv"))
    assert len(names) == 601
    assert names["/m/011k07"] == "Tortoise"


def test_a_short_row_that_is_no_text_is_a_problem_and_no_noise(capfd: pytest.CaptureFixture[str]):
    found = parse(ROW, b"b,caf\xe9,/m/1,1", ROW)
    assert found.table.num_rows == 2
    assert [line for line, _ in found.problems] == [2]
    assert capfd.readouterr().err == ""
