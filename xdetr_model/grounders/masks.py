"""Masks as run lengths, in COCO's compressed form: columns from top to bottom, of the photo's size."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def masks_of_photo(logits_KHW: Tensor, size_hw: tuple[int, int], threshold: float) -> list[str | None]:
    """Mask logits at the network's resolution → run lengths at the photo's; None for a mask without a pixel.

    Probabilities are resized (bilinear) and then cut at ``threshold``, as SAM 3's post-processing does; one mask at a
    time, for a photo's pixels times its masks may be gigabytes.
    """
    found: list[str | None] = []
    for logits_HW in logits_KHW:
        probability = logits_HW.float().sigmoid()[None, None]
        resized = nn.functional.interpolate(probability, size=size_hw, mode="bilinear", align_corners=False)
        found.append(run_lengths((resized[0, 0] > threshold).to(torch.uint8).cpu().numpy()))
    return found


def run_lengths(mask_HW: NDArray[np.uint8]) -> str | None:
    """A mask of 0 and 1 → COCO's compressed counts; None where it has no pixel."""
    from hotcoco import mask

    if not mask_HW.any():
        return None
    counts = mask.encode(np.asfortranarray(mask_HW))["counts"]
    return counts.decode() if isinstance(counts, bytes) else str(counts)


def masked(masks: Sequence[str | None]) -> tuple[str | None, ...]:
    """The masks as a value of ``Candidates``; none of any makes it empty."""
    return tuple(masks) if any(masks) else ()
