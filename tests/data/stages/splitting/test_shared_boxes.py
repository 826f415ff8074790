"""Annotations whose boxes overlap are of one expression."""

import pytest

from xdetr_data.spans import Span
from xdetr_data.stages.splitting.shared_boxes import hulls_of_overlapping

BOX = (0.0, 0.0, 10.0, 10.0)
HALF = (0.0, 0.0, 10.0, 5.0)
AWAY = (50.0, 50.0, 60.0, 60.0)


def test_the_hull_reaches_from_the_first_character_of_the_pair_to_its_last() -> None:
    spans: list[list[Span]] = [[(20, 23), (25, 30)], [(40, 42)], [(2, 5), (8, 9)]]
    assert hulls_of_overlapping(spans, [BOX, AWAY, BOX], 0.5) == [(2, 30)]


@pytest.mark.parametrize(("max_iou", "count"), [(0.5, 0), (0.49, 1)])
def test_boxes_at_exactly_the_limit_were_packed_together(max_iou: float, count: int) -> None:
    assert len(hulls_of_overlapping([[(0, 3)], [(5, 9)]], [BOX, HALF], max_iou)) == count


def test_annotations_without_words_have_no_hull() -> None:
    assert hulls_of_overlapping([[], []], [BOX, BOX], 0.5) == []
    assert hulls_of_overlapping([[], [(3, 5)]], [BOX, BOX], 0.5) == [(3, 5)]
    assert hulls_of_overlapping([], [], 0.5) == []
