"""Features of a photo that do not depend on what the photo is padded with.

The library lets padding leak in three ways: biases of the backbone's norms fill the padding and the next
convolution reads it, group norms average over it, and feature masks are resized by nearest neighbour, which keeps
one row too many at odd sizes. Here the padding is set to 0 after every layer, which is what a convolution at the
edge of an unpadded photo sees, group norms average over the photo alone, and masks follow the convolutions.

Legend: B photos, C channels, H W size of a map. A mask is True on the photo.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.models.resnet.modeling_resnet import (
    ResNetBackbone,
    ResNetBasicLayer,
    ResNetBottleNeckLayer,
    ResNetConvLayer,
)

from xdetr_model.network.precision import full

FeatureMap = tuple[Tensor, Tensor | None]


def follow_mask(mask_BHW: Tensor | None, map_BCHW: Tensor) -> Tensor | None:
    """The mask after a layer that kept or halved (rounding up) the map: output i sees input 2 i at its centre."""
    if mask_BHW is None or mask_BHW.shape[-2:] == map_BCHW.shape[-2:]:
        return mask_BHW
    return mask_BHW[:, ::2, ::2]


def blank(map_BCHW: Tensor, mask_BHW: Tensor | None) -> Tensor:
    """The map with 0 on the padding."""
    return map_BCHW if mask_BHW is None else map_BCHW * mask_BHW[:, None].to(map_BCHW.dtype)


def normalise(map_BCHW: Tensor, mask_BHW: Tensor | None, norm: nn.Module) -> Tensor:
    """A norm of the photo alone, 0 on the padding; group norms take mean and variance from the photo alone too."""
    if mask_BHW is None or not isinstance(norm, nn.GroupNorm):
        return blank(norm(map_BCHW), mask_BHW)
    batch, channels, height, width = map_BCHW.shape
    grouped = full(map_BCHW).reshape(batch, norm.num_groups, channels // norm.num_groups, height, width)
    inside = mask_BHW[:, None, None].to(grouped.dtype)
    count = inside.sum((2, 3, 4), keepdim=True) * grouped.shape[2]
    mean = (grouped * inside).sum((2, 3, 4), keepdim=True) / count
    variance = ((grouped - mean).square() * inside).sum((2, 3, 4), keepdim=True) / count
    scaled = ((grouped - mean) * torch.rsqrt(variance + norm.eps)).reshape(batch, channels, height, width)
    affine = scaled * full(norm.weight)[:, None, None] + full(norm.bias)[:, None, None]
    return blank(affine, mask_BHW).to(map_BCHW.dtype)


def _layer(layer: ResNetConvLayer, map_BCHW: Tensor, mask_BHW: Tensor | None) -> tuple[Tensor, Tensor | None]:
    hidden = layer.convolution(map_BCHW)
    mask = follow_mask(mask_BHW, hidden)
    return blank(layer.activation(normalise(hidden, mask, layer.normalization)), mask), mask


def _block(
    block: ResNetBasicLayer | ResNetBottleNeckLayer, map_BCHW: Tensor, mask_BHW: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    hidden, mask = map_BCHW, mask_BHW
    for layer in block.layer:
        hidden, mask = _layer(layer, hidden, mask)
    residual = map_BCHW
    if not isinstance(block.shortcut, nn.Identity):
        residual = normalise(block.shortcut.convolution(map_BCHW), mask, block.shortcut.normalization)
    return blank(block.activation(hidden + residual), mask), mask


def _recomputed(block: nn.Module, map_BCHW: Tensor, mask_BHW: Tensor | None) -> tuple[Tensor, Tensor | None]:
    found: Any = checkpoint(_block, block, map_BCHW, mask_BHW, use_reentrant=False)
    hidden, mask = found
    return hidden, mask


def resnet_feature_maps(
    backbone: ResNetBackbone, pixels_BCHW: Tensor, mask_BHW: Tensor | None, recompute: bool = False
) -> list[FeatureMap]:
    """The backbone's output maps and their masks; equal to ``backbone(pixels)`` where there is no padding.

    ``recompute``: keep only what goes into each block, and compute its inside again in the backward pass.
    """
    maps = []
    hidden, mask = _layer(backbone.embedder.embedder, blank(pixels_BCHW, mask_BHW), mask_BHW)
    hidden = backbone.embedder.pooler(hidden)
    mask = follow_mask(mask, hidden)
    hidden = blank(hidden, mask)
    if "stem" in backbone.out_features:
        maps.append((hidden, mask))
    for name, stage in zip(backbone.stage_names[1:], backbone.encoder.stages, strict=True):
        for block in stage.layers:
            hidden, mask = _recomputed(block, hidden, mask) if recompute else _block(block, hidden, mask)
        if name in backbone.out_features:
            maps.append((hidden, mask))
    return maps


def project_levels(projections: Iterable[nn.Module], maps: Sequence[FeatureMap]) -> list[FeatureMap]:
    """One map per level: a projection of each backbone map, then stride-2 convolutions of the last one."""
    levels: list[FeatureMap] = []
    for index, projection in enumerate(projections):
        convolution, norm = projection.children()
        if index < len(maps):
            source, mask = maps[index]
        else:
            source, mask = maps[-1] if index == len(maps) else levels[-1]
        projected = convolution(source)
        mask = follow_mask(mask, projected)
        levels.append((normalise(projected, mask, norm), mask))
    return levels
