import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.boxed import LooseBox
from xdetr_data.record import Provenance, Region
from xdetr_data.sources.openimages import BOX_SCHEMA
from xdetr_data.stages.place_openimages import REASONS, BadBox, FlagPolicy, judge_boxes, place_boxes

SIZE_HW = (100, 400)
DEFAULT = FlagPolicy()


def table(*rows: dict[str, object]) -> pa.Table:
    plain = {
        "ImageID": "a",
        "LabelName": "/m/1",
        "Source": "xclick",
        "XMin": 0.1,
        "XMax": 0.5,
        "YMin": 0.2,
        "YMax": 0.4,
    }
    flags = dict.fromkeys(["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"], 0)
    return pa.Table.from_pylist([plain | flags | row for row in rows], schema=BOX_SCHEMA)


def place(*rows: dict[str, object], policy: FlagPolicy = DEFAULT, size_hw: tuple[int, int] = SIZE_HW):
    return place_boxes(
        table(*rows),
        size_hw=size_hw,
        policy=policy,
        sources=["train-boxes"] * len(rows),
        annotation_ids=[f"L{i + 2}" for i in range(len(rows))],
        names={"/m/1": "Dog"},
    )


def test_a_box_is_in_pixels_and_says_where_it_is_from():
    (box,) = place({"IsOccluded": 1})
    assert box == LooseBox(
        box_xyxy=(40.0, 20.0, 200.0, 40.0),
        is_crowd=False,
        source="train-boxes",
        annotation_id="L2",
        input_ref="train-boxes#L2",
        detail="Dog (/m/1), xclick, occluded",
    )


def test_a_label_without_a_name_stands_for_itself():
    (box,) = place({"LabelName": "/m/2", "Source": ""})
    assert box.detail == "/m/2"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"XMin": None}, "missing-coordinate"),
        ({"YMax": float("nan")}, "non-finite-box"),
        ({"XMax": float("inf")}, "non-finite-box"),
        ({"XMax": 1.01}, "coordinate-out-of-range"),
        ({"YMin": -0.01}, "coordinate-out-of-range"),
        ({"XMin": 0.6}, "reversed-box"),
        ({"YMin": 0.41}, "reversed-box"),
        ({"XMin": 0.5}, "degenerate-box"),
        ({"XMin": -0.000001, "XMax": 0.0}, "degenerate-box"),
        ({"IsInside": 1}, "inside-box"),
        ({"IsInside": 1, "XMin": None}, "missing-coordinate"),
    ],
)
def test_what_is_no_object_box_is_a_reject_beside_good_ones(row, reason):
    before, bad, after = place({}, row, {})
    assert isinstance(bad, BadBox)
    assert bad.reason == reason
    assert "XMin=" in bad.detail
    assert isinstance(before, LooseBox)
    assert isinstance(after, LooseBox)


def test_occluded_truncated_depicted_and_unknown_stay():
    kept = place({"IsOccluded": 1}, {"IsTruncated": 1}, {"IsDepiction": 1}, {"IsGroupOf": -1, "IsInside": -1})
    assert all(isinstance(box, LooseBox) for box in kept)


def test_the_policy_decides():
    other = FlagPolicy(group_of="drop", inside="keep", occluded="drop", truncated="drop", depiction="drop")
    rows = [{"IsInside": 1}, {"IsGroupOf": 1}, {"IsOccluded": 1}, {"IsTruncated": 1}, {"IsDepiction": 1}]
    inside, *dropped = place(*rows, policy=other)
    assert not inside.is_crowd
    assert [box.reason for box in dropped] == ["group-of-box", "occluded-box", "truncated-box", "depiction-box"]


def test_a_group_is_a_crowd():
    (group,) = place({"IsGroupOf": 1})
    assert group.is_crowd


_COORDINATE = st.one_of(
    st.none(), st.floats(), st.floats(-0.000002, 1.000002), st.sampled_from([0.0, 0.5, 1.0, 1.0000005])
)


@given(st.lists(st.tuples(*[_COORDINATE] * 4), min_size=1, max_size=5), st.tuples(*[st.integers(1, 5000)] * 2))
def test_whatever_is_placed_is_a_region_on_its_photo(rows, size_hw):
    placed = place(*(dict(zip(("XMin", "XMax", "YMin", "YMax"), row, strict=True)) for row in rows), size_hw=size_hw)
    for box in placed:
        if isinstance(box, LooseBox):
            Region(box_xyxy=box.box_xyxy, provenance=Provenance(source="x"))
            assert 0 <= box.box_xyxy[0] < box.box_xyxy[2] <= size_hw[1]
            assert 0 <= box.box_xyxy[1] < box.box_xyxy[3] <= size_hw[0]
        else:
            assert box.reason in REASONS[1:]


def test_no_rows_are_no_verdicts():
    assert judge_boxes(table(), FlagPolicy()).tolist() == []
    assert place() == []
