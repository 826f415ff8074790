"""Masks are read and written as pycocotools does, and nothing else is taken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path
from pycocotools import mask as reference

from xdetr_data.errors import RecordError
from xdetr_data.masks import check_mask, decode_mask, encode_mask, mask_in_box, mask_outlines

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
def test_it_is_what_pycocotools_writes_and_reads(mask: np.ndarray) -> None:
    theirs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert encode_mask(mask) == theirs
    assert np.array_equal(decode_mask(theirs, mask.shape), mask)


@given(MASKS)
def test_a_mask_with_a_pixel_is_valid_at_its_own_size_alone(mask: np.ndarray) -> None:
    counts = encode_mask(mask)
    if not mask.any():
        with pytest.raises(RecordError, match="no pixel"):
            check_mask(counts, mask.shape)
        return
    check_mask(counts, mask.shape)
    with pytest.raises(RecordError):
        check_mask(counts, (mask.shape[0] + 1, mask.shape[1]))


@pytest.mark.parametrize("counts", ["", "hello world", "zzzz", "o" * 30, ";23"])
def test_other_text_is_no_mask(counts: str) -> None:
    with pytest.raises(RecordError, match="mask"):
        check_mask(counts, (5, 7))


def test_a_viewer_gets_the_whole_pixels_that_the_box_touches() -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:5] = True
    seen = mask_in_box(encode_mask(mask), (6, 8), (1.5, 0.2, 4.2, 3.0))
    assert np.array_equal(seen, mask[0:3, 1:5])


@given(MASKS)
def test_outlines_enclose_the_pixels_and_no_others(mask: np.ndarray) -> None:
    inside = np.zeros(mask.shape, bool)
    centres = np.stack(np.meshgrid(np.arange(mask.shape[1]), np.arange(mask.shape[0])), -1).reshape(-1, 2) + 0.5
    for line in mask_outlines(encode_mask(mask), mask.shape):
        inside ^= Path(line).contains_points(centres).reshape(mask.shape)
    assert np.array_equal(inside, mask)
