"""Deformable sampling as an operator of torch, ``xdetr::sample_levels``, computed by :mod:`triton_kernels`.

It has gradients, works under autocast, activation checkpointing and DistributedDataParallel, and ``torch.compile``
keeps it as one node. It runs on a GPU; on a CPU in Triton's interpreter alone (``TRITON_INTERPRET=1``), for tests.

Legend: B photos, S positions of all levels, Q queries, H heads, L levels, P points, D channels of a head.
"""

from typing import Any

import torch
import triton
from torch import Tensor

from xdetr_model.network.triton_kernels import sample_backward_kernel, sample_kernel

BLOCK_QUERIES, WARPS = 32, 4  # of a program: 16 bytes a thread and load where values are half precision and D is 32
BLOCK_QUERIES_BACKWARD, WARPS_BACKWARD = 32, 4


@torch.library.custom_op("xdetr::sample_levels", mutates_args=())
def sample(value_BSHD: Tensor, shapes_L2: Tensor, xy_norm_BQHLP2: Tensor, weights_BQHLP: Tensor) -> Tensor:
    """Weighted sum of bilinear samples → ``[B, Q, H*D]`` in the values' dtype.

    ``shapes_L2``: height and width of the levels, whole numbers on the values' device; S must be the sum of their
    products. Positions are float32; values and weights are float32, bfloat16 or float16, each of its own.
    """
    _check(value_BSHD, xy_norm_BQHLP2, weights_BQHLP)
    value, shapes, xy, weights = (t.contiguous() for t in (value_BSHD, shapes_L2, xy_norm_BQHLP2, weights_BQHLP))
    batch, positions, heads, depth = value.shape
    _, queries, _, levels, points = weights.shape
    output = value.new_empty(batch, queries, heads * depth)
    if output.numel():
        sample_kernel[(triton.cdiv(queries, BLOCK_QUERIES), heads, batch)](
            value,
            shapes,
            xy,
            weights,
            output,
            positions,
            queries,
            H=heads,
            D=depth,
            L=levels,
            P=points,
            BLOCK_Q=BLOCK_QUERIES,
            BLOCK_D=triton.next_power_of_2(depth),
            num_warps=WARPS,
        )
    return output


@torch.library.custom_op("xdetr::sample_levels_backward", mutates_args=())
def sample_backward(
    gradient_BQD: Tensor, value_BSHD: Tensor, shapes_L2: Tensor, xy_norm_BQHLP2: Tensor, weights_BQHLP: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of values, positions and weights, each in its tensor's dtype."""
    gradient, value, shapes, xy, weights = (
        t.contiguous() for t in (gradient_BQD, value_BSHD, shapes_L2, xy_norm_BQHLP2, weights_BQHLP)
    )
    batch, positions, heads, depth = value.shape
    _, queries, _, levels, points = weights.shape
    of_value = torch.zeros(value.shape, dtype=torch.float32, device=value.device)
    of_xy, of_weights = torch.empty_like(xy), torch.empty_like(weights)
    if gradient.numel():
        sample_backward_kernel[(triton.cdiv(queries, BLOCK_QUERIES_BACKWARD), heads, batch)](
            gradient,
            value,
            shapes,
            xy,
            weights,
            of_value,
            of_xy,
            of_weights,
            positions,
            queries,
            H=heads,
            D=depth,
            L=levels,
            P=points,
            BLOCK_Q=BLOCK_QUERIES_BACKWARD,
            BLOCK_D=triton.next_power_of_2(depth),
            num_warps=WARPS_BACKWARD,
        )
    return of_value.to(value.dtype), of_xy, of_weights


@sample.register_fake
def _(value: Tensor, shapes: Tensor, xy: Tensor, weights: Tensor) -> Tensor:
    return value.new_empty(value.shape[0], xy.shape[1], value.shape[2] * value.shape[3])


@sample_backward.register_fake
def _(gradient: Tensor, value: Tensor, shapes: Tensor, xy: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (value, xy, weights))  # type: ignore[return-value]


def _check(value: Tensor, xy: Tensor, weights: Tensor) -> None:
    if xy.dtype != torch.float32 or torch.float64 in (value.dtype, weights.dtype):
        raise TypeError(
            f"positions in {xy.dtype}, values in {value.dtype}, weights in {weights.dtype}: the kernel wants positions "
            "in float32 and the rest in float32, bfloat16 or float16; XDETR_SAMPLING=grid_sample takes others"
        )


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
    of_value, of_xy, of_weights = sample_backward(gradient, *ctx.saved_tensors)
    return of_value, None, of_xy, of_weights


sample.register_autograd(_backward, setup_context=_keep)
