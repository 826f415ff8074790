"""From a photo's candidates to its labels: every path, with known boxes."""

import pyarrow as pa
import pytest

from pipelines.labelling.label import label_photo
from pipelines.labelling.options import LabelOptions
from xdetr_data.boxed import LooseBox
from xdetr_data.record import ImageRef
from xdetr_data.shards.grounded import (
    Candidate,
    GroundedPhoto,
    GroundedPhrase,
    GroundedQuery,
    grounded_from_arrow,
    grounded_to_arrow,
)

DOG, DOG_AGAIN, CAT, SKY = (
    (0.0, 0.0, 40.0, 40.0),
    (1.0, 1.0, 40.0, 40.0),
    (50.0, 50.0, 90.0, 90.0),
    (0.0, 0.0, 100.0, 20.0),
)


def candidate(box, score, agreement=None):
    return Candidate(box_xyxy=box, score=score, agreement=agreement)


def phrase(begin, end, *candidates, is_plural=False, count=None, fit="whole"):
    return GroundedPhrase(
        spans=((begin, end),), head="x", is_plural=is_plural, count=count, fit=fit, candidates=candidates
    )


def photo(*queries, boxes=()):
    image = ImageRef(file_name="a.jpg", source="openimages", size_hw=(100, 100), sha256="0" * 64)
    return GroundedPhoto(key="openimages_a", address="/a.jpg", image=image, queries=queries, boxes=boxes)


def rule(*, merge_iou=0.75, dedupe_iou=0.7, **selection):
    return LabelOptions(**selection, merge_iou=merge_iou, dedupe_iou=dedupe_iou)


ANIMALS = GroundedQuery(
    text="dogs and a cat",
    group="narratives#L1",
    phrases=(
        phrase(0, 4, candidate(DOG, 0.9, 0.2), candidate(CAT, 0.6, 0.9), is_plural=True),
        phrase(9, 14, candidate(CAT, 0.8, 0.9), candidate(DOG, 0.1, 0.2)),
    ),
)


def labels(outcome):
    record = outcome.record
    return [[[record.regions[i].box_xyxy for i in one.regions] for one in query.phrases] for query in record.queries]


def test_paper_gives_every_phrase_its_best_box():
    assert labels(label_photo(photo(ANIMALS), rule())) == [[[DOG], [CAT]]]


def test_multi_gives_a_plural_its_boxes():
    assert labels(label_photo(photo(ANIMALS), rule(method="multi"))) == [[[DOG, CAT], [CAT]]]


def test_filter_prefers_where_the_speaker_pointed():
    outcome = label_photo(photo(ANIMALS), rule(trace="filter", min_agreement=0.5))
    assert labels(outcome) == [[[CAT], [CAT]]]


@pytest.mark.parametrize(("trace", "detail"), [("off", ""), ("score", "trace 0.2000"), ("filter", "trace 0.2000")])
def test_the_agreement_of_a_label_is_noted_where_the_trace_counts(trace, detail):
    outcome = label_photo(photo(ANIMALS), rule(trace=trace, trace_weight=0.0))
    first = outcome.record.queries[0].phrases[0]
    assert first.score == 0.9
    assert first.provenance.annotation_id == "candidate-0"
    assert first.provenance.detail == detail


def test_a_phrase_without_a_label_is_a_reject_with_its_words():
    query = GroundedQuery(text="a dog", group="narratives#L1", phrases=(phrase(0, 5, fit="truncated"),))
    outcome = label_photo(photo(query), rule())
    (reject,) = outcome.rejects
    assert (reject.unit, reject.reason, reject.input_ref) == ("phrase", "no-candidate", "narratives#L1")
    assert "'a dog'" in reject.detail
    assert "truncated" in reject.detail
    assert outcome.record.queries[0].phrases == ()


def test_one_object_of_two_sentences_is_one_region():
    again = GroundedQuery(text="a dog", group="narratives#L2", phrases=(phrase(0, 5, candidate(DOG_AGAIN, 0.7)),))
    outcome = label_photo(photo(ANIMALS, again), rule())
    assert labels(outcome) == [[[DOG], [CAT]], [[DOG]]]
    assert len(outcome.record.regions) == 2


def test_textless_boxes_join_unless_they_repeat_a_label():
    boxes = tuple(
        LooseBox(box_xyxy=box, is_crowd=False, source="boxes", annotation_id=str(i))
        for i, box in enumerate((DOG_AGAIN, SKY))
    )
    outcome = label_photo(photo(ANIMALS, boxes=boxes), rule(box_order=("*",)))
    assert [region.box_xyxy for region in outcome.record.regions] == [DOG, CAT, SKY]
    assert [(reject.unit, reject.reason) for reject in outcome.rejects] == [("box", "duplicate-of-region")]
    assert outcome.used == {"phrase": 2, "photo": 1, "box": 1}


def test_the_audit_trail_comes_back_from_arrow_as_it_was():
    boxes = (LooseBox(box_xyxy=SKY, is_crowd=True, source="boxes", annotation_id="L2", detail="Sky"),)
    photos = [photo(ANIMALS, boxes=boxes), photo()]
    table = grounded_to_arrow(photos)
    assert grounded_from_arrow(pa.Table.from_batches(table.to_batches(), table.schema)) == photos
