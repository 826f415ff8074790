"""Makes ``model.safetensors`` of ``pytorch_model.bin``, for published weights that come as a pickle only.

    python -m xdetr_model.checkpoints.convert DIR

Tensors alone are read (torch's ``weights_only``): a pickle that would run code is refused. Nothing else is changed.
"""

import argparse
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from xdetr_model.errors import CheckpointError, XdetrModelError, one_line

PICKLE, SAFE = "pytorch_model.bin", "model.safetensors"


def convert(directory: Path) -> Path:
    """Writes ``model.safetensors`` beside the ``pytorch_model*.bin`` of a directory. Raises CheckpointError."""
    files = sorted(directory.glob("pytorch_model*.bin"))
    if not files:
        raise CheckpointError(f"{directory}: holds no {PICKLE} to convert; give the directory that does")
    if (directory / SAFE).exists():
        raise CheckpointError(f"{directory}: has {SAFE} already; nothing is to be converted")
    weights = {name: tensor for file in files for name, tensor in _tensors(file).items()}
    temporary = directory / f".{SAFE}.tmp"
    # a copy of each: safetensors stores no tensor under two names
    save_file({name: one.detach().clone().contiguous() for name, one in weights.items()}, temporary, {"format": "pt"})
    return temporary.rename(directory / SAFE)


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{file}: holds more than tensors, or is damaged ({one_line(error)[:120]}); it is not loaded"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise CheckpointError(f"{file}: holds no table of tensors by name; it is no {PICKLE} of transformers")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m xdetr_model.checkpoints.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help=f"a checkpoint with {PICKLE}")
    try:
        print(f"{convert(parser.parse_args(argv).directory)}: written", file=sys.stderr)
    except (XdetrModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
