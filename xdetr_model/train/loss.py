"""The loss of one step over three sources, as one module: what DistributedDataParallel wraps.

DDP counts on one forward and one backward per step through the module that it wraps. The network runs once per source
or once for all, so the module around it must be the one whose forward gives the total loss: DDP's hooks then fire once
per parameter, after the gradients of all sources have been summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xdetr_model.errors import ModelConfigError, NonFiniteError
from xdetr_model.losses.criterion import Criterion, Losses
from xdetr_model.losses.gather import world_size
from xdetr_model.network.model import XDetrModel, XDetrOutput
from xdetr_model.train.batch import SOURCE_NAMES, SourceBatch, SourceName, StepBatch
from xdetr_model.train.sources import NetworkInput, blank_input, join, no_targets, nothing, pays_to_join, take


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWeights:
    """What each source's loss counts in the sum."""

    full: float = 1.0
    pseudo: float = 1.0
    weak: float = 1.0

    def __post_init__(self) -> None:
        for name in SOURCE_NAMES:
            if getattr(self, name) < 0:
                raise ModelConfigError(f"{name}={getattr(self, name)}: a source's weight must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLosses:
    """``total`` to call backward on, and each source's losses (unweighted; of this process)."""

    total: Tensor
    sources: dict[SourceName, Losses]


class StepLoss(nn.Module):
    """The network and its losses.

    full and pseudo: detection and alignment; weak: image-caption alignment, since its photos have no boxes. Each source
    has its own criterion call, so its losses are means over its own boxes and phrases, and its negatives are its own:
    a pseudo label, which may be wrong or miss an object, is no negative for what people drew.

    Every process of a group must call it equally often; a source that only some processes have this time is an empty
    batch on the others. ``autocast``: the type the network computes in (losses stay in float32), or None.
    """

    def __init__(
        self,
        model: XDetrModel,
        criterion: Criterion,
        weights: SourceWeights,
        autocast: torch.dtype | None = None,
    ):
        super().__init__()
        self.model = model
        self.criterion = criterion
        self.weights = weights
        self.autocast = autocast

    def forward(self, batch: StepBatch) -> StepLosses:
        """Raises NonFiniteError, naming the photos, when the network predicts NaN or infinity."""
        outputs = self._encode(batch)
        device = self.model.device
        like = next(iter(outputs.values())) if outputs else self._run(blank_input(device, self.model.dtype))
        losses: dict[SourceName, Losses] = {}
        total = like.objects.new_zeros(())
        for source in present_sources(batch, device):
            part: SourceBatch | None = getattr(batch, source)
            output = outputs.get(source) or nothing(like)
            targets = no_targets(device) if part is None else part.targets
            try:
                losses[source] = self.criterion(output, targets)
            except NonFiniteError as error:
                keys = () if part is None else part.keys
                raise NonFiniteError(f"{error}; source {source}, photos {', '.join(keys)}") from error
            total = total + getattr(self.weights, source) * losses[source].total
        if not outputs:
            total = total + _zero(like)
        return StepLosses(total=total, sources=losses)

    def _encode(self, batch: StepBatch) -> dict[SourceName, XDetrOutput]:
        parts = list(batch)
        if len(parts) > 1 and self.model.config.mask_padding and pays_to_join(parts):
            joint, places = join(parts)
            output = self._run(joint)
            return {part.source: take(output, place) for part, place in zip(parts, places, strict=True)}
        return {part.source: self._run(join([part])[0]) for part in parts}

    def _run(self, values: NetworkInput) -> XDetrOutput:
        with torch.autocast(values.pixel_values.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            output: XDetrOutput = self.model(*values)
        return output


def present_sources(batch: StepBatch, device: torch.device) -> list[SourceName]:
    """The sources that any process has photos of in this step, in one order for all."""
    flags = torch.tensor([getattr(batch, name) is not None for name in SOURCE_NAMES], dtype=torch.long, device=device)
    if world_size() > 1:
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return [name for name, flag in zip(SOURCE_NAMES, flags.tolist(), strict=True) if flag]


def _zero(output: XDetrOutput) -> Tensor:
    """0, with a path to every parameter: DDP waits for all of them."""
    used: Sequence[Tensor] = [output.objectness_logits, output.boxes_cxcywh_norm, output.objects, output.image]
    if output.proposals is not None:
        used = [*used, output.proposals.objectness_logits, output.proposals.box_logits_cxcywh.nan_to_num(posinf=0.0)]
    return torch.stack([0 * value.sum() for value in [*used, output.tokens, output.sentence]]).sum()
