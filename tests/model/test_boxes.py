"""Generalised IoU against arithmetic written out box by box, and against transformers' own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.loss.loss_for_object_detection import generalized_box_iou

from xdetr_model.boxes import area_xyxy, cxcywh_to_xyxy, giou_matrix_xyxy, giou_xyxy, xyxy_to_cxcywh

Box = tuple[float, float, float, float]
coordinate = st.floats(0, 1, allow_nan=False, width=32)


@st.composite
def box_xyxy(draw: st.DrawFn) -> Box:
    x0, x1 = sorted((draw(coordinate), draw(coordinate)))
    y0, y1 = sorted((draw(coordinate), draw(coordinate)))
    return (x0, y0, x1, y1)


def slow_giou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return (inter / union if union else 0.0) - ((hull - union) / hull if hull else 0.0)


@given(box_xyxy(), box_xyxy())
def test_giou_equals_the_definition(a: Box, b: Box) -> None:
    found = giou_xyxy(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    assert float(found) == pytest.approx(slow_giou(a, b), abs=1e-9)


@given(box_xyxy(), box_xyxy())
def test_giou_is_symmetric_and_bounded(a: Box, b: Box) -> None:
    first, second = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    value = float(giou_xyxy(first, second))
    assert value == float(giou_xyxy(second, first))
    assert -1 - 1e-9 <= value <= 1 + 1e-9


def test_giou_matrix_equals_transformers() -> None:
    corners = torch.rand(30, 4, dtype=torch.float64).sort(dim=1).values[:, [0, 1, 2, 3]]
    a, b = corners[:12][:, [0, 1, 3, 2]].sort(1).values, corners[12:].sort(1).values
    assert torch.allclose(giou_matrix_xyxy(a, b), generalized_box_iou(a, b), atol=1e-12)


def test_points_and_lines_give_no_nan() -> None:
    point, line = torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.1, 0.5, 0.9, 0.5])
    for a in (point, line):
        for b in (point, line):
            assert torch.isfinite(giou_xyxy(a.requires_grad_(), b))


@given(st.lists(box_xyxy(), min_size=1, max_size=5))
def test_corners_and_centres_are_inverse(boxes: list[Box]) -> None:
    corners = torch.tensor(boxes, dtype=torch.float64)
    assert torch.allclose(cxcywh_to_xyxy(xyxy_to_cxcywh(corners)), corners, atol=1e-12)


def test_area_of_an_inverted_box_is_zero() -> None:
    assert float(area_xyxy(torch.tensor([0.8, 0.1, 0.2, 0.9]))) == 0.0
