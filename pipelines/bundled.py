"""What comes with the package and is called by name: run files (``--run toy``) and checkpoints (``--ckpt toy``).

They lie in the package ``manifests``, so that a name means the same in a checkout and from a wheel. A run file or a
checkpoint that is there under this path wins over a name.
"""

from importlib.resources import files
from pathlib import Path

_PREFIX = "xdetr-"  # of the bundled checkpoints' folders


def run_files() -> dict[str, Path]:
    """The run files by name: their files without ``.yaml``."""
    return {file.stem: file for file in sorted((_manifests() / "runs").glob("*.yaml"))}


def checkpoints() -> dict[str, Path]:
    """The checkpoints by name: their folders without ``xdetr-``."""
    folders = sorted(_manifests().glob(f"checkpoints/{_PREFIX}*/"))
    return {folder.name.removeprefix(_PREFIX): folder for folder in folders}


def run_file(name: str) -> str:
    """The path that ``--run`` means: what is there as it stands, or the run file of that name."""
    return name if Path(name).expanduser().is_file() else str(run_files().get(name, name))


def checkpoint(name: str) -> str:
    """The directory that ``--ckpt`` means: what is there as it stands, or the checkpoint of that name; else the same,
    which may be a model of the hub."""
    return name if (Path(name).expanduser() / "config.json").is_file() else str(checkpoints().get(name, name))


def _manifests() -> Path:
    return Path(str(files("manifests")))
