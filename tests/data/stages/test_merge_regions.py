"""One object is one region: every phrase keeps its boxes up to the IoU, and one annotator's boxes stay apart."""

import tracemalloc
from random import Random
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import boxes_xyxy
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.record import Region
from xdetr_data.stages.merge_regions import merge_regions

BALL, BALL_AGAIN, BOX = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 9.0), (20.0, 0.0, 30.0, 10.0)


def query(*phrases: tuple[str, tuple[Box, ...]], group: str = "g") -> BoxedQuery:
    """A query of phrases of three characters; annotation ids as told, one a box."""
    return BoxedQuery(
        text="abc" * len(phrases),
        group=group,
        source="mixed",
        phrases=tuple(
            BoxedPhrase(
                spans=((3 * i, 3 * i + 3),),
                boxes_xyxy=boxes,
                annotation_ids=tuple(f"{name}{j}" for j in range(len(boxes))),
            )
            for i, (name, boxes) in enumerate(phrases)
        ),
    )


def boxes_of(regions: tuple[Region, ...]) -> list[Box]:
    return [region.box_xyxy for region in regions]


def test_boxes_of_two_queries_around_one_object_become_the_one_met_first() -> None:
    regions, queries = merge_regions([query(("a", (BALL,))), query(("b", (BALL_AGAIN, BOX)))], min_iou=0.75)
    assert boxes_of(regions) == [BALL, BOX]
    assert [phrase.regions for one in queries for phrase in one.phrases] == [(0,), (0, 1)]
    assert regions[0].provenance.annotation_id == "a0"
    assert regions[0].provenance.detail == "also b0"


def test_boxes_that_overlap_less_than_the_rule_are_two_objects() -> None:
    regions, _ = merge_regions([query(("a", (BALL,))), query(("b", (BALL_AGAIN,)))], min_iou=0.91)
    assert boxes_of(regions) == [BALL, BALL_AGAIN]


def test_overlapping_boxes_of_one_query_are_two_objects_unless_equal() -> None:
    regions, (merged,) = merge_regions([query(("a", (BALL, BALL_AGAIN)), ("b", (BALL,)))], min_iou=0.5)
    assert boxes_of(regions) == [BALL, BALL_AGAIN]
    assert [phrase.regions for phrase in merged.phrases] == [(0, 1), (0,)]


def test_a_box_joins_the_region_that_it_overlaps_most() -> None:
    near, nearer = (0.0, 0.0, 10.0, 8.0), (0.0, 0.0, 10.0, 8.9)
    regions, queries = merge_regions([query(("a", (near, nearer))), query(("b", (BALL_AGAIN,)))], min_iou=0.7)
    assert boxes_of(regions) == [near, nearer]
    assert queries[1].phrases[0].regions == (1,)


def test_a_phrase_that_boxes_one_object_twice_names_it_once() -> None:
    _, (merged,) = merge_regions([query(("a", (BALL, BALL)))], min_iou=0.75)
    assert merged.phrases[0].regions == (0,)
    assert merged.phrases[0].provenance.annotation_id == "a0 a1"


def test_nothing_makes_nothing() -> None:
    assert merge_regions([], min_iou=0.5) == ((), ())
    regions, (merged,) = merge_regions([query()], min_iou=0.5)
    assert regions == ()
    assert merged.phrases == ()


CLOSE_BOXES = st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(8, 12)] * 2).map(lambda b: tuple(map(float, b)))
PHRASES = st.lists(st.lists(CLOSE_BOXES | boxes_xyxy(), min_size=1, max_size=3).map(tuple), max_size=3)
QUERIES = st.lists(PHRASES, max_size=5).map(
    lambda found: [
        query(*[(f"q{number}p{i}n", boxes) for i, boxes in enumerate(phrases)], group=f"g{number}")
        for number, phrases in enumerate(found)
    ]
)
MIN_IOU = st.sampled_from([0.3, 0.5, 0.75, 0.95, 1.0])


@given(QUERIES, MIN_IOU)
def test_every_box_of_a_phrase_is_one_of_its_regions_up_to_the_iou(queries: list[BoxedQuery], min_iou: float) -> None:
    regions, merged = merge_regions(queries, min_iou=min_iou)
    for before, after in zip(queries, merged, strict=True):
        assert (after.text, after.group) == (before.text, before.group)
        for old, new in zip(before.phrases, after.phrases, strict=True):
            assert new.spans == old.spans
            assert new.provenance.annotation_id.split() == list(old.annotation_ids)
            named = [regions[index].box_xyxy for index in new.regions]
            assert len(set(named)) == len(named) <= len(old.boxes_xyxy)
            for box in old.boxes_xyxy:
                assert box in named or iou_matrix_xyxy([box], named).max() >= min_iou
            for box in named:
                assert box in old.boxes_xyxy or iou_matrix_xyxy([box], list(old.boxes_xyxy)).max() >= min_iou


@given(QUERIES, MIN_IOU)
def test_two_different_boxes_of_one_query_are_never_one_region(queries: list[BoxedQuery], min_iou: float) -> None:
    _, merged = merge_regions(queries, min_iou=min_iou)
    for before, after in zip(queries, merged, strict=True):
        boxes = {box for phrase in before.phrases for box in phrase.boxes_xyxy}
        assert len({index for phrase in after.phrases for index in phrase.regions}) == len(boxes)


@given(QUERIES, MIN_IOU)
def test_every_region_is_a_box_of_the_inputs_that_some_phrase_names_and_says_whose_it_is(
    queries: list[BoxedQuery], min_iou: float
) -> None:
    regions, merged = merge_regions(queries, min_iou=min_iou)
    box_of = {
        annotation_id: box
        for one in queries
        for phrase in one.phrases
        for annotation_id, box in zip(phrase.annotation_ids, phrase.boxes_xyxy, strict=True)
    }
    assert {i for one in merged for phrase in one.phrases for i in phrase.regions} == set(range(len(regions)))
    told: list[str] = []
    for region in regions:
        assert box_of[region.provenance.annotation_id] == region.box_xyxy
        told += [region.provenance.annotation_id, *region.provenance.detail.removeprefix("also ").split()]
    assert sorted(told) == sorted(box_of)


@given(QUERIES, st.randoms(use_true_random=False))
def test_with_equal_boxes_only_the_order_of_queries_does_not_matter(queries: list[BoxedQuery], random: Random) -> None:
    shuffled = list(queries)
    random.shuffle(shuffled)

    def named(order: list[BoxedQuery]) -> dict[str, list[list[Box]]]:
        regions, merged = merge_regions(order, min_iou=1.0)
        return {one.group: [[regions[i].box_xyxy for i in p.regions] for p in one.phrases] for one in merged}

    assert named(shuffled) == named(queries)


@pytest.mark.parametrize("min_iou", [0.5, 1.0])
def test_regions_come_in_the_order_of_their_first_mention(min_iou: float) -> None:
    regions, _ = merge_regions([query(("a", (BOX,))), query(("b", (BALL, BOX)))], min_iou=min_iou)
    assert boxes_of(regions) == [BOX, BALL]


@given(QUERIES, MIN_IOU, st.integers(1, 40))
def test_how_many_boxes_are_compared_at_a_time_changes_nothing(
    queries: list[BoxedQuery], min_iou: float, cells: int
) -> None:
    with patch("xdetr_data.stages.merge_regions.CELLS_AT_A_TIME", cells):
        in_parts = merge_regions(queries, min_iou=min_iou)
    assert in_parts == merge_regions(queries, min_iou=min_iou)


def test_a_photo_of_thousands_of_boxes_takes_no_table_of_them_all() -> None:
    many = [query((f"a{n}", ((float(n), 0.0, n + 1.0, 1.0),)), group=f"g{n}") for n in range(6000)]
    tracemalloc.start()
    regions, _ = merge_regions(many, min_iou=0.75)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(regions) == 6000
    assert peak < 100 << 20  # of all pairs one table alone would take 288 MB


def test_of_the_boxes_of_one_object_the_first_in_the_order_is_kept_and_all_are_named() -> None:
    loose, tight = query(("v", (BALL,))), query(("c", (BALL_AGAIN,)))
    queries = [msgspec.structs.replace(loose, source="vg"), msgspec.structs.replace(tight, source="coco")]
    for order, box, source, detail in (
        ((), BALL, "vg", "also c0"),
        (("coco", "vg"), BALL_AGAIN, "coco", "also v0"),
        (("vg",), BALL, "vg", "also c0"),
    ):
        (region,), merged = merge_regions(queries, min_iou=0.75, order=order)
        assert (region.box_xyxy, region.provenance.source, region.provenance.detail) == (box, source, detail)
        assert [phrase.provenance.source for one in merged for phrase in one.phrases] == ["vg", "coco"]
