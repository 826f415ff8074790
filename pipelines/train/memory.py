"""How much memory a training step takes in a process, worked out before there is one.

Weights are counted. Of the activations, what autograd keeps for the backward pass is measured on small blank photos, in
the run's own precision (under autocast norms, softmax and coordinates stay float32, and each weight has a narrow copy),
and carried over to the step's photos: a part that grows with the pixels, one of each photo, one of each forward pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipelines.train.runfile import Precision, RunFile
from xdetr_model.network.model import XDetrModel

TRIAL_PX = (192, 320)  # sides of the trials' photos: multiples of the coarsest map's stride, no map dense (network)
TEXT_TOKENS = 32  # of a query, on the average of MDETR's paragraphs at most 256 in all
BYTES_OF_WEIGHT, BYTES_OF_TRAINED = 4 + 4, 4 + 8  # weight and average; gradient and Adam's two moments


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on each process's device: weights with average, gradients and optimiser; and activations of a step whose
    photos are all of one orientation, or of both, which are padded to a square."""

    weights: int
    activations: int
    activations_mixed: int


def memory_estimate(run: RunFile, model: XDetrModel) -> Memory:
    """Of a run's largest step, with as many texts a photo as ``data`` allows a visit to one.

    Overhead of an allocator is not in it; activation checkpointing and compilation are not taken into account.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights = sum(p.numel() for p in model.parameters()) * BYTES_OF_WEIGHT + trained * BYTES_OF_TRAINED
    short = max(run.data.shortest_px)
    long = min(run.data.longest_px, short * 4 // 3)
    batches = [count for count in (run.batch.full, run.batch.pseudo, run.batch.weak) if count]
    texts = run.data.queries_per_photo + run.data.absences_per_photo + run.data.unknown_per_photo
    kept = [
        activation_bytes(model, batches, size_hw, run.compute.precision, texts, is_padded=padded)
        for size_hw, padded in (((short, long), False), ((long, long), True))
    ]
    return Memory(weights=weights, activations=kept[0], activations_mixed=kept[1])


def activation_bytes(
    model: XDetrModel,
    batches: Sequence[int],
    size_hw: tuple[int, int],
    precision: Precision,
    texts_per_photo: int,
    *,
    is_padded: bool,
) -> int:
    """Bytes that the forward passes of a step keep for its backward pass.

    ``batches``: photos of each pass, all as large as ``size_hw`` with their padding.
    """
    low, high = ((side, side) for side in TRIAL_PX)
    is_small = math.prod(size_hw) <= math.prod(high)
    trial_hw = size_hw if is_small else low
    few, more = (2, 3) if is_small else (1, 2)  # a norm wants two numbers, and the smallest map may be one
    less, much = (_kept(model, photos, trial_hw, precision, is_padded) for photos in (few, more))
    of_photo, of_pass = float(much - less), less - few * (much - less)
    if not is_small:
        larger = _kept(model, few, high, precision, is_padded)
        of_pixel = (larger - less) / (math.prod(high) - math.prod(low))
        of_photo += of_pixel * (math.prod(size_hw) - math.prod(low))
    single, double = (_kept_of_texts(model, count, precision) for count in (1, 2))
    of_text = double - single
    photos = sum(batches)
    visible = photos * of_photo + len(batches) * of_pass
    return round(visible + photos * texts_per_photo * of_text + len(batches) * (single - of_text))


def _kept(model: XDetrModel, photos: int, size_hw: tuple[int, int], precision: Precision, is_padded: bool) -> int:
    mask = torch.ones(photos, *size_hw, dtype=torch.bool)
    mask[:, :, size_hw[1] * 3 // 4 :] = False
    none = torch.zeros(0, 0, dtype=torch.long)
    pixels = torch.zeros(photos, 3, *size_hw)
    return kept_bytes(model, precision, pixels, mask if is_padded else None, none, none)


def _kept_of_texts(model: XDetrModel, count: int, precision: Precision) -> int:
    """Of the text encoder alone, beside a photo that is as small as can be."""
    ids = torch.zeros(count, min(TEXT_TOKENS, int(model.config.max_text_tokens)), dtype=torch.long)
    none = torch.zeros(0, 0, dtype=torch.long)
    photo = torch.zeros(2, 3, 64, 64)
    with_texts = kept_bytes(model, precision, photo, None, ids, torch.ones_like(ids))
    return with_texts - kept_bytes(model, precision, photo, None, none, none)


def kept_bytes(model: XDetrModel, precision: Precision, *inputs: torch.Tensor | None) -> int:
    """Bytes that autograd keeps of a forward pass, the weights themselves left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    own |= {buffer.untyped_storage().data_ptr() for buffer in model.buffers()}
    seen: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), autocast:
        output = model.train()(*inputs)
    del output
    return sum(seen.values())
