"""What a rate is multiplied with at a step: pure functions of the step, so that a resumed run needs no state.

``step`` counts optimiser steps from 0; ``factor(0, ...)`` is for the first one.
"""

import math
from dataclasses import dataclass
from typing import Literal

from xdetr_model.errors import ModelConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDrop:
    """Constant, and times ``gamma`` from the end of epoch ``after_epoch`` on (8: the ninth epoch is the first)."""

    after_epoch: int
    gamma: float = 0.1
    warmup_steps: int = 0

    def factor(self, step: int, total_steps: int, steps_per_epoch: float) -> float:
        """See the module."""
        dropped = step >= self.after_epoch * steps_per_epoch
        return warmup(step, self.warmup_steps) * (self.gamma if dropped else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearDecay:
    """Linear from 0 to 1 over the first ``warmup_share`` of all steps, then linear to 0 (MDETR, text encoder)."""

    warmup_share: float = 0.01

    def __post_init__(self) -> None:
        _check_shares(self.warmup_share, 0.0)

    def factor(self, step: int, total_steps: int, steps_per_epoch: float) -> float:
        """See the module."""
        warm = round(self.warmup_share * total_steps)
        return min(warmup(step, warm), max(0.0, (total_steps - step) / max(1, total_steps - warm)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolDown:
    """Linear warm-up, constant, and over the last ``cooldown_share`` of all steps down to ``floor``; for short runs.

    ``shape``: the way down is a line or half a cosine.
    """

    warmup_share: float = 0.05
    cooldown_share: float = 0.2
    shape: Literal["linear", "cosine"] = "linear"
    floor: float = 0.01

    def __post_init__(self) -> None:
        _check_shares(self.warmup_share, self.cooldown_share)
        if self.shape not in ("linear", "cosine"):
            raise ModelConfigError(f"shape={self.shape!r} is unknown: use linear or cosine")

    def factor(self, step: int, total_steps: int, steps_per_epoch: float) -> float:
        """See the module."""
        down = max(1, round(self.cooldown_share * total_steps))
        left = min(1.0, max(0.0, (total_steps - step) / down))
        share = left if self.shape == "linear" else 0.5 * (1 - math.cos(math.pi * left))
        return warmup(step, round(self.warmup_share * total_steps)) * max(self.floor, share)


Schedule = StepDrop | LinearDecay | CoolDown


def warmup(step: int, steps: int) -> float:
    """``1 / steps`` at the first step, 1 from the ``steps``-th on."""
    return min(1.0, (step + 1) / max(1, steps))


def _check_shares(warm: float, cool: float) -> None:
    if not (0 <= warm <= 1 and 0 <= cool <= 1 and warm + cool <= 1):
        raise ModelConfigError(f"warmup_share={warm} and cooldown_share={cool} must be shares of the run, 0..1 in all")
