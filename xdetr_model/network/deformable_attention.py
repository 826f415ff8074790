"""Multi-scale deformable sampling: the one place where the network samples feature maps at fractional positions.

Legend: B photos, S positions of all levels, Q queries, H heads, L levels, P points, D channels of a head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention

from xdetr_model.network.dense_sampling import sample_dense, suits


def sample_levels(
    value_BSHD: Tensor, shapes_hw: Sequence[tuple[int, int]], xy_norm_BQHLP2: Tensor, weights_BQHLP: Tensor
) -> Tensor:
    """Weighted sum of bilinear samples (Deformable DETR, eq. 2) → ``[B, Q, H*D]`` in the values' dtype.

    Positions are ``x, y`` in 0..1 over a level; outside it the value is 0. Sampling is done in the positions' dtype:
    a position in bfloat16 would be off by pixels, so callers keep positions in float32 whatever the values are.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling() and suits(value_BSHD, xy_norm_BQHLP2):
        return sample_dense(value_BSHD, shapes_hw, xy_norm_BQHLP2, weights_BQHLP)
    return sample_one_by_one(value_BSHD, shapes_hw, xy_norm_BQHLP2, weights_BQHLP)


def sample_one_by_one(
    value_BSHD: Tensor, shapes_hw: Sequence[tuple[int, int]], xy_norm_BQHLP2: Tensor, weights_BQHLP: Tensor
) -> Tensor:
    """:func:`sample_levels` by the library's ``grid_sample``, for maps of any size on any device."""
    batch, _, heads, depth = value_BSHD.shape
    queries, points = xy_norm_BQHLP2.shape[1], xy_norm_BQHLP2.shape[4]
    grid_dtype = xy_norm_BQHLP2.dtype
    grids = 2 * xy_norm_BQHLP2 - 1
    levels = torch.split(value_BSHD, [h * w for h, w in shapes_hw], dim=1)
    sampled = []
    for level, (height, width) in enumerate(shapes_hw):
        plane = levels[level].flatten(2).transpose(1, 2).reshape(batch * heads, depth, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)
        sampled.append(
            nn.functional.grid_sample(
                plane.to(grid_dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=False
            )
        )
    weights = weights_BQHLP.transpose(1, 2).reshape(batch * heads, 1, queries, len(levels) * points)
    summed = (torch.stack(sampled, dim=-2).flatten(-2) * weights.to(grid_dtype)).sum(-1)
    output: Tensor = summed.view(batch, heads * depth, queries).transpose(1, 2).contiguous().to(value_BSHD.dtype)
    return output


class DeformableSampling(nn.Module):
    """Takes the place of the library's ``MultiScaleDeformableAttention`` (same arguments, no parameters)."""

    def forward(
        self,
        value: Tensor,
        value_spatial_shapes: Tensor,
        value_spatial_shapes_list: Sequence[tuple[int, int]],
        level_start_index: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
        im2col_step: int,
    ) -> Tensor:
        """See :func:`sample_levels`."""
        return sample_levels(value, value_spatial_shapes_list, sampling_locations, attention_weights)


def use_own_sampling(module: Any) -> None:
    """Put :class:`DeformableSampling` into every deformable attention below ``module``."""
    for child in module.modules():
        if isinstance(child, DeformableDetrMultiscaleDeformableAttention):
            child.attn = DeformableSampling()
