"""The pairs that plain Python finds are those that the IoU matrix tells."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.boxes import iou_matrix_xyxy, overlapping_pairs_xyxy

_SIDE = st.integers(1, 30)
_BOX = st.tuples(st.integers(0, 30), st.integers(0, 30), _SIDE, _SIDE).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(boxes=st.lists(_BOX, max_size=6), min_iou=st.sampled_from([0.0, 0.3, 0.5, 0.75]))
def test_pairs_are_those_above_the_threshold_in_the_iou_matrix(boxes, min_iou):
    rows, columns = np.nonzero(np.triu(iou_matrix_xyxy(boxes, boxes) > min_iou, k=1))
    assert sorted(overlapping_pairs_xyxy(boxes, min_iou)) == sorted(zip(rows.tolist(), columns.tolist(), strict=True))
