"""Deformable sampling of small maps on a CPU: a matrix product with the interpolation weights written out.

A weighted sum of bilinear samples is linear in the map, so for every query there is a row of weights over all
positions. For a few hundred positions, training through products of such matrices takes half the time of sampling,
which on a CPU visits every point alone; without gradients it is no faster. Equal to ``sample_one_by_one`` of
``deformable_attention.py`` up to rounding.

Legend: B photos, S positions of all levels, Q queries, H heads, L levels, P points, D channels of a head.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

MOST_POSITIONS = 640  # the cost grows with positions times queries; measured at 336, toy photos have up to 504


def suits(value_BSHD: Tensor, xy_norm_BQHLP2: Tensor) -> bool:
    """Whether the maps are small and on a CPU."""
    return value_BSHD.device.type == "cpu" and value_BSHD.shape[1] <= MOST_POSITIONS and xy_norm_BQHLP2.numel() > 0


def sample_dense(
    value_BSHD: Tensor, shapes_hw: Sequence[tuple[int, int]], xy_norm_BQHLP2: Tensor, weights_BQHLP: Tensor
) -> Tensor:
    """See :func:`xdetr_model.network.deformable_attention.sample_levels`."""
    dtype = xy_norm_BQHLP2.dtype
    with torch.autocast("cpu", enabled=False):
        sampled: Tensor = _Sample.apply(  # type: ignore[no-untyped-call]
            value_BSHD.to(dtype), tuple(shapes_hw), xy_norm_BQHLP2, weights_BQHLP.to(dtype)
        )
    return sampled.to(value_BSHD.dtype)


class _Axis(NamedTuple):
    """Of every point along one axis: its lower cell, whether it and the next are on the map, and their shares."""

    low: Tensor
    high: Tensor
    low_inside: Tensor
    high_inside: Tensor
    low_share: Tensor
    high_share: Tensor


def _axis(position_norm: Tensor, length_L1: Tensor) -> _Axis:
    position = position_norm * length_L1 - 0.5
    low = position.floor()
    share = position.sub_(low)
    high = low + 1
    last = length_L1 - 1
    low_inside = ((low >= 0) & (low <= last)).to(low.dtype)
    high_inside = ((high >= 0) & (high <= last)).to(low.dtype)
    zero = torch.zeros_like(last)
    return _Axis(
        low=low.clamp_(zero, last),
        high=high.clamp_(zero, last),
        low_inside=low_inside,
        high_inside=high_inside,
        low_share=(1 - share) * low_inside,
        high_share=share * high_inside,
    )


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value_BSHD: Tensor, shapes_hw: tuple[tuple[int, int], ...], xy: Tensor, weights_BQHLP: Tensor
    ) -> Tensor:
        batch, positions, heads, depth = value_BSHD.shape
        queries = xy.shape[1]
        size_hw = xy.new_tensor(shapes_hw)
        height, width = size_hw[:, :1], size_hw[:, 1:]
        area = (size_hw[:, 0] * size_hw[:, 1])[:, None]
        start = area.cumsum(0) - area
        x, y = xy.permute(5, 0, 2, 1, 3, 4).contiguous()
        weights = weights_BQHLP.transpose(1, 2).contiguous()
        across, down = _axis(x, width), _axis(y, height)
        rows = [(down.low * width).add_(start), (down.high * width).add_(start)]
        # a cell's number is a whole number below 2^24, exact in float32; where a place is NaN, so is its share, and any
        # cell will do: the network's result is then NaN, which the losses report with the photos' keys
        cells = [
            (row + column).nan_to_num_(0.0).long().view(batch * heads, queries, -1)
            for row in rows
            for column in (across.low, across.high)
        ]
        shares = [
            (row * weights * column).view(batch * heads, queries, -1)
            for row in (down.low_share, down.high_share)
            for column in (across.low_share, across.high_share)
        ]
        matrix = value_BSHD.new_zeros(batch * heads, queries, positions)
        for cell, share in zip(cells, shares, strict=True):
            matrix.scatter_add_(2, cell, share)
        value = value_BSHD.transpose(1, 2).reshape(batch * heads, positions, depth)
        ctx.save_for_backward(value, matrix, weights, width, height, *cells, *across, *down)
        ctx.sizes = (batch, heads)
        sampled = torch.bmm(matrix, value).view(batch, heads, queries, depth)
        return sampled.transpose(1, 2).reshape(batch, queries, heads * depth)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        value, matrix, weights, width, height, *rest = ctx.saved_tensors
        cells, across, down = rest[:4], _Axis(*rest[4:10]), _Axis(*rest[10:])
        batch, heads = ctx.sizes
        gradient = gradients[0].view(batch, -1, heads, value.shape[2]).transpose(1, 2).flatten(0, 1)
        of_matrix = torch.bmm(gradient, value.transpose(1, 2))
        of_value = torch.bmm(matrix.transpose(1, 2), gradient).view(batch, heads, *value.shape[1:]).transpose(1, 2)
        corners = [of_matrix.gather(2, cell).view(weights.shape) for cell in cells]
        low_row = (corners[0] * across.low_share).addcmul_(corners[1], across.high_share)
        high_row = (corners[2] * across.low_share).addcmul_(corners[3], across.high_share)
        low_column = (corners[0] * down.low_share).addcmul_(corners[2], down.high_share)
        high_column = (corners[1] * down.low_share).addcmul_(corners[3], down.high_share)
        of_weights = (low_row * down.low_share).addcmul_(high_row, down.high_share).transpose(1, 2)
        along_x = (high_column * across.high_inside).addcmul_(low_column, across.low_inside, value=-1)
        along_y = (high_row * down.high_inside).addcmul_(low_row, down.low_inside, value=-1)
        of_xy = torch.stack([along_x.mul_(weights).mul_(width), along_y.mul_(weights).mul_(height)], -1)
        return of_value, None, of_xy.transpose(1, 2), of_weights
