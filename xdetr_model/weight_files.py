"""Directories of weights: found here or fetched from the Hugging Face hub, and looked at before anything reads them.

Only safetensors and JSON are read; nothing in such a directory is ever executed. A name that is no directory is taken
as a name on the hub and fetched once; everything is then loaded from the files.
"""

import os
from pathlib import Path

from safetensors import SafetensorError, safe_open

from xdetr_model.errors import CheckpointError, one_line

SAFE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")
CONVERT = "python -m xdetr_model.checkpoints.convert"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def checkpoint_directory(name: str | os.PathLike[str]) -> Path:
    """The directory of a checkpoint, downloading it if ``name`` is one on the hub. Raises CheckpointError."""
    return local_directory(name) or _download(str(name))


def local_directory(name: str | os.PathLike[str]) -> Path | None:
    """The directory of a checkpoint that is here, None where ``name`` is one on the hub; fetches nothing.

    Raises CheckpointError for what is neither.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise CheckpointError(f"{name}: is a file; give the directory that holds config.json and model.safetensors")
    if _looks_like_path(str(name)):
        raise CheckpointError(f"{name}: no such directory; give a checkpoint directory or a hub name OWNER/MODEL")
    return None


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or "\\" in name or name.endswith("/")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(SAFE_FILES)))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(f"{name}: no such directory and no such model on the hub; check the name") from error
    except Exception as error:  # the hub client raises the errors of whatever HTTP library it uses
        raise CheckpointError(
            f"{name}: no such directory, and the hub cannot be reached ({type(error).__name__}); where there is a "
            f"network run `hf download {name} --local-dir DIR`, then give DIR"
        ) from error


def weights_directory(name: str | os.PathLike[str]) -> Path:
    """The directory of a checkpoint that is safe and whole, downloading it if need be. Raises CheckpointError."""
    directory = checkpoint_directory(name)
    check_safe_weights(directory)
    return directory


def check_safe_weights(directory: Path) -> None:
    """Raises CheckpointError unless the directory holds undamaged safetensors weights and a config.json."""
    if not (directory / "config.json").is_file():
        raise CheckpointError(f"{directory}: holds no config.json, so it is no checkpoint; give the one that does")
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        pickles = sorted(p.name for p in directory.iterdir() if p.suffix in PICKLES)
        if pickles:
            is_published = pickles[0].startswith("pytorch_model")
            remedy = f"convert it, without running any, with: {CONVERT} {directory}"
            if not is_published:
                remedy = "save the model again with save_pretrained to get model.safetensors"
            raise CheckpointError(
                f"{directory}: {pickles[0]} is a pickle, which can run code and is not loaded; {remedy}"
            )
        raise CheckpointError(
            f"{directory}: holds no model.safetensors; copy or download the checkpoint again (where the hub has "
            f"pytorch_model.bin alone: hf download NAME --local-dir DIR, then {CONVERT} DIR)"
        )
    for file in weights:
        check_safetensors(file)


def check_safetensors(file: Path) -> None:
    """Raises CheckpointError for a file that is not whole."""
    try:
        with safe_open(file, framework="pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: is damaged ({one_line(error)}); copy or download the checkpoint again"
        ) from error
