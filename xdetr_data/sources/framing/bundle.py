"""Many small files by name (``Sentences/36979.txt``), in a folder or in a zip, at any fsspec address."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import fsspec

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import MAX_ELEMENT_BYTES, READ_ERRORS, open_input

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
        try:
            return archive.read(info)
        except (*READ_ERRORS, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise InputError(f"{self.path}: {info.filename} cannot be read ({error}); fetch the zip again") from error


def _content(path: str, found: bytes | Exception) -> bytes | None:
    if isinstance(found, _NOT_THERE):
        return None
    if isinstance(found, Exception):
        raise InputError(f"{path}: cannot be read ({found}); check the file") from found
    return found


@lru_cache(maxsize=8)
def _folder(path: str, holds: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        fs, root = fsspec.url_to_fs(path)
        is_there = fs.isdir(f"{root}/{holds}")
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be reached ({error}); check the address") from error
    if not is_there:
        raise InputError(f"{path}: holds no folder {holds}; give the folder above it, or the zip")
    return fs, root


@lru_cache(maxsize=8)
def _opened(path: str, holds: str) -> tuple[zipfile.ZipFile, str]:
    """The zip, open, and what stands before ``holds`` in the names of its files."""
    try:
        archive = zipfile.ZipFile(open_input(path))
    except (*READ_ERRORS, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is no whole zip ({error}); fetch it again") from error
    for name in archive.NameToInfo:
        before, found, _ = f"/{name}".partition(f"/{holds}/")
        if found and "__MACOSX" not in before:
            return archive, f"{before}/"[1:]
    raise InputError(f"{path}: holds no folder {holds}; is it the right zip?")
