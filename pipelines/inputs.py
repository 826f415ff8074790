"""The inputs of a run as the manifest names them; what is known of the public ones is ``manifests/sources/*.yaml``."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import msgspec

from pipelines import console
from pipelines.execution import Executor
from xdetr_data.addresses.identity import file_identity
from xdetr_data.manifest import InputEntry


class SourceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a public dataset, or files of one kind.

    Attributes:
        name: as the dataset calls it, with wildcards, behind folders where the name alone does not tell it.
        format: how its elements are counted (``xdetr_data.sources.counting``).
        takes: the flags that take it: ``build flickr30k --ids``.
        counts: how many elements it has by kind, of several files that the name matches all together.
    """

    name: str
    format: str
    takes: list[str] = msgspec.field(name="for")
    counts: dict[str, int] = {}

    def matches(self, path: str) -> bool:
        """Whether a file, packed or not, is this one."""
        path = path.removesuffix(".gz")
        if not path.endswith(self.name.rpartition("*")[2]):  # most of what lies about are photos
            return False
        wanted = self.name.split("/")
        parts = path.split("/")[-len(wanted) :]
        return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

    def lies_in(self, folder: str) -> bool:
        """Whether a folder is the one that files of this name lie in."""
        parent, _, name = self.name.rpartition("/")
        return "*" in name and bool(parent) and folder.rstrip("/").rpartition("/")[2] == parent


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public dataset: where it is described, its licence, and its files."""

    name: str
    homepage: str
    licence: str
    files: list[SourceFile]


@cache
def sources() -> tuple[Source, ...]:
    """All source files, ordered by name."""
    folder = files("manifests") / "sources"
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".yaml"))
    return tuple(msgspec.yaml.decode((folder / name).read_bytes(), type=Source) for name in names)


def source_of(path: str) -> Source | None:
    """The public dataset that an input is of, a file or a folder, by its name; None where no dataset has such a one."""
    return next((one for one in sources() for file in one.files if file.matches(path) or file.lies_in(path)), None)


def identify_inputs(roles: Sequence[tuple[str, str]], run: Executor) -> list[InputEntry]:
    """Size, sha256 and dataset of every (role, path), in their order; files are read in parallel."""
    found: dict[str, tuple[int, str]] = {}
    paths = list(dict.fromkeys(path for _, path in roles))
    with console.progress("hashing inputs", len(paths)) as advance:
        for path, identity in run(_file_identity, None, paths):
            found[path] = identity
            advance(1)
    return [_entry(role, path, *found[path]) for role, path in roles]


def _entry(role: str, path: str, size: int, sha256: str) -> InputEntry:
    source = source_of(path)
    known = {} if source is None else {"dataset": source.name, "homepage": source.homepage, "licence": source.licence}
    return InputEntry(role=role, path=path, bytes=size, sha256=sha256, **known)


def _file_identity(_: None, path: str) -> tuple[str, tuple[int, str]]:
    return path, file_identity(path)
