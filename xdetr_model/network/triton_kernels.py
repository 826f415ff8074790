"""Multi-scale deformable sampling as two Triton kernels: what :mod:`deformable_attention` samples with on a GPU.

A program has a block of queries of one photo and one head, and walks over levels and points; a sample's four corners
are rows of ``D`` contiguous channels. Sums are float32 whatever the values are, and a corner outside its level is 0
(Deformable DETR, eq. 2; ``grid_sample`` with zeros and ``align_corners=False``). Backward adds to the values' gradient
with atomics, so its last bits depend on the order of programs, as those of ``grid_sample`` do.

Legend: B photos, S positions of all levels, Q queries, H heads, L levels, P points, D channels of a head.
All tensors are contiguous: value ``[B, S, H, D]``, shapes ``[L, 2]`` (height, width), xy ``[B, Q, H, L, P, 2]``,
weights ``[B, Q, H, L, P]``, output ``[B, Q, H, D]``.
"""

import triton
import triton.language as tl

_SIZES = ["S", "Q"]  # change with every photo: a kernel compiled for each would be compiled for ever


@triton.jit
def _axis(position_norm, size):
    """Along one axis: the lower cell, the higher one's share, and whether either is on the map."""
    pixel = position_norm * size - 0.5
    floor = tl.floor(pixel)
    low_inside = (floor >= 0) & (floor < size)
    high_inside = (floor >= -1) & (floor < size - 1)
    low = tl.where(low_inside | high_inside, floor, 0.0).to(tl.int32)  # of a place far outside or NaN no whole number
    return low, pixel - floor, low_inside, high_inside


@triton.jit(do_not_specialize=_SIZES)
def sample_kernel(
    value,
    shapes,
    xy,
    weights,
    output,
    S,
    Q,
    H: tl.constexpr,
    D: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Writes ``output``."""
    query = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    head = tl.program_id(1)
    photo = tl.program_id(2).to(tl.int64)
    there = query < Q
    channel = tl.arange(0, BLOCK_D)[None, :]
    is_channel = channel < D
    row = (photo * Q + query) * H + head
    value += photo * S * (H * D) + head * D
    total = tl.zeros([BLOCK_Q, BLOCK_D], tl.float32)
    start = 0
    for level in range(L):
        height = tl.load(shapes + 2 * level).to(tl.int32)
        width = tl.load(shapes + 2 * level + 1).to(tl.int32)
        for point in tl.static_range(P):
            at = row * (L * P) + level * P + point
            x, x_share, left, right = _axis(tl.load(xy + 2 * at, there, 0.0), width)
            y, y_share, top, bottom = _axis(tl.load(xy + 2 * at + 1, there, 0.0), height)
            weight = tl.load(weights + at, there, 0.0).to(tl.float32)
            corner = value + ((start + y * width + x) * (H * D))[:, None] + channel
            below = corner + width * (H * D)
            v00 = tl.load(corner, (there & top & left)[:, None] & is_channel, 0.0).to(tl.float32)
            v01 = tl.load(corner + H * D, (there & top & right)[:, None] & is_channel, 0.0).to(tl.float32)
            v10 = tl.load(below, (there & bottom & left)[:, None] & is_channel, 0.0).to(tl.float32)
            v11 = tl.load(below + H * D, (there & bottom & right)[:, None] & is_channel, 0.0).to(tl.float32)
            above = weight * (1 - y_share)
            under = weight * y_share
            total += (above * (1 - x_share))[:, None] * v00 + (above * x_share)[:, None] * v01
            total += (under * (1 - x_share))[:, None] * v10 + (under * x_share)[:, None] * v11
        start += height * width
    tl.store(output + (row * D)[:, None] + channel, total, there[:, None] & is_channel)


@triton.jit(do_not_specialize=_SIZES)
def sample_backward_kernel(
    gradient,
    value,
    shapes,
    xy,
    weights,
    of_value,
    of_xy,
    of_weights,
    S,
    Q,
    H: tl.constexpr,
    D: tl.constexpr,
    L: tl.constexpr,
    P: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Adds to ``of_value`` (float32), writes ``of_xy`` and ``of_weights``."""
    query = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    head = tl.program_id(1)
    photo = tl.program_id(2).to(tl.int64)
    there = query < Q
    channel = tl.arange(0, BLOCK_D)[None, :]
    is_channel = channel < D
    row = (photo * Q + query) * H + head
    value += photo * S * (H * D) + head * D
    of_value += photo * S * (H * D) + head * D
    slope = tl.load(gradient + (row * D)[:, None] + channel, there[:, None] & is_channel, 0.0).to(tl.float32)
    start = 0
    for level in range(L):
        height = tl.load(shapes + 2 * level).to(tl.int32)
        width = tl.load(shapes + 2 * level + 1).to(tl.int32)
        for point in tl.static_range(P):
            at = row * (L * P) + level * P + point
            x, x_share, left, right = _axis(tl.load(xy + 2 * at, there, 0.0), width)
            y, y_share, top, bottom = _axis(tl.load(xy + 2 * at + 1, there, 0.0), height)
            weight = tl.load(weights + at, there, 0.0).to(tl.float32)
            corner = ((start + y * width + x) * (H * D))[:, None] + channel
            below = corner + width * (H * D)
            is00 = (there & top & left)[:, None] & is_channel
            is01 = (there & top & right)[:, None] & is_channel
            is10 = (there & bottom & left)[:, None] & is_channel
            is11 = (there & bottom & right)[:, None] & is_channel
            # what a corner's value adds to the loss for each unit of its share
            d00 = tl.sum(slope * tl.load(value + corner, is00, 0.0).to(tl.float32), 1)
            d01 = tl.sum(slope * tl.load(value + corner + H * D, is01, 0.0).to(tl.float32), 1)
            d10 = tl.sum(slope * tl.load(value + below, is10, 0.0).to(tl.float32), 1)
            d11 = tl.sum(slope * tl.load(value + below + H * D, is11, 0.0).to(tl.float32), 1)
            upper = d00 * (1 - x_share) + d01 * x_share
            lower = d10 * (1 - x_share) + d11 * x_share
            along_x = (d01 - d00) * (1 - y_share) + (d11 - d10) * y_share
            tl.store(of_weights + at, upper * (1 - y_share) + lower * y_share, there)
            tl.store(of_xy + 2 * at, along_x * weight * width, there)
            tl.store(of_xy + 2 * at + 1, (lower - upper) * weight * height, there)
            above = weight * (1 - y_share)
            under = weight * y_share
            tl.atomic_add(of_value + corner, (above * (1 - x_share))[:, None] * slope, is00, sem="relaxed")
            tl.atomic_add(of_value + corner + H * D, (above * x_share)[:, None] * slope, is01, sem="relaxed")
            tl.atomic_add(of_value + below, (under * (1 - x_share))[:, None] * slope, is10, sem="relaxed")
            tl.atomic_add(of_value + below + H * D, (under * x_share)[:, None] * slope, is11, sem="relaxed")
        start += height * width
