"""The exponential moving average of a network's weights, which is what is evaluated and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xdetr_model.errors import CheckpointError, ModelConfigError


class WeightAverage:
    """``average ← d · average + (1 - d) · weights`` after every step, in float32 at least.

    With ``warm_up`` the decay d of update t (from 1) is ``min(decay, (1 + t) / (10 + t))``: a run shorter than
    ``1 / (1 - decay)`` steps would otherwise end near its random beginning. Buffers and everything that is not a
    floating-point number are copied.
    """

    def __init__(self, model: nn.Module, decay: float, warm_up: bool = False):
        if not 0 <= decay < 1:
            raise ModelConfigError(f"decay={decay} of the weights' average must be at least 0 and below 1")
        self.decay = decay
        self.warm_up = warm_up
        self.updates = 0
        self._values = {name: _widened(value) for name, value in model.state_dict().items()}

    def decay_at(self, update: int) -> float:
        """The decay of an update, counted from 1."""
        return min(self.decay, (1 + update) / (10 + update)) if self.warm_up else self.decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the weights after a step into the average."""
        self.updates += 1
        parameters = {name for name, _ in model.named_parameters()}
        averaged: list[Tensor] = []
        current: list[Tensor] = []
        for name, value in model.state_dict().items():
            if name in parameters and value.is_floating_point():
                averaged.append(self._values[name])
                current.append(value.to(self._values[name].dtype))
            else:
                self._values[name].copy_(value)
        torch._foreach_lerp_(averaged, current, 1 - self.decay_at(self.updates))

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """The model holds the averages inside the block, and its own weights again after it."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.copy_to(model)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def copy_to(self, model: nn.Module) -> None:
        """Overwrite the model's weights with the averages."""
        model.load_state_dict(self._values)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to go on exactly; the tensors are the live ones."""
        return {"updates": self.updates, "values": self._values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError when the averages are of another network."""
        values: dict[str, Tensor] = state["values"]
        if values.keys() != self._values.keys():
            strange = sorted(values.keys() ^ self._values.keys())[0]
            raise CheckpointError(
                f"weight averages: {strange} is only in one of checkpoint and network; resume with the same model"
            )
        for name, value in values.items():
            self._values[name].copy_(value)
        self.updates = int(state["updates"])


def _widened(value: Tensor) -> Tensor:
    copied = value.detach().clone()
    return copied.float() if copied.dtype in (torch.float16, torch.bfloat16) else copied
