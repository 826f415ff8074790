"""Boxes that no text names become class-agnostic regions, unless they are an object that is there already."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import boxes_xyxy
from xdetr_data.boxed import LooseBox
from xdetr_data.boxes import Box, iou_matrix_xyxy
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.stages.merge_boxes import merge_boxes

SIZE_HW = (1000, 1000)
BALL, NEARLY, APART = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 8.0), (20.0, 20.0, 30.0, 30.0)
WHO = Provenance(source="mixed", annotation_id="1")


def photo(*boxes: Box, crowds: tuple[Box, ...] = ()) -> GroundedImage:
    """A photo whose regions are named by one phrase."""
    regions = tuple(Region(box_xyxy=box, is_crowd=box in crowds, provenance=WHO) for box in (*boxes, *crowds))
    phrase = Phrase(spans=((0, 3),), regions=tuple(range(len(regions))), provenance=WHO)
    return GroundedImage(
        key="coco_1",
        image=ImageRef(file_name="1.jpg", source="coco", size_hw=SIZE_HW),
        regions=regions,
        queries=(Query(text="all of them", group="g", phrases=(phrase,)),),
    )


def loose(box: Box, number: int = 7, *, is_crowd: bool = False) -> LooseBox:
    return LooseBox(
        box_xyxy=box,
        is_crowd=is_crowd,
        source="instances",
        annotation_id=str(number),
        input_ref=f"instances#annotations[{number}]",
    )


def test_a_box_of_a_new_object_is_appended_without_text() -> None:
    merged, rejects = merge_boxes(photo(BALL), [loose(APART)], dedupe_iou=0.7)
    assert rejects == []
    assert merged.regions[1] == Region(box_xyxy=APART, provenance=Provenance(source="instances", annotation_id="7"))
    assert merged.queries == photo(BALL).queries


def test_a_box_of_a_named_object_is_rejected_with_its_place_in_the_input() -> None:
    merged, (reject,) = merge_boxes(photo(BALL), [loose(NEARLY)], dedupe_iou=0.7)
    assert merged == photo(BALL)
    assert (reject.unit, reject.stage, reject.reason) == ("box", "merge_boxes", "duplicate-of-region")
    assert reject.input_ref == "instances#annotations[7]"
    assert reject.detail == "annotation 7 has IoU 0.800 with a region"


def test_exactly_the_rule_is_a_duplicate_and_a_little_less_is_none() -> None:
    assert len(merge_boxes(photo(BALL), [loose(NEARLY)], dedupe_iou=0.8)[1]) == 1
    assert len(merge_boxes(photo(BALL), [loose(NEARLY)], dedupe_iou=0.8001)[1]) == 0


def test_added_boxes_that_overlap_are_two_objects_unless_equal() -> None:
    merged, (reject,) = merge_boxes(photo(), [loose(BALL, 1), loose(NEARLY, 2), loose(BALL, 3)], dedupe_iou=0.5)
    assert [region.box_xyxy for region in merged.regions] == [BALL, NEARLY]
    assert reject.input_ref == "instances#annotations[3]"


def test_crowds_are_compared_with_nothing() -> None:
    merged, rejects = merge_boxes(photo(BALL), [loose(BALL, is_crowd=True)], dedupe_iou=0.5)
    assert rejects == []
    assert merged.regions[1].is_crowd
    merged, rejects = merge_boxes(photo(crowds=(BALL,)), [loose(NEARLY)], dedupe_iou=0.5)
    assert rejects == []
    assert len(merged.regions) == 2


def test_without_boxes_the_sample_is_the_same() -> None:
    sample = photo(BALL)
    assert merge_boxes(sample, [], dedupe_iou=0.5) == (sample, [])


CLOSE = st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(8, 12)] * 2).map(lambda b: tuple(map(float, b)))
BOXES = st.lists(CLOSE | boxes_xyxy(SIZE_HW), max_size=6)


@given(BOXES.map(lambda boxes: photo(*dict.fromkeys(boxes))), BOXES, st.sampled_from([0.3, 0.7, 1.0]))
def test_every_box_is_appended_in_order_or_rejected_and_what_is_added_is_new(
    sample: GroundedImage, boxes: list[Box], dedupe_iou: float
) -> None:
    given_boxes = [loose(box, number) for number, box in enumerate(boxes)]
    merged, rejects = merge_boxes(sample, given_boxes, dedupe_iou=dedupe_iou)
    count = len(sample.regions)
    assert merged.regions[:count] == sample.regions
    assert (merged.key, merged.image, merged.queries) == (sample.key, sample.image, sample.queries)
    added = merged.regions[count:]
    kept = [int(region.provenance.annotation_id) for region in added]
    lost = [int(reject.input_ref.removesuffix("]").rsplit("[", 1)[1]) for reject in rejects]
    assert kept == sorted(kept)
    assert sorted(kept + lost) == list(range(len(boxes)))
    named = [region.box_xyxy for region in sample.regions]
    for region in added:
        assert iou_matrix_xyxy([region.box_xyxy], named).max(initial=0.0) < dedupe_iou
    assert len({region.box_xyxy for region in added}) == len(added)
    for number in lost:
        known = [*named, *(boxes[i] for i in kept if i < number)]
        assert boxes[number] in known or iou_matrix_xyxy([boxes[number]], named).max() >= dedupe_iou


PEOPLE_FIRST = ("*", "grounder")


def labelled_by(source: str, box: Box) -> GroundedImage:
    sample = photo(box)
    region = Region(box_xyxy=box, provenance=Provenance(source=source, annotation_id="c0", detail="also c3"))
    return msgspec.structs.replace(sample, regions=(region,))


def test_a_persons_box_takes_the_place_of_the_models_and_both_are_named() -> None:
    sample = labelled_by("grounder", BALL)
    merged, rejects = merge_boxes(sample, [loose(NEARLY)], dedupe_iou=0.7, order=PEOPLE_FIRST)
    assert rejects == []
    (region,) = merged.regions
    assert region.box_xyxy == NEARLY
    assert region.provenance == Provenance(source="instances", annotation_id="7", detail="also grounder c0 also c3")
    assert merged.queries == sample.queries  # what the phrase names, and who said so


def test_of_equals_and_behind_in_the_order_the_region_stays() -> None:
    for source, order in (("mixed", PEOPLE_FIRST), ("mixed", ("mixed", "instances")), ("grounder", ())):
        sample = labelled_by(source, BALL)
        merged, rejects = merge_boxes(sample, [loose(NEARLY)], dedupe_iou=0.7, order=order)
        assert (merged, len(rejects)) == (sample, 1)


def test_of_several_boxes_around_one_object_the_closest_wins_and_the_others_are_duplicates() -> None:
    nearer, both = (0.0, 0.0, 10.0, 9.5), labelled_by("grounder", BALL)
    merged, rejects = merge_boxes(both, [loose(NEARLY, 1), loose(nearer, 2)], dedupe_iou=0.7, order=PEOPLE_FIRST)
    assert [region.box_xyxy for region in merged.regions] == [nearer]
    assert [reject.input_ref for reject in rejects] == ["instances#annotations[1]"]


def test_a_crowd_takes_nobodys_place() -> None:
    sample = labelled_by("grounder", BALL)
    merged, _ = merge_boxes(sample, [loose(NEARLY, is_crowd=True)], dedupe_iou=0.7, order=PEOPLE_FIRST)
    assert merged.regions[0] == sample.regions[0]
    assert merged.regions[1].is_crowd


@given(BOXES.map(lambda boxes: photo(*dict.fromkeys(boxes))), BOXES)
def test_with_an_order_every_box_is_still_appended_rejected_or_a_regions(
    sample: GroundedImage, boxes: list[Box]
) -> None:
    given_boxes = [loose(box, number) for number, box in enumerate(boxes)]
    merged, rejects = merge_boxes(sample, given_boxes, dedupe_iou=0.5, order=("instances", "*"))
    ids = [region.provenance.annotation_id for region in merged.regions if region.provenance.source == "instances"]
    assert len(ids) == len(set(ids))
    assert len(ids) + len(rejects) == len(boxes)
    assert len(merged.regions) == len(sample.regions) + len(ids) - sum(
        region.provenance.source == "instances" for region in merged.regions[: len(sample.regions)]
    )
