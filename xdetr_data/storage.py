"""Files of an output folder at any fsspec address, written so that a reader sees a whole file or none."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from xdetr_data.errors import InputError, OutputError

_TEMPORARY = ".tmp-"


class HashingWriter:
    """A file for writing that knows the size and sha256 of what went through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Writes and hashes."""
        self._sha256.update(data)
        self.size += len(data)
        self._stream.write(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written."""
        return self.size

    def flush(self) -> None:
        """Flushes the file below."""
        self._stream.flush()

    def close(self) -> None:
        """Leaves closing to the owner of the file below; pyarrow calls this."""

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of all bytes written."""
        return self._sha256.hexdigest()


@dataclass(frozen=True)
class Folder:
    """A folder at an fsspec address (a path, ``s3://…``)."""

    url: str

    @cached_property
    def _fs_root(self) -> tuple[Any, str]:
        try:
            fs, root = fsspec.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise OutputError(f"{self.url}: {error}") from error
        return fs, root

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine's own file system."""
        return isinstance(self._fs_root[0], LocalFileSystem)

    def __getstate__(self) -> dict[str, str]:
        """Only the address travels to another process."""
        return {"url": self.url}

    def path(self, name: str) -> str:
        """The address of a file in the folder, as its own file system writes it."""
        return f"{self._fs_root[1]}/{name}"

    def exists(self, name: str = "") -> bool:
        """Whether the file (or the folder itself) is there."""
        fs, root = self._fs_root
        return bool(fs.exists(self.path(name) if name else root))

    def names(self, pattern: str = "*") -> list[str]:
        """Names of files that match a glob, relative to the folder, sorted; temporary files are left out."""
        fs, root = self._fs_root
        found = (str(path)[len(root) + 1 :] for path in fs.glob(f"{root}/{pattern}"))
        return sorted(name for name in found if _TEMPORARY not in name)

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading; raises InputError where there is none."""
        try:
            stream: IO[bytes] = self._fs_root[0].open(self.path(name), "rb")
        except OSError as error:
            raise InputError(f"{self.path(name)}: cannot be read ({error.strerror or error})") from error
        return stream

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        with self.open(name) as stream:
            return stream.read()

    def write(self, name: str, data: bytes) -> None:
        """Writes a whole file atomically."""
        with self.writing(name) as stream:
            stream.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[HashingWriter]:
        """A file that takes its name only when the block ends well: temporary name, fsync, rename.

        Raises OutputError where the disk is full or the folder cannot be written.
        """
        fs, _ = self._fs_root
        final = self.path(name)
        parent, _, base = final.rpartition("/")
        temporary = f"{parent}/.{base}{_TEMPORARY}{uuid.uuid4().hex[:12]}"
        try:
            try:
                fs.makedirs(parent, exist_ok=True)
                with fs.open(temporary, "wb") as stream:
                    yield HashingWriter(stream)
                    stream.flush()
                    if self.is_local:
                        os.fsync(stream.fileno())
                if self.is_local:
                    os.replace(temporary, final)
                else:
                    fs.mv(temporary, final)
            except BaseException:
                self._discard(temporary)
                raise
        except OSError as error:
            remedy = "make room or choose another --out, then --resume"
            raise OutputError(f"{final}: cannot be written ({error.strerror or error}); {remedy}") from error

    def _discard(self, path: str) -> None:
        fs = self._fs_root[0]
        if fs.exists(path):
            fs.rm_file(path)

    def remove(self, name: str) -> None:
        """Removes a file or a folder with all that is in it, if it is there."""
        if self.exists(name):
            self._fs_root[0].rm(self.path(name), recursive=True)

    def sweep(self) -> None:
        """Removes the temporary files that killed processes left."""
        fs, root = self._fs_root
        for path in [*fs.glob(f"{root}/.*{_TEMPORARY}*"), *fs.glob(f"{root}/*/.*{_TEMPORARY}*")]:
            fs.rm_file(path)


def file_identity(path: str) -> tuple[int, str]:
    """Size in bytes and sha256 of an input file at any fsspec address, as it is stored."""
    digest = hashlib.sha256()
    size = 0
    try:
        with fsspec.open(path, "rb").open() as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                size += len(block)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); check the address") from error
    return size, digest.hexdigest()
