"""Which candidates become labels, for known boxes, scores and traces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.errors import ConfigError
from xdetr_data.stages.grounding.ground_phrases import SelectionRule, boxes_allowed, select_boxes

LEFT, LEFT_TOO, MIDDLE, RIGHT = (0, 0, 10, 10), (1, 0, 11, 10), (20, 0, 30, 10), (40, 0, 50, 10)
BOXES = np.array([LEFT, LEFT_TOO, MIDDLE, RIGHT], dtype=np.float64)
SCORES = [0.9, 0.85, 0.6, 0.3]
NO_TRACE: list[float | None] = [None] * 4


def choose(rule, *, is_plural=False, count=None, agreement=NO_TRACE, scores=SCORES):
    return select_boxes(
        rule, boxes_xyxy=BOXES[: len(scores)], scores=scores, agreement=agreement, is_plural=is_plural, count=count
    )


def test_paper_keeps_the_best_box_even_of_a_plural():
    assert choose(SelectionRule(method="paper"), is_plural=True, count=3) == ([0], None)


def test_multi_keeps_one_box_of_a_singular():
    assert choose(SelectionRule(method="multi")) == ([0], None)


def test_multi_keeps_what_a_plural_reaches_without_near_duplicates():
    assert choose(SelectionRule(method="multi", relative_threshold=0.5), is_plural=True) == ([0, 2], None)
    assert choose(SelectionRule(method="multi", relative_threshold=0.3), is_plural=True) == ([0, 2, 3], None)


def test_a_numeral_limits_the_boxes():
    assert choose(SelectionRule(method="multi", relative_threshold=0.0), is_plural=True, count=2) == ([0, 2], None)


def test_without_suppression_overlapping_boxes_may_both_stay():
    rule = SelectionRule(method="multi", nms_iou=1.0, relative_threshold=0.9)
    assert choose(rule, is_plural=True) == ([0, 1], None)


@pytest.mark.parametrize("method", ["paper", "multi"])
def test_a_phrase_without_candidates_says_so(method):
    assert choose(SelectionRule(method=method), scores=[], agreement=[]) == ([], "no-candidate")


def test_scores_below_the_threshold_are_no_labels():
    assert choose(SelectionRule(score_threshold=0.95)) == ([], "below-threshold")
    rule = SelectionRule(method="multi", score_threshold=0.5, relative_threshold=0.0)
    assert choose(rule, is_plural=True) == ([0, 2], None)


def test_trace_score_changes_no_choice():
    agreement = [0.0, 0.0, 0.0, 1.0]
    assert choose(SelectionRule(trace="score"), agreement=agreement) == ([0], None)


def test_trace_filter_drops_boxes_the_speaker_did_not_point_at():
    rule = SelectionRule(trace="filter", min_agreement=0.2)
    assert choose(rule, agreement=[0.1, 0.1, 0.9, 0.9]) == ([2], None)
    assert choose(rule, agreement=[0.1, 0.0, 0.1, 0.0]) == ([], "trace-disagrees")


def test_trace_filter_ranks_by_score_and_agreement():
    rule = SelectionRule(trace="filter", min_agreement=0.0, trace_weight=1.0)
    assert choose(rule, agreement=[0.1, 0.1, 0.9, 1.0]) == ([2], None)


def test_trace_filter_without_a_trace_equals_no_filter():
    assert choose(SelectionRule(trace="filter"), is_plural=True) == choose(SelectionRule(), is_plural=True)


def test_equal_scores_are_decided_by_order():
    assert choose(SelectionRule(), scores=[0.5, 0.5, 0.5, 0.5]) == ([0], None)


@given(
    scores=st.lists(st.floats(-1, 1, allow_nan=False), max_size=4),
    allowed=st.integers(1, 5),
    relative=st.floats(0, 1),
    nms=st.floats(0.01, 1),
)
def test_multi_never_breaks_its_own_rules(scores, allowed, relative, nms):
    rule = SelectionRule(method="multi", score_threshold=-1.0, relative_threshold=relative, nms_iou=nms)
    kept, reason = choose(rule, scores=scores, agreement=[None] * len(scores), is_plural=True, count=allowed)
    assert (reason is None) == bool(kept)
    assert len(kept) <= boxes_allowed(rule, is_plural=True, count=allowed)
    if kept:
        assert scores[kept[0]] == max(scores)
        assert all(scores[i] >= min(max(scores), relative * max(scores)) for i in kept)
        iou = iou_matrix_xyxy(BOXES[kept], BOXES[kept])
        assert (iou[~np.eye(len(kept), dtype=bool)] < nms).all()


def test_a_rule_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="nms-iou"):
        SelectionRule(nms_iou=1.5)
