"""Step batches of toy photos."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from tests.model.toy_photos import draw_toy_photo
from tests.model.toy_training import toy_pixels, toy_target
from xdetr_model.losses.targets import PhotoTarget, QueryTarget, collate_targets
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.train.batch import SourceBatch, SourceName, StepBatch

TOKENIZER = word_tokenizer()


def without_boxes(photo: PhotoTarget) -> PhotoTarget:
    """The photo as an image-caption pair."""
    return PhotoTarget(
        boxes_xyxy_norm=None, queries=tuple(QueryTarget(text=q.text, is_caption=True) for q in photo.queries)
    )


def toy_source(
    source: SourceName,
    seeds: Sequence[int],
    side: int = 64,
    targets: Sequence[PhotoTarget] | None = None,
    dtype: torch.dtype = torch.float32,
) -> SourceBatch:
    """Photos of these seeds; ``targets`` in place of their true ones."""
    toys = [draw_toy_photo(seed, side) for seed in seeds]
    truths = [toy_target(toy) for toy in toys] if targets is None else list(targets)
    if source == "weak":
        truths = [without_boxes(truth) for truth in truths]
    collated = collate_targets(truths, TOKENIZER, 48)
    return SourceBatch(
        source=source,
        keys=tuple(f"toy-{seed}" for seed in seeds),
        pixel_values=toy_pixels(toys).to(dtype),
        pixel_mask=None,
        targets=replace(collated, boxes_cxcywh_norm=collated.boxes_cxcywh_norm.to(dtype)),
    )


def toy_step(
    full: Sequence[int] = (), pseudo: Sequence[int] = (), weak: Sequence[int] = (), dtype: torch.dtype = torch.float32
) -> StepBatch:
    """A step of photos of these seeds."""
    return StepBatch(
        full=toy_source("full", full, dtype=dtype) if full else None,
        pseudo=toy_source("pseudo", pseudo, dtype=dtype) if pseudo else None,
        weak=toy_source("weak", weak, dtype=dtype) if weak else None,
    )
