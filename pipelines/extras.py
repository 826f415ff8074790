"""Packages that an extra brings, and the one line that says how to have a missing one."""

import sys
from pathlib import Path

# Which extras bring a module that the base install lacks; the first one that the program is about is named.
BROUGHT_BY: dict[str, tuple[str, ...]] = {
    "datasets": ("hf",),
    "faiss": ("search",),
    "fiftyone": ("qa",),
    "huggingface_hub": ("hf",),
    "imagehash": ("alike",),
    "ray": ("ray",),
    "s3fs": ("s3",),
    "safetensors": ("label", "train", "eval", "search"),
    "scipy": ("label", "train", "eval", "search"),
    "shtab": ("train",),
    "spacy": ("label",),
    "starlette": ("search",),
    "tensorboard": ("train",),
    "torch": ("label", "train", "eval", "search"),
    "transformers": ("label", "train", "eval", "search"),
    "uvicorn": ("search",),
}


def install_line(module: str, program: str | None = None) -> str:
    """How to have a module that is not installed, as ``pip install 'xdetr-data[ray]'``; ``program``: who asks for it,
    by default what this process was called as."""
    about = (Path(sys.argv[0]).stem if program is None else program).removeprefix("xdetr-")
    extras = BROUGHT_BY[module]
    return f"pip install 'xdetr-data[{about if about in extras else extras[0]}]'"


def missing(error: ImportError) -> str | None:
    """The line for a module that is not installed; None where no extra brings it, so that the error is one of ours."""
    module = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or module not in BROUGHT_BY:
        return None
    return f"{module} is not installed; it comes with {install_line(module)}"
