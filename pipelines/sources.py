"""What is known of the public datasets: ``manifests/sources/*.yaml``, one file a dataset."""

from fnmatch import fnmatch
from functools import cache
from importlib.resources import files

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public dataset: where it is described, its licence, and its files with their expected counts."""

    name: str
    homepage: str
    licence: str
    format: str
    files: list[str]
    expected: dict[str, int] = {}


@cache
def sources() -> tuple[Source, ...]:
    """All source files, ordered by name."""
    folder = files("manifests") / "sources"
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".yaml"))
    return tuple(msgspec.yaml.decode((folder / name).read_bytes(), type=Source) for name in names)


def licence_of(path: str) -> str | None:
    """Licence of an input by its file name, or None where the name is of no known dataset."""
    name = path.rsplit("/", 1)[-1].removesuffix(".gz")
    return next((one.licence for one in sources() for pattern in one.files if fnmatch(name, pattern)), None)
