"""Photos as the network's input: RGB, resized, padded to a batch. Needs Pillow, not torchvision.

The pipelines hand over RGB. For who opens photos otherwise, ``to_rgb`` does as their decoder does. Pixels are taken as
they are stored: an EXIF rotation is *not* applied, because the boxes of every data set (and the boxes returned here)
are in the stored file's pixels. An alpha channel is dropped, not blended. Grey, palette and CMYK photos become RGB,
16-bit greys by their own range; a photo of floats has no defined white and is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.image_transforms import get_size_with_aspect_ratio
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from xdetr_model.errors import PhotoError
from xdetr_model.resizing import resize_bilinear

MOST_LEFT = 2  # times the memory of the resized photo: what is read ahead stays bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPhoto:
    """Pixels that go into a network, and the size in pixels of the photo that they come from.

    ``pixels``: uint8 ``[H, W, 3]`` for X-DETR (normalised on the device), float32 ``[3, H, W]`` for other detectors.
    ``resized_hw``: the size that the device is to give them, where that is still to be done.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    size_hw: tuple[int, int]

    resized_hw: tuple[int, int] | None = None

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width that the network sees: photos of equal ones batch without padding."""
        if self.resized_hw is not None:
            return self.resized_hw
        shape = self.pixels.shape
        return (shape[0], shape[1]) if self.pixels.dtype == np.uint8 else (shape[1], shape[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoBatch:
    """``pixels [B, 3, H, W]`` uint8, ``mask [B, H, W]`` True on the photo, or None if nothing is padded."""

    pixels: Tensor
    mask: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTransform:
    """Resizing and normalising as the library's DETR processor does, split so that threads do the first half and the
    device the second. ``shortest_px`` wins unless the longest side would pass ``longest_px``."""

    shortest_px: int
    longest_px: int
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    @classmethod
    def from_processor(cls, processor: DeformableDetrImageProcessorPil) -> "PhotoTransform":
        """The same arithmetic as a saved processor's. Raises PhotoError for one that does something else."""
        size = processor.size
        if not (processor.do_resize and processor.do_rescale and processor.do_normalize and size.get("shortest_edge")):
            raise PhotoError("preprocessor_config.json must resize to shortest_edge, rescale and normalise")
        if processor.resample != Image.Resampling.BILINEAR or abs(processor.rescale_factor - 1 / 255) > 1e-9:
            raise PhotoError("preprocessor_config.json must use resample=2 (bilinear) and rescale_factor=1/255")
        return cls(
            shortest_px=int(size["shortest_edge"]),
            longest_px=int(size["longest_edge"]),
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
        )

    def resized_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Size of the network's input for a photo of this size."""
        height, width = get_size_with_aspect_ratio(size_hw, self.shortest_px, self.longest_px)
        # the library keeps a photo of one pixel's width as long as it is
        return min(max(1, height), self.longest_px), min(max(1, width), self.longest_px)

    def prepare(self, photo: Image.Image, *, leave_resizing: bool = False) -> PreparedPhoto:
        """Decode, convert and resize; safe in threads (Pillow lets go of the lock). Raises PhotoError.

        ``leave_resizing`` to :meth:`batch`'s device, unless the photo takes more than ``MOST_LEFT`` times the memory of
        the network's input. Resizing is most of the work here.
        """
        rgb = to_rgb(photo)
        height, width = self.resized_hw((photo.height, photo.width))
        if leave_resizing and rgb.size != (width, height) and rgb.width * rgb.height <= MOST_LEFT * width * height:
            size_hw = (photo.height, photo.width)
            return PreparedPhoto(pixels=np.asarray(rgb), size_hw=size_hw, resized_hw=(height, width))
        resized = rgb if rgb.size == (width, height) else rgb.resize((width, height), Image.Resampling.BILINEAR)
        return PreparedPhoto(pixels=np.asarray(resized), size_hw=(photo.height, photo.width))

    def batch(
        self, photos: Sequence[PreparedPhoto], device: torch.device | str = "cpu", *, step: int = 1
    ) -> PhotoBatch:
        """Photos in the upper left corners of one tensor on ``device``, which resizes what was left to be resized.

        Height and width are multiples of ``step``, so that a compiled network meets few shapes.
        """
        device = torch.device(device)
        sizes = [photo.input_hw for photo in photos]
        height, width = (-(-max(side) // step) * step for side in zip(*sizes, strict=True))
        pixels = torch.zeros(len(photos), 3, height, width, dtype=torch.uint8, device=device)
        mask = torch.zeros(len(photos), height, width, dtype=torch.bool, device=device)
        for index, (photo, (h, w)) in enumerate(zip(photos, sizes, strict=True)):
            pixels[index, :, :h, :w] = resize_bilinear(_on_device(photo.pixels, device), (h, w))
            mask[index, :h, :w] = True
        return PhotoBatch(pixels=pixels, mask=None if set(sizes) == {(height, width)} else mask)

    def normalise(self, pixels_B3HW: Tensor, mask_BHW: Tensor | None, dtype: torch.dtype) -> Tensor:
        """uint8 → the network's input, 0 on the padding."""
        mean = torch.tensor(self.mean, device=pixels_B3HW.device)[:, None, None]
        std = torch.tensor(self.std, device=pixels_B3HW.device)[:, None, None]
        values = (pixels_B3HW.float() / 255 - mean) / std
        if mask_BHW is not None:
            values = values * mask_BHW[:, None]
        return values.to(dtype)


def _on_device(pixels_HW3: NDArray[Any], device: torch.device) -> Tensor:
    """``[3, H, W]`` on the device; to a GPU through pinned memory, which torch keeps and uses again, so that the copy
    runs beside what the device has to do."""
    on_host = torch.empty(pixels_HW3.shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    np.copyto(on_host.numpy(), pixels_HW3)
    return on_host.to(device, non_blocking=True).permute(2, 0, 1)


def to_rgb(photo: Image.Image) -> Image.Image:
    """The photo in RGB; see the module for what happens to other modes. Raises PhotoError."""
    if photo.mode == "F":
        raise PhotoError("photo of mode F (floats): its white is undefined; convert it to 8 bits first")
    try:
        photo.load()
        if photo.mode == "RGB":
            return photo
        if photo.mode.startswith("I"):
            return Image.fromarray(_eight_bits(np.asarray(photo).astype(np.int64))).convert("RGB")
        if photo.mode in ("P", "PA"):
            return photo.convert("RGBA").convert("RGB")
        return photo.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:  # the last is Pillow's for a damaged PNG
        raise PhotoError(f"photo of mode {photo.mode} cannot be decoded ({error}); it is damaged") from error


def _eight_bits(values_HW: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Grey values by their own range; by that of 16 bits where they are all the same."""
    low, high = int(values_HW.min()), int(values_HW.max())
    if low == high:
        low, high = 0, 65535
    grey: NDArray[np.uint8] = np.rint((values_HW - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    return grey
