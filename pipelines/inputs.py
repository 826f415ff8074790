"""The inputs of a run as the manifest names them; what is known of the public ones is ``manifests/sources/*.yaml``."""

from collections.abc import Sequence
from fnmatch import fnmatch
from functools import cache
from importlib.resources import files

import msgspec

from pipelines import console
from pipelines.execution import Executor
from xdetr_data.manifest import InputEntry
from xdetr_data.storage import file_identity


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


def identify_inputs(roles: Sequence[tuple[str, str]], run: Executor) -> list[InputEntry]:
    """Size, sha256 and licence of every (role, path), in their order; files are read in parallel."""
    found: dict[str, tuple[int, str]] = {}
    paths = list(dict.fromkeys(path for _, path in roles))
    with console.progress("hashing inputs", len(paths)) as advance:
        for path, identity in run(_file_identity, None, paths):
            found[path] = identity
            advance(1)
    return [
        InputEntry(role=role, path=path, bytes=found[path][0], sha256=found[path][1], licence=licence_of(path))
        for role, path in roles
    ]


def _file_identity(_: None, path: str) -> tuple[str, tuple[int, str]]:
    return path, file_identity(path)
