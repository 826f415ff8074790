"""Other people's detectors below float32: layers in half precision, every coordinate in float32.

With weights of bfloat16 a box's centre stands on a grid of 1/256 of the photo, so that a box of 8 pixels hardly
overlaps itself. Here weights stay float32 and run under autocast, which leaves sums of coordinates as wide as their
widest part; the heads that predict boxes, where a coordinate or its change is computed, run in float32 altogether.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

# by what the library calls the parts that predict boxes, or positions from which boxes are refined
BOX_PARTS = frozenset(
    {
        *("bbox_embed", "encoder_output_bbox_embed", "reference_points_head"),  # Grounding DINO
        "box_head",  # OWL-ViT, SAM 3
        *("ref_point_head", "box_rpb_embed_x", "box_rpb_embed_y"),  # SAM 3
        *("encoder_bbox_head", "decoder_bbox_head", "query_position_head"),  # OmDet-Turbo
        "sampling_offsets",
    }
)


def keep_boxes_full(model: nn.Module) -> nn.Module:
    """Makes the parts of ``BOX_PARTS`` compute in float32 whatever autocast says around them; the model itself."""
    for name, part in model.named_modules():
        if name.rpartition(".")[2] in BOX_PARTS:
            for one in part if isinstance(part, nn.ModuleList) else (part,):
                one.forward = _Full(one.forward)
    return model


class _Full:
    """A forward that widens its tensors and runs outside autocast."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward

    def __call__(self, *values: Any, **named: Any) -> Any:
        tensors = [value for value in (*values, *named.values()) if isinstance(value, torch.Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(device, enabled=False):
            return self._forward(*map(_wide, values), **{name: _wide(value) for name, value in named.items()})


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def half_precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """In which a detector's layers compute: nothing changes for float32."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
