"""Where weights lie in memory: on the CPU at multiples of 64 bytes, as torch itself allocates.

Weights that are mapped from a safetensors file begin wherever its header ends, and some kernels take another path
there, with other last bits. Scores are to depend on what a weight is, not on where its file keeps it.
"""

from collections.abc import Iterator
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

ALIGNMENT_BYTES = 64  # c10's gAlignment on a CPU: what torch.empty gives

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def align(model: Model) -> Model:
    """The model itself; parameters and buffers on the CPU that begin elsewhere are moved to where they should.

    Values, strides and ``requires_grad`` stay. What shares memory (tied weights, views of each other) still does: it
    moves as one, so that of views the first is aligned. What is aligned is not copied.
    """
    for members in _shared(model):
        if is_aligned(members[0]):
            continue
        begin = members[0].data_ptr()
        room = torch.empty(max(map(_end, members)) - begin, dtype=torch.uint8)
        for tensor in members:
            tensor.data = _moved(tensor, room[tensor.data_ptr() - begin : _end(tensor) - begin])
    return model


def is_aligned(tensor: Tensor) -> bool:
    """Whether a tensor begins where torch would put it; of one without memory on the CPU, yes."""
    return not _has_memory(tensor) or tensor.data_ptr() % ALIGNMENT_BYTES == 0


def _has_memory(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.layout == torch.strided and tensor.numel() > 0


def _shared(model: nn.Module) -> Iterator[list[Tensor]]:
    """Parameters and buffers in groups of which no two overlap in memory, each in the order of addresses."""
    tensors = [tensor for tensor in chain(model.parameters(), model.buffers()) if _has_memory(tensor)]
    group: list[Tensor] = []
    end = 0
    for tensor in sorted(tensors, key=Tensor.data_ptr):
        if group and tensor.data_ptr() >= end:
            yield group
            group = []
        group.append(tensor)
        end = max(end, _end(tensor))
    if group:
        yield group


def _end(tensor: Tensor) -> int:
    """Address behind a tensor's last element."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.size(), tensor.stride(), strict=True))
    return int(tensor.data_ptr() + (last + 1) * tensor.element_size())


def _moved(tensor: Tensor, room: Tensor) -> Tensor:
    """A copy with the same strides in ``room``, bytes from the first element to the last."""
    return room.view(tensor.dtype).as_strided(tensor.size(), tensor.stride()).copy_(tensor)
