"""Several sources through the network at once, and their outputs apart again.

One forward over all photos launches a third of the kernels, but photos of different sizes are padded to the largest:
:func:`pays_to_join` joins only where that adds little. On one CPU core with the toy network (6, 4 and 6 photos) both
took the same time within noise; on a GPU it has not been measured. Results are the same to rounding, because padding
has no influence in this network (``mask_padding``).

Legend: B photos, N texts, T tokens, d width of the common space.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xdetr_model.losses.targets import TargetCounts, Targets
from xdetr_model.network.model import XDetrOutput
from xdetr_model.train.batch import SourceBatch

MOST_PADDING = 1.1  # a joint forward may hold this many times the pixels of separate ones
BLANK_PX = 64


class NetworkInput(NamedTuple):
    """The arguments of ``XDetrModel.forward``."""

    pixel_values: Tensor
    pixel_mask: Tensor | None
    input_ids: Tensor
    attention_mask: Tensor


class Part(NamedTuple):
    """Where a source lies within a joint batch: photos and texts ``[first, end)``, and its own texts' width."""

    photos: tuple[int, int]
    texts: tuple[int, int]
    tokens: int


def pays_to_join(batches: Sequence[SourceBatch]) -> bool:
    """Whether padding all photos to one size adds less than a tenth to the pixels."""
    sizes = [(len(b), *b.pixel_values.shape[-2:]) for b in batches]
    apart = sum(count * height * width for count, height, width in sizes)
    joint = sum(s[0] for s in sizes) * max(s[1] for s in sizes) * max(s[2] for s in sizes)
    return bool(joint <= MOST_PADDING * apart)


def join(batches: Sequence[SourceBatch]) -> tuple[NetworkInput, list[Part]]:
    """One input for all batches; photos in upper left corners, texts padded at their ends."""
    parts: list[Part] = []
    photo = text = 0
    for batch in batches:
        texts, tokens = batch.targets.input_ids.shape
        parts.append(Part((photo, photo + len(batch)), (text, text + texts), tokens))
        photo, text = photo + len(batch), text + texts
    if len(batches) == 1:
        only = batches[0]
        ids, attended = only.targets.input_ids, only.targets.attention_mask
        return NetworkInput(only.pixel_values, only.pixel_mask, ids, attended), parts
    size_hw = [max(int(b.pixel_values.shape[axis]) for b in batches) for axis in (-2, -1)]
    width = max(part.tokens for part in parts)
    pixels = torch.cat([_pad(b.pixel_values, size_hw) for b in batches])
    padded = any(b.pixel_mask is not None or list(b.pixel_values.shape[-2:]) != size_hw for b in batches)
    mask = torch.cat([_pad(_mask(b), size_hw) for b in batches]) if padded else None
    # what stands in the padding of a text is never attended to
    ids = torch.cat([_pad(b.targets.input_ids, [width]) for b in batches])
    attended = torch.cat([_pad(b.targets.attention_mask, [width]) for b in batches])
    return NetworkInput(pixels, mask, ids, attended), parts


def take(output: XDetrOutput, part: Part) -> XDetrOutput:
    """The output of one source."""
    photos, texts = slice(*part.photos), slice(*part.texts)
    proposals = output.proposals
    return XDetrOutput(
        objectness_logits=output.objectness_logits[:, photos],
        boxes_cxcywh_norm=output.boxes_cxcywh_norm[:, photos],
        proposals=None if proposals is None else type(proposals)(*(value[photos] for value in proposals)),
        objects=output.objects[:, photos],
        image=output.image[photos],
        tokens=output.tokens[texts, : part.tokens],
        sentence=output.sentence[texts],
    )


def nothing(output: XDetrOutput) -> XDetrOutput:
    """No photos and no texts, still tied to the network: what a process gives that lacks a source others have."""
    return take(output, Part((0, 0), (0, 0), 0))


def no_targets(device: torch.device) -> Targets:
    """The targets of no photos."""
    integers = torch.zeros(0, dtype=torch.long, device=device)
    truths = torch.zeros(0, dtype=torch.bool, device=device)
    return Targets(
        boxes_cxcywh_norm=torch.zeros(0, 4, device=device),
        regions_per_photo=(),
        is_annotated=truths,
        ignored_xyxy_norm=torch.zeros(0, 4, device=device),
        ignored_photo=integers,
        input_ids=integers.reshape(0, 0),
        attention_mask=integers.reshape(0, 0),
        is_word=truths.reshape(0, 0),
        query_photo=integers,
        is_caption=truths,
        caption_text=integers,
        federated_photo=integers,
        known_photo=integers,
        known_text=integers,
        positive_region=integers,
        positive_token=integers,
        positive_text=integers,
        counts=TargetCounts(),
    )


def blank_input(device: torch.device, dtype: torch.dtype) -> NetworkInput:
    """A blank photo without texts, for a process that has no photo at all in a step but must take part in it."""
    texts = torch.zeros(0, 0, dtype=torch.long, device=device)
    pixels = torch.zeros(1, 3, BLANK_PX, BLANK_PX, device=device, dtype=dtype)
    return NetworkInput(pixels, None, texts, texts)


def _mask(batch: SourceBatch) -> Tensor:
    if batch.pixel_mask is not None:
        return batch.pixel_mask
    return torch.ones_like(batch.pixel_values[:, 0], dtype=torch.bool)


def _pad(values: Tensor, size: Sequence[int]) -> Tensor:
    """Zeros at the ends of the last dimensions."""
    missing = [want - have for want, have in zip(size, values.shape[-len(size) :], strict=True)]
    if not any(missing):
        return values
    return nn.functional.pad(values, [amount for m in reversed(missing) for amount in (0, m)])
