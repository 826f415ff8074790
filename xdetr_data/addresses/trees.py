"""Addresses of files below a folder or in an archive: listed with everything that links lead to, and opened.

Folders may be paths, fsspec addresses, and chains of them (``zip://train2014::train2014.zip``).
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

from fsspec.implementations.local import LocalFileSystem

from xdetr_data.addresses.reading import GuardedStream, file_system, open_file, reading

_LOCAL = "file://"
_ARCHIVES = ("zip", "tar", "libarchive")


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that was listed: ``begin`` and ``end`` of its files' addresses stand around a file's path."""

    begin: str
    end: str = ""

    def address(self, path: str) -> str:
        """The address of the file at a path below the folder."""
        return f"{self.begin}{path}{self.end}"

    def holds(self, address: str) -> bool:
        """Whether an address is one of a file below the folder."""
        return address.startswith(self.begin) and address.endswith(self.end)

    @property
    def folders(self) -> list[str]:
        """The folders that lead to it, outermost first."""
        return [part for part in self.begin.split("/") if part]


def list_tree(root: str) -> tuple[Tree, Iterator[tuple[str, int]]] | None:
    """The folder at an address and all its files in alphabetical order, each as its path below it and its size.

    Linked folders are followed. None where the address is no folder; raises InputError where it cannot be reached.
    """
    with reading(root, "listed"):
        fs, path = _folder(root)
        if not fs.isdir(path):
            return None
        base = path.rstrip("/")
        if isinstance(fs, LocalFileSystem):
            return tree_of(root), iter(sorted(_walk(base, "", ())))
        found: dict[str, Any] = fs.find(path, detail=True)
        cut = len(base) + 1 if base else 0
        files = [(name[cut:], int(found[name]["size"] or 0)) for name in sorted(found) if _is_file(fs, found, name)]
        return tree_of(root), iter(files)


def tree_of(root: str) -> Tree:
    """The folder at an address, not listed; raises InputError where it cannot be reached."""
    fs, path = _folder(root)
    base = path.rstrip("/")
    if isinstance(fs, LocalFileSystem):
        return Tree(f"{_LOCAL}{base}/")
    first, sign, rest = root.partition("::")
    protocol = first.partition("://")[0]
    if sign and protocol in _ARCHIVES:
        return Tree(f"{protocol}://{base}/" if base else f"{protocol}://", f"{sign}{rest}")
    return Tree((f"{first}{sign}" if sign else "") + fs.unstrip_protocol(base).rstrip("/") + "/")


def _folder(root: str) -> tuple[Any, str]:
    """The file system of an address, and the folder there; of one in a tar, whose names may begin with ``./``."""
    fs, path = file_system(root)
    dotted = f"./{path}"
    return fs, dotted if root.startswith("tar://") and not fs.isdir(path) and fs.isdir(dotted) else path


def _is_file(fs: Any, found: dict[str, Any], name: str) -> bool:
    return bool(found[name]["type"] == "file" or fs.isfile(name))


def _walk(top: str, below: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, int]]:
    """Files below a folder; a link to a folder that leads here is not followed again."""
    here = os.stat(f"{top}/{below}")
    if (identity := (here.st_dev, here.st_ino)) in above:
        return
    with os.scandir(f"{top}/{below}") as entries:
        for entry in entries:
            is_link = entry.is_symlink()  # of one that leads nowhere, os.path says so without an error
            if os.path.isdir(entry.path) if is_link else entry.is_dir():
                yield from _walk(top, f"{below}{entry.name}/", (*above, identity))
            elif os.path.isfile(entry.path) if is_link else entry.is_file():  # and no pipe
                yield f"{below}{entry.name}", entry.stat().st_size


def open_address(address: str) -> AbstractContextManager[IO[bytes]]:
    """Opens a file for reading; an archive's table of contents is read once a process.

    Raises InputError where it cannot be opened; what is read of it, then.
    """
    if address.startswith(_LOCAL):
        with reading(address):
            return GuardedStream(open(address.removeprefix(_LOCAL), "rb"), address)
    first, sign, rest = address.partition("::")
    protocol, _, name = first.partition("://")
    if sign and protocol in _ARCHIVES:
        with reading(address):
            archive = _archive(protocol, rest)
        return open_file(archive, name, address)
    return open_file(*file_system(address), address)


@lru_cache(maxsize=16)
def _archive(protocol: str, address: str) -> Any:
    return file_system(f"{protocol}://::{address}")[0]
