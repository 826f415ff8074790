"""Bilinear resizing as Pillow does it, on any device: photos can go up as they were decoded, and be resized there.

A pixel of the result is a weighted mean of the pixels that a triangle around its centre covers, first along rows, then
along columns, each rounded to whole grey levels. The weights are Pillow's whole numbers (``libImaging/Resample.c``).
``torch.nn.functional.interpolate`` differs by many levels where a side is short.

Legend: C H W channels and size of a photo, N pixels of the result along one side, K those of the widest mean.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BITS = 22  # of a weight's fraction: 255 times the sum of weights stays below 2^31


def resize_bilinear(pixels_CHW: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """uint8 ``[C, H, W]`` → uint8 ``[C, *size_hw]`` on the same device, as Pillow's ``BILINEAR`` within a level."""
    height, width = size_hw
    return _along(_along(pixels_CHW, width, dim=2), height, dim=1)


def _along(pixels_CHW: Tensor, size: int, dim: int) -> Tensor:
    before = pixels_CHW.shape[dim]
    if before == size:
        return pixels_CHW
    device = pixels_CHW.device
    places_KN, weights_KN = (torch.from_numpy(array).to(device, non_blocking=True) for array in _means(before, size))
    values = pixels_CHW.int()
    shape = list(values.shape)
    shape[dim] = size
    total = torch.full(shape, 1 << (BITS - 1), dtype=torch.int32, device=device)
    for places_N, weights_N in zip(places_KN, weights_KN, strict=True):
        total += values.index_select(dim, places_N) * (weights_N[:, None] if dim == 1 else weights_N)
    return (total >> BITS).clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=4096)
def _means(before: int, after: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Of each of ``after`` pixels: the pixels of its mean ``[K, after]`` and their weights, 0 beyond the triangle."""
    scale = before / after
    reach = max(scale, 1.0)
    centre = (np.arange(after) + 0.5) * scale
    begin = np.maximum((centre - reach + 0.5).astype(np.int32), 0)
    end = np.minimum((centre + reach + 0.5).astype(np.int32), before)
    places = begin + np.arange((end - begin).max(), dtype=np.int32)[:, None]
    weights = np.maximum(1 - np.abs((places - centre + 0.5) * (1 / reach)), 0) * (places < end)
    whole = (weights / weights.sum(0) * (1 << BITS) + 0.5).astype(np.int32)
    return np.minimum(places, before - 1), whole
