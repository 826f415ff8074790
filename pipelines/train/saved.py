"""What a run is resumed from: one file of tensors and plain values, written atomically, read as data only."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from pipelines.train.folder import CHECKPOINTS, with_temporary
from pipelines.train.say import in_one_line, warn
from xdetr_data.errors import InputError

FORMAT = 1
_NAME = re.compile(r"step-(\d{8})\.pt")


def save_state(out: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Writes the state after ``step`` steps and keeps ``keep`` with it; raises OutputError.

    Files of later steps go: the run has gone back behind them, as none could be read.
    """
    path = out / CHECKPOINTS / f"step-{step:08d}.pt"
    with_temporary(path, lambda temporary: torch.save({"format": FORMAT, "step": step, **state}, temporary))
    older = [other for other in saved_paths(out) if other < path]
    later = [other for other in saved_paths(out) if other > path]
    for other in [*older[: max(0, len(older) - keep + 1)], *later]:
        other.unlink(missing_ok=True)
    return path


def saved_paths(out: Path) -> list[Path]:
    """Checkpoints of a run, the oldest first."""
    return sorted(path for path in (out / CHECKPOINTS).glob("step-*.pt") if _NAME.fullmatch(path.name))


def load_newest(out: Path) -> dict[str, Any] | None:
    """The newest state that can be read, on the CPU; None where the run has saved none yet. Raises InputError."""
    paths = saved_paths(out)
    for path in reversed(paths):
        try:
            return _load(path)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
            warn(f"{path}: cannot be read ({in_one_line(error)[:120]}); taking the one before")
    if paths:
        raise InputError(f"{out / CHECKPOINTS}: none of its files can be read; begin the run again")
    return None


def _load(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format") != FORMAT:
        raise ValueError(f"is of format {state.get('format')}, this version reads {FORMAT}")
    return state
