"""One optimiser step: forward, backward, clip, update, average."""

import inspect
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from xdetr_model.device import Precision
from xdetr_model.errors import CheckpointError, ModelConfigError, NonFiniteError
from xdetr_model.losses.criterion import Criterion, LossCounts
from xdetr_model.losses.gather import world_size
from xdetr_model.network.model import XDetrModel
from xdetr_model.train.average import WeightAverage
from xdetr_model.train.batch import SourceName, StepBatch
from xdetr_model.train.loss import SourceWeights, StepLoss, StepLosses
from xdetr_model.train.parameters import GroupName, OptimizerName, build_optimizer, parameter_groups
from xdetr_model.train.schedules import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan:
    """The rate of a parameter group (already scaled to the batch, see ``scaled_rate``) and how it changes."""

    rate: float
    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How a step is computed.

    ``clip_norm``: the gradient's norm over all parameters is cut to this, None leaves it. ``precision``: what the
    network computes in (weights, losses and optimiser stay in float32). ``average_decay`` None keeps no average.
    ``checkpoint_activations`` recomputes layers in the backward pass: about a third more time, for less memory.
    """

    weights: SourceWeights = field(default_factory=SourceWeights)
    clip_norm: float | None = 0.1
    precision: Precision = "float32"
    optimizer: OptimizerName = "adamw"
    weight_decay: float = 1e-4
    average_decay: float | None = 0.9998
    average_warm_up: bool = False
    checkpoint_activations: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ModelConfigError(f"clip_norm={self.clip_norm} must be positive; leave it empty to clip nothing")
        if self.precision == "float16":
            raise ModelConfigError("precision='float16' would need a scaled loss: use bfloat16 or float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What happened in a step, as plain numbers.

    ``step`` counts from 0. ``losses`` per source by name (unweighted, mean over micro-batches, of this process: their
    mean over processes is the joint batch's); ``counts`` one per micro-batch; ``gradient_norm`` before clipping.
    """

    step: int
    total: float
    losses: dict[SourceName, dict[str, float]]
    counts: dict[SourceName, tuple[LossCounts, ...]]
    gradient_norm: float
    rates: dict[GroupName, float]

    def scalars(self) -> dict[str, float]:
        """One flat table for a log: ``full/giou``, ``rate/backbone`` ..."""
        flat = {"total": self.total, "gradient_norm": self.gradient_norm}
        flat |= {f"{source}/{name}": value for source, part in self.losses.items() for name, value in part.items()}
        return flat | {f"rate/{name}": rate for name, rate in self.rates.items()}


class TrainStep:
    """Trains ``model`` in place, one call per optimiser step.

    Under torch.distributed (initialised before, model on its device) the gradients are averaged over the processes,
    and with ``gather_words`` and ``gather_captions`` of the model's configuration the contrastive losses see all
    processes' negatives.

    Several micro-batches in one call accumulate: the step's gradient is the mean of theirs. That is *not* the gradient
    of one large batch: every loss is a mean over the boxes or phrases of its own micro-batch, so micro-batches weigh
    alike however much they hold, and the contrastive losses compare only within a micro-batch. Detection losses of
    micro-batches with equally many boxes do agree; more negatives need more memory, or gathering.
    """

    def __init__(
        self,
        model: XDetrModel,
        plans: Mapping[GroupName, GroupPlan],
        *,
        total_steps: int,
        steps_per_epoch: float,
        options: StepOptions,
    ):
        self.model = model.train()
        self.groups = parameter_groups(model)
        self.plans = {group.name: plans[group.name] for group in self.groups if group.name in plans}
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.options = options
        rates = {name: plan.rate for name, plan in self.plans.items()}
        self.optimizer = build_optimizer(self.groups, rates, options.optimizer, options.weight_decay)
        self.average = (
            None
            if options.average_decay is None
            else WeightAverage(model, options.average_decay, warm_up=options.average_warm_up)
        )
        self.steps_done = 0
        self._loss = _prepare(model, options)

    def rates(self, step: int) -> dict[GroupName, float]:
        """The rate of every group at a step, counted from 0."""
        return {
            name: plan.rate * plan.schedule.factor(step, self.total_steps, self.steps_per_epoch)
            for name, plan in self.plans.items()
        }

    def __call__(self, micro_batches: Sequence[StepBatch]) -> StepReport:
        """One optimiser step. Raises NonFiniteError, with the weights as they were before the step."""
        rates = self.rates(self.steps_done)
        for group in self.optimizer.param_groups:
            group["lr"] = rates[group["name"]]
        self.optimizer.zero_grad(set_to_none=True)
        losses = [
            self._backward(batch, len(micro_batches), is_last=index == len(micro_batches) - 1)
            for index, batch in enumerate(micro_batches)
        ]
        limit = math.inf if self.options.clip_norm is None else self.options.clip_norm
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        report = _report(self.steps_done, losses, float(norm), rates)
        _check_finite(report, micro_batches)
        self.optimizer.step()
        self.steps_done += 1
        if self.average is not None:
            self.average.update(self.model)
        return report

    def state_dict(self) -> dict[str, Any]:
        """Steps, optimiser and average, to go on exactly; the network's weights are the caller's to keep."""
        average = None if self.average is None else self.average.state_dict()
        return {"steps_done": self.steps_done, "optimizer": self.optimizer.state_dict(), "average": average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError when the state is of another network or of other options."""
        if (state["average"] is None) != (self.average is None):
            raise CheckpointError("one of checkpoint and run keeps an average of the weights; resume with the same run")
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise CheckpointError(f"the optimiser's state is of another network: {error}") from error
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps_done = int(state["steps_done"])

    def _backward(self, batch: StepBatch, count: int, is_last: bool) -> StepLosses:
        parallel = self._loss if isinstance(self._loss, DistributedDataParallel) else None
        with nullcontext() if is_last or parallel is None else parallel.no_sync():
            losses: StepLosses = self._loss(batch.to(self.model.device))
            torch.autograd.backward(losses.total / count)
        return losses


def _prepare(model: XDetrModel, options: StepOptions) -> nn.Module:
    """The loss module, checkpointed, compiled and made parallel as asked."""
    if options.checkpoint_activations:
        model.recompute_activations()
    if options.compile:
        model.compile()
    autocast = torch.bfloat16 if options.precision == "bfloat16" else None
    loss = StepLoss(model, Criterion.from_config(model.config), options.weights, autocast)
    if world_size() == 1:
        return loss
    devices = [model.device] if model.device.type == "cuda" else None
    # no buffer changes; torch renames the option
    names = inspect.signature(DistributedDataParallel.__init__).parameters
    buffers: dict[str, Any] = {
        "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False
    }
    # nothing is unused: every parameter gets a gradient in every step (see StepLoss and XDetrModel.forward)
    return DistributedDataParallel(loss, device_ids=devices, gradient_as_bucket_view=True, **buffers)


def _report(step: int, losses: Sequence[StepLosses], gradient_norm: float, rates: dict[GroupName, float]) -> StepReport:
    sources: dict[SourceName, list[dict[str, float]]] = {}
    counts: dict[SourceName, tuple[LossCounts, ...]] = {}
    for micro in losses:
        for source, part in micro.sources.items():
            sources.setdefault(source, []).append(part.scalars())
            counts[source] = (*counts.get(source, ()), part.counts)
    means = {
        source: {name: sum(t[name] for t in tables) / len(tables) for name in tables[0]}
        for source, tables in sources.items()
    }
    total = sum(float(micro.total.detach()) for micro in losses) / len(losses)
    return StepReport(step=step, total=total, losses=means, counts=counts, gradient_norm=gradient_norm, rates=rates)


def _check_finite(report: StepReport, micro_batches: Sequence[StepBatch]) -> None:
    if math.isfinite(report.total) and math.isfinite(report.gradient_norm):
        return
    terms = [f"{source}/{name}" for source, part in report.losses.items() for name, v in part.items() if v - v != 0]
    if not terms and not math.isfinite(report.total):
        terms = ["total"]
    what = f"loss {', '.join(terms)}" if terms else f"gradient (norm {report.gradient_norm}; the losses are finite)"
    keys = ", ".join(key for batch in micro_batches for key in batch.keys)
    raise NonFiniteError(
        f"step {report.step}: NaN or infinite {what}; photos of this process: {keys}; lower the learning rate, clip "
        "gradients, or look at these photos"
    )
