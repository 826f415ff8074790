"""Many small files by name (``Sentences/36979.txt``), in a folder or in a zip, at any fsspec address."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from fsspec import AbstractFileSystem

from xdetr_data.addresses.reading import file_system, reading
from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import MAX_ELEMENT_BYTES, locate

_NOT_THERE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder, or a zip whose files may lie in a folder of their own; ``holds`` is a folder by which that is known."""

    path: str
    holds: str

    @property
    def is_zip(self) -> bool:
        """Whether it is a zip, by its name."""
        return self.path.endswith(".zip")

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """The bytes of each file, None where there is no such file.

        Raises InputError where one cannot be read, or where the folder or zip holds no folder ``holds``.
        """
        return self._unzip(names) if self.is_zip else self._read(names)

    def _read(self, names: Sequence[str]) -> list[bytes | None]:
        fs, root = _folder(self.path, self.holds)
        paths = [f"{root}/{name}" for name in names]
        with reading(self.path):
            found = fs.cat(paths, on_error="return") if paths else {}
        return [_content(path, found[path]) for path in paths]

    def _unzip(self, names: Sequence[str]) -> list[bytes | None]:
        archive, prefix = _opened(self.path, self.holds)
        known = archive.NameToInfo
        return [self._member(archive, known.get(prefix + name)) for name in names]

    def _member(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo | None) -> bytes | None:
        if info is None:
            return None
        if info.file_size > MAX_ELEMENT_BYTES:
            raise InputError(f"{self.path}: {info.filename} is larger than 64 MiB; is it the right zip?")
        with reading(f"{self.path}: {info.filename}"):
            return archive.read(info)


def _content(path: str, found: bytes | Exception) -> bytes | None:
    if isinstance(found, _NOT_THERE):
        return None
    if isinstance(found, Exception):
        with reading(path):
            raise found
    return found


@lru_cache(maxsize=8)
def _folder(path: str, holds: str) -> tuple[AbstractFileSystem, str]:
    fs, root = file_system(path)
    with reading(path, "reached"):
        is_there = fs.isdir(f"{root}/{holds}")
    if not is_there:
        raise InputError(f"{path}: holds no folder {holds}; give the folder above it, or the zip")
    return fs, root


@lru_cache(maxsize=8)
def _opened(path: str, holds: str) -> tuple[zipfile.ZipFile, str]:
    """The zip, open, and what stands before ``holds`` in the names of its files."""
    fs, zipped = locate(path)
    with reading(path):  # not a stream that is watched itself: a zip's reader tries places that there are not
        archive = zipfile.ZipFile(fs.open(zipped, "rb"))
    for name in archive.NameToInfo:
        before, found, _ = f"/{name}".partition(f"/{holds}/")
        if found and "__MACOSX" not in before:
            return archive, f"{before}/"[1:]
    raise InputError(f"{path}: holds no folder {holds}; is it the right zip?")
