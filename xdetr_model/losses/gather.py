"""Joining tensors of all ranks, with gradients: what a contrastive loss over the joint batch needs.

Every rank must make the same calls in the same order. In a single process everything is the identity.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of ranks; 1 where torch.distributed is not in use."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; 0 where torch.distributed is not in use."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def mean_count(count: Tensor) -> Tensor:
    """A count averaged over the ranks, at least 1 in total.

    Dividing each rank's sum by it makes DDP's mean of the gradients that of the joint batch.
    """
    total = count.detach().clone().double()
    if world_size() > 1:
        dist.all_reduce(total)
    return total.clamp(min=1) / world_size()


class _GatherRows(torch.autograd.Function):
    """Concatenate equally long blocks of all ranks; the gradient of a block is the sum over the ranks that used it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = rows.shape[0]
        blocks = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(blocks, rows.contiguous())
        return torch.cat(blocks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        start = rank() * ctx.count
        return gradient[start : start + ctx.count]


def row_counts(rows: Tensor) -> list[int]:
    """How many rows each rank has."""
    if world_size() == 1:
        return [rows.shape[0]]
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([rows.shape[0]], device=rows.device))
    return [int(c) for c in counts]


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, in rank order, whatever each one's number; gradients flow back to their rank."""
    if world_size() == 1:
        return rows
    counts = row_counts(rows)
    longest = max([*counts, 1])
    padding = rows.new_zeros((longest - rows.shape[0], *rows.shape[1:]))
    padded = torch.cat([rows, padding])
    joined: Tensor = _GatherRows.apply(padded)  # type: ignore[no-untyped-call]
    blocks = [joined[i * longest : i * longest + count] for i, count in enumerate(counts)]
    return torch.cat(blocks)
