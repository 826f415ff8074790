"""Multi-scale deformable sampling: the one place where the network samples feature maps at fractional positions.

``XDETR_SAMPLING`` is the switch between the ways of computing it, for every command and process: ``auto`` takes the
Triton kernel on a GPU, ``kernel`` demands it, ``grid_sample`` is the library's way, the reference.

Legend: B photos, S positions of all levels, Q queries, H heads, L levels, P points, D channels of a head.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from transformers.integrations import use_kernel_forward_from_hub
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention

from xdetr_model.errors import ModelConfigError
from xdetr_model.network.dense_sampling import sample_dense, suits

Sampling = Literal["auto", "kernel", "grid_sample"]
HAS_TRITON = find_spec("triton") is not None
if HAS_TRITON:
    from xdetr_model.network.sampling_op import sample

_WAYS = get_args(Sampling)
_taken: str = os.environ.get("XDETR_SAMPLING", "auto")


def sampling() -> str:
    """What ``XDETR_SAMPLING`` or :func:`sampling_by` chose. Raises ModelConfigError for what cannot be."""
    if _taken not in _WAYS:
        raise ModelConfigError(f"XDETR_SAMPLING={_taken!r} is unknown: use one of {', '.join(_WAYS)}")
    if _taken == "kernel" and not HAS_TRITON:
        raise ModelConfigError("XDETR_SAMPLING=kernel needs the package triton: install it, or say grid_sample")
    return _taken


@contextmanager
def sampling_by(choice: Sampling) -> Iterator[None]:
    """Computes with this choice inside the block, in place of what the environment says."""
    global _taken
    before, _taken = _taken, choice
    try:
        yield
    finally:
        _taken = before


def sample_levels(
    value_BSHD: Tensor,
    shapes_hw: Sequence[tuple[int, int]],
    xy_norm_BQHLP2: Tensor,
    weights_BQHLP: Tensor,
    shapes_L2: Tensor | None = None,
) -> Tensor:
    """Weighted sum of bilinear samples (Deformable DETR, eq. 2) → ``[B, Q, H*D]`` in the values' dtype.

    Positions are ``x, y`` in 0..1 over a level; outside it the value is 0. Sampling is done in the positions' dtype:
    a position in bfloat16 would be off by pixels, so callers keep positions in float32 whatever the values are.
    ``shapes_L2``: the sizes once more, on the device, where they are there already.
    """
    if _takes_kernel(value_BSHD, xy_norm_BQHLP2):
        if shapes_L2 is None:
            shapes_L2 = torch.tensor(shapes_hw, device=value_BSHD.device)
        kernel_output: Tensor = sample(value_BSHD, shapes_L2, xy_norm_BQHLP2, weights_BQHLP)
        return kernel_output
    if torch.is_grad_enabled() and not torch.compiler.is_compiling() and suits(value_BSHD, xy_norm_BQHLP2):
        return sample_dense(value_BSHD, shapes_hw, xy_norm_BQHLP2, weights_BQHLP)
    return sample_one_by_one(value_BSHD, shapes_hw, xy_norm_BQHLP2, weights_BQHLP)


def _takes_kernel(value: Tensor, xy_norm: Tensor) -> bool:
    choice = sampling()
    if choice != "auto":
        return choice == "kernel"
    if value.device.type != "cuda" or xy_norm.dtype != torch.float32 or value.dtype == torch.float64:
        return False
    if not HAS_TRITON and not torch.compiler.is_compiling():
        warnings.warn("no package triton: deformable attention takes grid_sample, which is slower", stacklevel=2)
    # gradients are sums in any order; grid_sample's are too, and it refuses where determinism is asked for
    return HAS_TRITON and not (torch.is_grad_enabled() and torch.are_deterministic_algorithms_enabled())


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


@use_kernel_forward_from_hub("MultiScaleDeformableAttention")
class DeformableSampling(nn.Module):
    """Takes the place of the library's ``MultiScaleDeformableAttention`` (same arguments, no parameters).

    Like it, the layer can be served by a kernel of the hub: ``kernels.kernelize(model, …)``, where that is installed.
    """

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
        return sample_levels(
            value, value_spatial_shapes_list, sampling_locations, attention_weights, value_spatial_shapes
        )


def use_own_sampling(module: Any) -> None:
    """Put :class:`DeformableSampling` into every deformable attention below ``module``."""
    for child in module.modules():
        if isinstance(child, DeformableDetrMultiscaleDeformableAttention):
            child.attn = DeformableSampling()
