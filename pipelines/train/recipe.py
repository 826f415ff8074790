"""From a run file to the parts that train: batches, step, schedules. Each part is told values, never the file."""

import math
from dataclasses import dataclass

import msgspec
from transformers import PreTrainedTokenizerBase

from pipelines.train.folder import Shares, Sources
from pipelines.train.loading.batches import SourceConfig, TrainBatches
from pipelines.train.processes import Group
from pipelines.train.runfile import CoolDownPart, LinearPart, RatePart, RunFile, StepDropPart
from xdetr_data.errors import ConfigError
from xdetr_data.loading.config import DataConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.photos import PhotoTransform
from xdetr_model.train.batch import SOURCE_NAMES, SourceName
from xdetr_model.train.loss import SourceWeights
from xdetr_model.train.parameters import GroupName, scaled_rate
from xdetr_model.train.schedules import CoolDown, LinearDecay, Schedule, StepDrop
from xdetr_model.train.step import GroupPlan, StepOptions, TrainStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Optimiser steps: of an epoch (with ``accumulate`` not always whole ones: a step may begin in one epoch and end in
    the next, so that the schedule's epochs are the loader's), and of the whole run."""

    steps_per_epoch: float
    total_steps: int

    @property
    def epochs(self) -> float:
        """How often the main source is seen."""
        return self.total_steps / self.steps_per_epoch

    @property
    def an_epoch(self) -> str:
        """Steps of an epoch for people."""
        return f"{self.steps_per_epoch:,.1f}".removesuffix(".0")


def make_batches(
    run: RunFile,
    sources: Sources,
    shares: Shares,
    tokenizer: PreTrainedTokenizerBase,
    max_text_tokens: int,
    group: Group,
    transform: PhotoTransform | None = None,
) -> TrainBatches:
    """The loader; ``transform`` says how colours are normalised (None: as ImageNet's). Raises ConfigError and
    InputError."""
    wanted = {
        name: SourceConfig(
            paths=tuple(dataset.path for dataset in sources[name]),
            batch_size=getattr(run.batch, name),
            shares=shares.get(name),
        )
        for name in SOURCE_NAMES
        if name in sources and getattr(run.batch, name)
    }
    return TrainBatches(
        wanted,
        data_config(run),
        tokenizer,
        max_text_tokens,
        group.rank,
        group.size,
        device=group.device,
        transform=transform,
    )


def data_config(run: RunFile) -> DataConfig:
    """What photos go through; the run's seed is also that of their order."""
    return DataConfig(seed=run.seed, **msgspec.structs.asdict(run.data))


def length_of(run: RunFile, micro_steps_per_epoch: int) -> Length:
    """Raises ConfigError where an epoch gives no whole step, or where rates drop only after the end."""
    steps_per_epoch = micro_steps_per_epoch / run.optimiser.accumulate
    if steps_per_epoch < 1:
        raise ConfigError(
            f"optimiser.accumulate is {run.optimiser.accumulate}, but an epoch has {micro_steps_per_epoch} batches; "
            "lower it or give more data"
        )
    in_epochs = run.schedule.unit == "epochs"
    total = math.floor(run.schedule.length * steps_per_epoch) if in_epochs else run.schedule.length
    for name, part in (("text_encoder", run.schedule.text_encoder), ("rest", run.schedule.rest)):
        if isinstance(part, StepDropPart) and part.after_epoch * steps_per_epoch >= total:
            raise ConfigError(
                f"schedule.{name}.after_epoch is {part.after_epoch}, but the run's {total} steps are "
                f"{total / steps_per_epoch:.1f} epochs; lower it or give schedule.length more"
            )
    return Length(steps_per_epoch=steps_per_epoch, total_steps=total)


def group_plans(run: RunFile, processes: int) -> dict[GroupName, GroupPlan]:
    """Rate and schedule of every parameter group."""
    rest, text = _schedule(run.schedule.rest), _schedule(run.schedule.text_encoder)
    rates: dict[GroupName, float] = msgspec.structs.asdict(run.optimiser.rates)  # type: ignore[assignment]
    return {
        name: GroupPlan(rate=_rate(run, rate, processes), schedule=text if name == "text_encoder" else rest)
        for name, rate in rates.items()
    }


def photos_per_step(run: RunFile, name: SourceName, processes: int) -> int:
    """Photos of a source in an optimiser step, over all processes."""
    return int(getattr(run.batch, name)) * run.optimiser.accumulate * processes


def _rate(run: RunFile, rate: float, processes: int) -> float:
    return scaled_rate(rate, photos_per_step(run, "full", processes)) if run.optimiser.scale_rates else rate


def _schedule(part: RatePart) -> Schedule:
    values = msgspec.structs.asdict(part)
    if isinstance(part, StepDropPart):
        return StepDrop(**values)
    if isinstance(part, LinearPart):
        return LinearDecay(**values)
    assert isinstance(part, CoolDownPart)
    return CoolDown(**values)


def step_options(run: RunFile) -> StepOptions:
    """How a step is computed."""
    optimiser, compute = run.optimiser, run.compute
    return StepOptions(
        weights=SourceWeights(pseudo=run.loss.pseudo_weight),
        clip_norm=optimiser.clip_norm,
        precision=compute.precision,
        optimizer=optimiser.kind,
        weight_decay=optimiser.weight_decay,
        average_decay=optimiser.ema_decay,
        average_warm_up=optimiser.ema_warm_up,
        checkpoint_activations=compute.activation_checkpointing,
        compile=compute.compile,
    )


def make_step(run: RunFile, model: XDetrModel, length: Length, processes: int) -> TrainStep:
    """The training step of a model that is on its device."""
    return TrainStep(
        model,
        group_plans(run, processes),
        total_steps=length.total_steps,
        steps_per_epoch=length.steps_per_epoch,
        options=step_options(run),
    )
