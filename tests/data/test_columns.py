"""Records out of label columns: the same as row by row, and what is no record is told by the reference."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import grounded_images
from xdetr_data.errors import RecordError
from xdetr_data.record import GroundedImage
from xdetr_data.schema import MASKLESS_ARROW_SCHEMA, SAMPLE_ARROW_SCHEMA, from_arrow, to_arrow, to_row
from xdetr_data.shards import columns
from xdetr_data.shards.columns import records_of, table_of


def batch_of(records: list[GroundedImage]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([to_row(one) for one in records], schema=SAMPLE_ARROW_SCHEMA)


def a_record() -> GroundedImage:
    row = {
        "schema": 1,
        "key": "coco_1",
        "image": {"file_name": "1.jpg", "source": "coco", "height": 10, "width": 10, "sha256": None},
        "regions": [{"box_xyxy": [0, 0, 5, 5], "is_crowd": False, "provenance": {"source": "s"}}],
        "queries": [
            {
                "text": "a dog",
                "group": "",
                "is_exhaustive": False,
                "phrases": [{"spans": [[2, 5]], "regions": [0], "score": None, "provenance": {"source": "s"}}],
            }
        ],
    }
    for one in (*row["regions"], *row["queries"][0]["phrases"]):  # type: ignore[index,misc]
        one["provenance"] |= {"annotation_id": "", "detail": ""}
    return from_arrow(pa.Table.from_pylist([row], schema=SAMPLE_ARROW_SCHEMA))[0]


@given(st.lists(grounded_images(), max_size=4), st.data())
def test_records_are_those_of_the_reference_also_of_a_part(records: list[GroundedImage], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(records)))
    end = data.draw(st.integers(begin, len(records)))
    part = batch_of(records).slice(begin, end - begin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "from_arrow", None)  # it is not asked
        assert records_of(part) == records[begin:end]
    assert from_arrow(to_arrow(records[begin:end])) == records[begin:end]


@given(st.lists(grounded_images(), max_size=4))
def test_columns_of_records_are_those_of_the_reference(records: list[GroundedImage]) -> None:
    table = table_of(records)
    table.validate(full=True)
    assert table.equals(to_arrow(records))


def test_a_dataset_from_before_there_were_masks_is_read() -> None:
    row = to_row(a_record())
    assert records_of(pa.RecordBatch.from_pylist([row], schema=MASKLESS_ARROW_SCHEMA)) == [a_record()]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("image", "height"), 0),
        (("image", "source"), None),
        (("regions",), None),
        (("regions",), [None]),
        (("regions", 0, "box_xyxy"), [5, 0, 0, 5]),
        (("regions", 0, "box_xyxy"), [0, 0, None, 5]),
        (("queries", 0, "text"), None),
        (("queries", 0, "phrases"), None),
        (("queries", 0, "phrases", 0, "spans"), [[2, 50]]),
        (("queries", 0, "phrases", 0, "regions"), [7]),
        (("queries", 0, "phrases", 0, "provenance", "detail"), None),
    ],
    ids=str,
)
def test_what_is_no_record_is_refused_as_the_reference_says_it(path: tuple[str | int, ...], value: object) -> None:
    row = to_row(a_record())
    place = row
    for step in path[:-1]:
        place = place[step]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    batch = pa.RecordBatch.from_pylist([row], schema=SAMPLE_ARROW_SCHEMA)
    told = [_refused(lambda: from_arrow(pa.Table.from_batches([batch]))), _refused(lambda: records_of(batch))]
    assert told[0] == told[1]


def _refused(read: Callable[[], object]) -> str:
    with pytest.raises(RecordError) as caught:
        read()
    return str(caught.value)
