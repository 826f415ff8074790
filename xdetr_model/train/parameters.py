"""Which parameter is trained at which rate: four groups, and the optimiser over them.

Rates are those of Deformable DETR and MDETR as the X-DETR supplement takes them up: small where weights were trained
before, and small for the linear layers that say *where* deformable attention looks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from xdetr_model.errors import ModelConfigError

GroupName = Literal["backbone", "text_encoder", "deformable_projections", "rest"]
GROUP_NAMES: tuple[GroupName, ...] = get_args(GroupName)
OptimizerName = Literal["adam", "adamw"]

REFERENCE_BATCH = 16  # photos with full annotation per step for which the paper's base rates are given


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Names (as of ``model.named_parameters()``) and parameters, in the model's order; frozen ones are in no group."""

    name: GroupName
    parameter_names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]

    @property
    def numbers(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters)


def group_of(parameter_name: str) -> GroupName:
    """The group of a parameter of :class:`xdetr_model.XDetrModel`.

    Sampling offsets and reference points wherever they are, then by the part of the network.
    """
    parts = parameter_name.split(".")
    if "sampling_offsets" in parts or "reference_points" in parts:
        return "deformable_projections"
    if parts[0] == "text_encoder":
        return "text_encoder"
    return "backbone" if parts[:2] == ["model", "backbone"] else "rest"


def parameter_groups(model: nn.Module) -> tuple[ParameterGroup, ...]:
    """Every trainable parameter in exactly one group; groups without any are left out."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = []
    for group in GROUP_NAMES:
        members = [(name, parameter) for name, parameter in trained if group_of(name) == group]
        if members:
            names, parameters = zip(*members, strict=True)
            groups.append(ParameterGroup(name=group, parameter_names=names, parameters=parameters))
    return tuple(groups)


def scaled_rate(base_rate: float, full_batch: int) -> float:
    """``base × full batch / 16``; ``full_batch`` counts the fully annotated photos of one optimiser step over all
    processes and micro-batches."""
    return base_rate * full_batch / REFERENCE_BATCH


def build_optimizer(
    groups: tuple[ParameterGroup, ...], rates: Mapping[GroupName, float], kind: OptimizerName, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW (decoupled decay) or Adam (decay as an L2 term in the gradient), with one rate per group.

    The paper's "Adam with weight decay" is AdamW: MDETR's ``--optimizer adam`` builds ``torch.optim.AdamW``. As an L2
    term the decay is divided by its own size, and a row without gradient (a rare word) loses about the rate a step.

    Raises ModelConfigError for an unknown kind and for a group without a rate.
    """
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if kind not in kinds:
        raise ModelConfigError(f"optimizer={kind!r} is unknown: use one of {', '.join(kinds)}")
    missing = [group.name for group in groups if group.name not in rates]
    if missing:
        raise ModelConfigError(f"no rate for parameter group {missing[0]!r}: give one, or freeze its parameters")
    values: list[dict[str, Any]] = [
        {"name": group.name, "params": list(group.parameters), "lr": rates[group.name]} for group in groups
    ]
    # fused: one pass over the parameters in place of a dozen; on the CPU too
    return kinds[kind](values, weight_decay=weight_decay, fused=True)
