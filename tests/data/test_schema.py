import json
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.strategies import grounded_images, rejects
from xdetr_data.errors import RecordError
from xdetr_data.record import KEY, GroundedImage, ImageRef, Rejected
from xdetr_data.schema import (
    REJECTED_ARROW_SCHEMA,
    SAMPLE_ARROW_SCHEMA,
    SCHEMA_VERSION,
    from_arrow,
    from_json,
    rejects_to_arrow,
    rows_of,
    sample_json_schema,
    to_arrow,
    to_json,
    to_row,
)

PUBLISHED = Path(__file__).parents[2] / "docs" / "sample.schema.json"
VALIDATOR = Draft202012Validator(sample_json_schema())
SAMPLE = GroundedImage(key="key", image=ImageRef(file_name="a.jpg", source="coco", size_hw=(3, 4)))


@given(grounded_images())
def test_json_round_trip_is_the_identity_in_both_directions(sample: GroundedImage) -> None:
    data = to_json(sample)
    assert from_json(data) == sample
    assert to_json(from_json(data)) == data


@given(st.lists(grounded_images(), max_size=5))
def test_arrow_round_trip_is_the_identity(samples: list[GroundedImage]) -> None:
    table = to_arrow(samples)
    assert table.schema.equals(SAMPLE_ARROW_SCHEMA)
    assert from_arrow(table) == samples


@given(grounded_images())
def test_an_arrow_row_as_json_is_the_samples_json_byte_for_byte(sample: GroundedImage) -> None:
    assert msgspec.json.encode(rows_of(to_arrow([sample]))[0]) == to_json(sample)
    assert msgspec.json.encode(to_row(sample)) == to_json(sample)


@given(grounded_images())
@settings(max_examples=50)
def test_what_is_written_conforms_to_the_published_schema(sample: GroundedImage) -> None:
    VALIDATOR.validate(json.loads(to_json(sample)))


def test_the_published_schema_is_up_to_date() -> None:
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(sample_json_schema())), (
        "run: python -m xdetr_data.schema > docs/sample.schema.json"
    )


def test_the_published_schema_is_a_schema_of_its_stated_dialect() -> None:
    schema = sample_json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_fields_stand_in_the_published_order() -> None:
    assert list(json.loads(to_json(SAMPLE))) == ["schema", "key", "image", "regions", "queries"]
    assert json.loads(to_json(SAMPLE))["schema"] == SCHEMA_VERSION


@given(st.text(max_size=4))
def test_schema_and_record_have_one_opinion_of_keys(key: str) -> None:
    conforms = VALIDATOR.is_valid({**json.loads(to_json(SAMPLE)), "key": key})
    assert conforms or not KEY.fullmatch(key)
    assert not conforms or KEY.fullmatch(key.rstrip("\n"))


@given(st.binary(max_size=30) | st.text(max_size=30).map(str.encode))
def test_anything_else_is_refused_with_a_record_error(data: bytes) -> None:
    with pytest.raises(RecordError, match="not a sample"):
        from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2}, {"schema": "1"}, {"key": 5}, {"key": "a.b"}, {"colour": 1}, {"image": None}, {"regions": None},
        {"regions": [{}]}, {"queries": [{"text": "a"}]}, {"image": {"file_name": "a"}},
    ],
)  # fmt: skip
def test_other_fields_types_or_versions_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(RecordError):
        from_json(json.dumps({**json.loads(to_json(SAMPLE)), **change}))


@given(grounded_images(), st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_gives_another_sample_or_a_record_error(sample: GroundedImage, place: int, byte: int) -> None:
    data = bytearray(to_json(sample))
    data[place % len(data)] = byte
    try:
        changed = from_json(bytes(data))
    except RecordError:
        return
    assert to_json(changed) is not None


def test_rows_that_are_no_samples_are_refused() -> None:
    row = to_row(SAMPLE)
    row["image"]["width"] = None
    with pytest.raises(RecordError, match="not rows of schema"):
        from_arrow(pa.Table.from_pylist([row], schema=SAMPLE_ARROW_SCHEMA))


@given(st.lists(rejects(), max_size=4))
def test_rejects_keep_every_field(drops: list[Rejected]) -> None:
    table = rejects_to_arrow(drops)
    assert table.schema.equals(REJECTED_ARROW_SCHEMA)
    assert [msgspec.convert(row, Rejected) for row in table.to_pylist()] == drops
