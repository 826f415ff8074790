"""What one optimiser step is made of: photos of up to three sources, each with its own kind of truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from xdetr_model.errors import TargetError
from xdetr_model.losses.targets import Targets

SourceName = Literal["full", "pseudo", "weak"]
SOURCE_NAMES: tuple[SourceName, ...] = get_args(SourceName)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBatch:
    """B photos of one source.

    ``source``: ``full`` (boxes drawn by people), ``pseudo`` (boxes of a model) or ``weak`` (captions, no boxes).
    ``keys [B]`` name the photos in error messages; ``pixel_values [B, 3, H, W]`` normalised float32; ``pixel_mask
    [B, H, W]`` bool, True on the photo, or None where no photo of the batch is padded (which is faster);
    ``targets`` of the same B photos. Raises TargetError where these disagree.
    """

    source: SourceName
    keys: tuple[str, ...]
    pixel_values: Tensor
    pixel_mask: Tensor | None
    targets: Targets

    def __post_init__(self) -> None:
        if self.source not in SOURCE_NAMES:
            raise TargetError(f"source={self.source!r} is unknown: use one of {', '.join(SOURCE_NAMES)}")
        photos = {len(self.keys), self.pixel_values.shape[0], self.targets.is_annotated.shape[0]}
        if len(photos) != 1 or 0 in photos:
            raise TargetError(
                f"source {self.source}: {len(self.keys)} keys, {self.pixel_values.shape[0]} photos and targets of "
                f"{self.targets.is_annotated.shape[0]}; all three must be the same number, at least 1"
            )
        boxed = self.targets.counts.photos - self.targets.counts.photos_without_boxes
        if self.source == "weak" and boxed:
            raise TargetError(f"source weak: {boxed} of its photos have boxes; image-caption photos have none")

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device | str) -> "SourceBatch":
        """The same on a device."""
        return SourceBatch(
            source=self.source,
            keys=self.keys,
            pixel_values=self.pixel_values.to(device, non_blocking=True),
            pixel_mask=None if self.pixel_mask is None else self.pixel_mask.to(device, non_blocking=True),
            targets=self.targets.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatch:
    """One process's photos of one micro-step. A source that gives nothing this step is None."""

    full: SourceBatch | None = None
    pseudo: SourceBatch | None = None
    weak: SourceBatch | None = None

    def __post_init__(self) -> None:
        for name in SOURCE_NAMES:
            part = getattr(self, name)
            if part is not None and part.source != name:
                raise TargetError(f"StepBatch.{name} holds a batch of source {part.source!r}")

    def __iter__(self) -> Iterator[SourceBatch]:
        """The sources that are there, in the order full, pseudo, weak."""
        return iter([part for part in (self.full, self.pseudo, self.weak) if part is not None])

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, each behind its source: ``full:coco-42``."""
        return tuple(f"{part.source}:{key}" for part in self for key in part.keys)

    def to(self, device: torch.device | str) -> "StepBatch":
        """The same on a device."""
        return StepBatch(**{part.source: part.to(device) for part in self})
