"""Masks are read and written as pycocotools does, and nothing else is taken for one."""

import json
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path
from pycocotools import mask as reference

from xdetr_data.errors import RecordError
from xdetr_data.masks import check_mask, decode_mask, encode_mask, mask_in_box, mask_outlines, read_segmentation

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


POLYGONS = [
    [[1.5, 2, 20, 2.25, 18, 30]],
    [[0, 0, 9, 0, 9, 9, 0, 9], [30, 30, 60, 31, 45.5, 47]],
    [[-9, -9, 80, 3, 5, 70]],
]


@pytest.mark.parametrize("polygons", POLYGONS)
def test_polygons_are_the_pixels_that_pycocotools_makes_of_them(polygons: list[list[float]]) -> None:
    theirs = reference.merge(reference.frPyObjects(polygons, 48, 64))["counts"].decode()
    assert read_segmentation(json.dumps(polygons).encode(), (48, 64)) == theirs
    runs = [len(list(group)) for _, group in groupby(decode_mask(theirs, (48, 64)).ravel(order="F"))]
    runs = runs if not decode_mask(theirs, (48, 64))[0, 0] else [0, *runs]
    for counts in (theirs, runs):
        assert read_segmentation(json.dumps({"size": [48, 64], "counts": counts}).encode(), (48, 64)) == theirs


@pytest.mark.parametrize("empty", ["null", "[]"])
def test_an_annotation_without_segmentation_has_no_mask(empty: str) -> None:
    assert read_segmentation(empty.encode(), (48, 64)) is None


@pytest.mark.parametrize(
    "data",
    [
        "7", '"x"', "[[1,2,3,4]]", "[[1,2,3,4,5]]", "[[1e308,2,3,4,5,6]]", "[[1,1,1,1,1,1]]", "[[]]", "[1,2]",
        '{"size":[48,64]}', '{"size":[4,4],"counts":"04"}', '{"size":[48,64],"counts":"\\u0000"}',
        '{"size":[48,64],"counts":[99999999999999]}', '{"size":[48,64],"counts":[-1,3073]}',
        '{"size":[48,64],"counts":[3072]}',
    ],
)  # fmt: skip
def test_what_is_no_segmentation_is_said(data: str) -> None:
    with pytest.raises(RecordError, match=r"segmentation|mask"):
        read_segmentation(data.encode(), (48, 64))
