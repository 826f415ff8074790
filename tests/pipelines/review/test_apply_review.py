"""A reviewer's decision changes the label that it is about, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.qa.shown import BOXES, TEXTS, record
from tests.strategies import grounded_images
from xdetr_data.boxes import Box
from xdetr_data.record import GroundedImage, Phrase
from xdetr_data.reviewing.decisions import Action, Decision
from xdetr_data.schema import from_json, to_json
from xdetr_data.spans import span_text
from xdetr_data.stages.apply_review import Review, apply_review

SCORED, PEOPLES = record(2), record(3)
BALL, BOX_ONE, BOX_TWO, SAME_BALL, LAMP, TEXTLESS = (
    (0, 0, 0), (0, 1, 1), (0, 1, 2), (1, 0, 0), (1, 1, None), (None, None, 3),
)  # fmt: skip


def decide(place: Sequence[int | None], action: Action, **more: Any) -> Decision:
    query, phrase, region = place
    return Decision(
        key="k", sample_sha256="", query=query, phrase=phrase, region=region, action=action, text="it", **more
    )


def labels(one: GroundedImage) -> list[tuple[str, tuple[Box, ...]]]:
    """Every phrase in its words, with its boxes; then the textless boxes."""
    found = [
        (span_text(phrase.spans, query.text), tuple(one.regions[index].box_xyxy for index in phrase.regions))
        for query in one.queries
        for phrase in query.phrases
    ]
    named = {index for query in one.queries for phrase in query.phrases for index in phrase.regions}
    return [*found, ("", tuple(box.box_xyxy for index, box in enumerate(one.regions) if index not in named))]


def reasons(review: Review) -> list[tuple[str, str]]:
    return [(one.unit, one.reason) for one in review.rejects]


RED, BLUE, THE_BALL, A_LAMP, REST = labels(SCORED)
NEW: Box = (4.0, 6.0, 20.0, 20.0)


def test_the_test_s_record_is_what_the_names_say() -> None:
    assert [name for name, _ in labels(SCORED)] == ["red ball", "two blue boxes", "The ball", "a lamp", ""]
    assert labels(SCORED) == labels(PEOPLES)


def test_no_decision_changes_nothing() -> None:
    assert apply_review(SCORED, []) == Review(SCORED)


def test_a_rejected_label_takes_its_phrase_along_and_leaves_the_box_to_others() -> None:
    review = apply_review(SCORED, [decide(BALL, "reject")])
    assert labels(review.record) == [BLUE, THE_BALL, A_LAMP, REST]
    assert reasons(review) == [("label", "reject"), ("phrase", "reject")]
    assert review.applied == 1


def test_a_rejected_label_of_several_leaves_the_others() -> None:
    review = apply_review(SCORED, [decide(BOX_ONE, "reject")])
    assert labels(review.record) == [RED, ("two blue boxes", BOXES[2:3]), THE_BALL, A_LAMP, REST]
    phrase = review.record.queries[0].phrases[1]
    assert (phrase.provenance.source, phrase.provenance.detail) == ("review", "was grounder: reject")
    assert phrase.score == SCORED.queries[0].phrases[1].score


@pytest.mark.parametrize(("one", "textless"), [(SCORED, BOXES[3:]), (PEOPLES, (BOXES[1], BOXES[2], BOXES[3]))])
def test_what_nobody_names_any_more_stays_only_where_people_drew_it(one: GroundedImage, textless: Any) -> None:
    review = apply_review(one, [decide(BOX_ONE, "reject"), decide(BOX_TWO, "reject")])
    assert labels(review.record) == [RED, THE_BALL, A_LAMP, ("", textless)]


def test_a_wrong_box_goes_and_the_phrase_stays_without() -> None:
    review = apply_review(PEOPLES, [decide(BALL, "wrong-box"), decide(SAME_BALL, "wrong-box")])
    assert labels(review.record) == [("red ball", ()), BLUE, ("The ball", ()), A_LAMP, REST]
    assert [query.is_exhaustive for query in PEOPLES.queries] == [True, False]
    assert [query.is_exhaustive for query in review.record.queries] == [False, False]
    assert ("box", "wrong-box") in reasons(review)


def test_an_edited_box_is_of_its_phrase_alone_where_another_names_the_old_one() -> None:
    review = apply_review(SCORED, [decide(BALL, "edit-box", box_xyxy=NEW)])
    assert labels(review.record) == [("red ball", (NEW,)), BLUE, THE_BALL, A_LAMP, REST]
    phrase = review.record.queries[0].phrases[0]
    assert phrase.score is None
    region = review.record.regions[phrase.regions[0]]
    assert (region.provenance.source, region.provenance.detail) == ("review", "was grounder: edit-box")
    assert reasons(review) == []
    assert review.regions_made == 1


def test_an_edited_box_replaces_the_old_one_where_no_other_phrase_names_it() -> None:
    review = apply_review(SCORED, [decide(BOX_ONE, "edit-box", box_xyxy=NEW)])
    assert labels(review.record) == [RED, ("two blue boxes", (NEW, BOXES[2])), THE_BALL, A_LAMP, REST]
    assert reasons(review) == [("box", "moved")]
    assert len(review.record.regions) == len(SCORED.regions)


def test_the_same_edit_for_both_phrases_of_a_box_is_one_region() -> None:
    review = apply_review(SCORED, [decide(place, "edit-box", box_xyxy=NEW) for place in (BALL, SAME_BALL)])
    assert labels(review.record) == [("red ball", (NEW,)), BLUE, ("The ball", (NEW,)), A_LAMP, REST]
    assert len(review.record.regions) == len(SCORED.regions)


def test_an_edited_box_ends_at_the_photo_s_edge() -> None:
    review = apply_review(SCORED, [decide(TEXTLESS, "edit-box", box_xyxy=(-5.0, 10.0, 500.0, 50.0))])
    assert labels(review.record)[-1] == ("", ((0.0, 10.0, 97.0, 50.0),))


def test_an_edited_label_moves_to_other_words_of_its_sentence() -> None:
    review = apply_review(SCORED, [decide(BALL, "edit-label", label="A  RED ball ")])
    assert labels(review.record) == [("A red ball", RED[1]), *labels(SCORED)[1:]]
    assert review.record.queries[0].phrases[0].spans == ((0, 10),)
    assert reasons(review) == []


def test_one_box_of_several_moves_alone_and_joins_a_phrase_that_has_the_words() -> None:
    review = apply_review(SCORED, [decide(BOX_ONE, "edit-label", label="red ball")])
    assert labels(review.record)[:2] == [("red ball", (BOXES[0], BOXES[1])), ("two blue boxes", BOXES[2:3])]
    alone = apply_review(SCORED, [decide(BOX_ONE, "edit-label", label="blue boxes")])
    assert labels(alone.record)[:3] == [RED, ("two blue boxes", BOXES[2:3]), ("blue boxes", BOXES[1:2])]
    assert (alone.phrases_made, review.phrases_made) == (1, 1)
    assert reasons(review) == [("phrase", "merged")]


def test_of_equal_words_the_nearest_are_taken_and_only_whole_words_count() -> None:
    assert TEXTS[1].index("lamp") != TEXTS[1].index("The ball")
    review = apply_review(
        SCORED, [decide(LAMP, "edit-label", label="lamp."), decide(SAME_BALL, "edit-label", label="all")]
    )
    assert labels(review.record)[3] == ("lamp", ())
    assert reasons(review) == [("decision", "label-not-in-query")]


def test_a_phrase_without_a_box_can_be_rejected_and_a_textless_box_too() -> None:
    review = apply_review(SCORED, [decide(LAMP, "reject"), decide(TEXTLESS, "wrong-box")])
    assert labels(review.record) == [RED, BLUE, THE_BALL, ("", ())]
    assert review.applied == 2


@pytest.mark.parametrize(
    ("place", "action", "more", "reason"),
    [
        (LAMP, "wrong-box", {}, "no-box"),
        (LAMP, "edit-box", {"box_xyxy": NEW}, "no-box"),
        (BALL, "edit-box", {"box_xyxy": (200.0, 5.0, 210.0, 9.0)}, "box-without-area"),
        (BALL, "edit-box", {"box_xyxy": (5.0, 5.0, float("nan"), 9.0)}, "box-without-area"),
        (BALL, "edit-box", {}, "box-without-area"),
        (BALL, "edit-label", {"label": "green cube"}, "label-not-in-query"),
        (BALL, "edit-label", {"label": " "}, "label-not-in-query"),
        (TEXTLESS, "edit-label", {"label": "red ball"}, "textless-label"),
        ((0, 0, 1), "reject", {}, "no-such-label"),
        ((0, 9, 0), "reject", {}, "no-such-label"),
        ((7, 0, 0), "reject", {}, "no-such-label"),
        ((0, 0, None), "reject", {}, "no-such-label"),
        ((None, None, 0), "reject", {}, "no-such-label"),
        ((None, None, 9), "reject", {}, "no-such-label"),
        ((None, None, None), "reject", {}, "no-such-label"),
        ((None, None, None), "new-label", {}, "new-label"),
    ],
)
def test_what_cannot_be_applied_is_a_reject_with_its_reason(place: Any, action: Any, more: Any, reason: str) -> None:
    review = apply_review(SCORED, [decide(place, action, **more)])
    assert reasons(review) == [("decision", reason)]
    assert review.record is SCORED
    assert review.applied == 0


@pytest.mark.parametrize(
    ("actions", "stands"),
    [
        (("reject", "wrong-box"), "reject"),
        (("wrong-box", "edit-box"), "edit-box"),
        (("reject", "edit-label"), "reject"),
    ],
)
def test_of_contradicting_decisions_one_stands_and_the_other_is_told(actions: Any, stands: Any) -> None:
    more: dict[str, Any] = {"edit-box": {"box_xyxy": NEW}, "edit-label": {"label": "ball"}}
    both = apply_review(SCORED, [decide(BALL, action, **more.get(action, {})) for action in actions])
    alone = apply_review(SCORED, [decide(BALL, stands, **more.get(stands, {}))])
    assert both.record == alone.record
    assert ("decision", "overruled") in reasons(both)
    assert both.applied == 1


def test_a_second_review_remembers_the_first() -> None:
    once = apply_review(SCORED, [decide(BOX_ONE, "reject")]).record
    place = (0, 1, once.queries[0].phrases[1].regions[0])
    twice = apply_review(once, [decide(place, "edit-box", box_xyxy=NEW)]).record
    assert twice.queries[0].phrases[1].provenance.detail == "was grounder: reject; edit-box"


@st.composite
def reviews(draw: st.DrawFn) -> tuple[GroundedImage, list[Decision]]:
    one = draw(grounded_images())
    index = st.none() | st.integers(0, 3)
    decisions = draw(
        st.lists(
            st.builds(
                decide,
                st.tuples(index, index, index),
                st.sampled_from(["reject", "wrong-box", "edit-box", "edit-label", "new-label"]),
                box_xyxy=st.just(NEW),
                label=st.sampled_from(["a", "man", "red", "狗", "nowhere"]),
            ),
            max_size=8,
        )
    )
    return one, decisions


@settings(max_examples=150, deadline=None)
@given(reviews())
def test_every_decision_is_applied_or_told_and_every_count_balances(
    drawn: tuple[GroundedImage, list[Decision]],
) -> None:
    one, decisions = drawn
    review = apply_review(one, decisions)
    lost = {
        unit: sum(reject.unit == unit for reject in review.rejects) for unit in ("decision", "label", "phrase", "box")
    }
    assert review.applied + lost["decision"] == len(decisions)
    before, after = counts(one), counts(review.record)
    assert before["label"] == after["label"] + lost["label"]
    assert before["phrase"] + review.phrases_made == after["phrase"] + lost["phrase"]
    assert before["box"] + review.regions_made == after["box"] + lost["box"]
    assert from_json(to_json(review.record)) == review.record
    if review.applied == 0:
        assert review.record is one


def counts(one: GroundedImage) -> dict[str, int]:
    phrases: list[Phrase] = [phrase for query in one.queries for phrase in query.phrases]
    return {"label": sum(len(one.regions) for one in phrases), "phrase": len(phrases), "box": len(one.regions)}
