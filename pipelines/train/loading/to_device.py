"""A step's bytes onto the device, and there recoloured, normalised and padded."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.train.loading.handover import CHANNELS, RawBatch, RawStep
from xdetr_data.loading.pixels import Recolour
from xdetr_model.losses.targets import Targets
from xdetr_model.photos import PhotoTransform
from xdetr_model.train.batch import SourceBatch, StepBatch


class ToDevice:
    """Makes what the loader processes hand over a ``StepBatch`` on the device."""

    def __init__(self, device: torch.device, transform: PhotoTransform) -> None:
        self._device, self._transform = device, transform
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, raw: RawStep, slot: Tensor) -> StepBatch:
        """All that the slot holds goes over as bytes, in one piece; then it is free again."""
        moved = self._move(slot[: raw.pixel_bytes])
        batches = {}
        for name, one in raw.batches.items():
            values, mask = pad_photos(moved, one, self._transform)
            targets: dict[str, Any] = {
                key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
                for key, value in one.targets.items()
            }
            batches[name] = SourceBatch(
                source=name,
                keys=one.keys,
                pixel_values=values,
                pixel_mask=mask,
                targets=Targets(**targets).to(self._device),
            )
        return StepBatch(**batches)

    def _move(self, pixels: Tensor) -> Tensor:
        """The bytes on the device, copied to the end; on a GPU beside the step that it still works on."""
        if self._copies is None:
            return pixels.to(self._device)
        with torch.cuda.stream(self._copies):
            moved = pixels.to(self._device)
        self._copies.synchronize()
        moved.record_stream(torch.cuda.current_stream(self._device))
        return moved


def pad_photos(pixels: Tensor, raw: RawBatch, transform: PhotoTransform) -> tuple[Tensor, Tensor | None]:
    """A batch's photos, recoloured and normalised, in the upper left corners of ``[B, 3, H, W]`` float32.

    ``pixels`` are the whole step's, on the device. The mask ``[B, H, W]`` is True on the photos, None if that is all.
    """
    height, width = (max(side) for side in zip(*raw.sizes_hw, strict=True))
    shape = (len(raw.sizes_hw), 3, height, width)
    is_padded = len(set(raw.sizes_hw)) > 1
    values = (torch.zeros if is_padded else torch.empty)(shape, device=pixels.device)
    mask = torch.zeros(shape[0], height, width, dtype=torch.bool, device=pixels.device) if is_padded else None
    mean, std = (torch.tensor(one, device=pixels.device)[:, None, None] for one in (transform.mean, transform.std))
    begin = raw.begin
    for index, ((h, w), recolour) in enumerate(zip(raw.sizes_hw, raw.recolours, strict=True)):
        photo = pixels[begin : begin + h * w * CHANNELS].view(h, w, CHANNELS)
        colours = photo[..., :3] if recolour is None else _recoloured(photo, recolour)
        values[index, :, :h, :w].copy_(colours.permute(2, 0, 1)).sub_(255 * mean).div_(255 * std)
        if mask is not None:
            mask[index, :h, :w] = True
        begin += h * w * CHANNELS
    return values, mask


def _recoloured(photo: Tensor, recolour: Recolour) -> Tensor:
    """``[H, W, 4]`` bytes → ``[H, W, 3]`` floats, still from 0 to 255."""
    matrix = torch.tensor(recolour, device=photo.device).view(3, 4)
    weights = torch.cat([matrix[:, :3], torch.zeros_like(matrix[:, :1])], dim=1)  # nothing of the fourth channel
    return (photo.float() @ weights.T).add_(matrix[:, 3]).clamp_(0, 255)
