"""Files of an output folder at any fsspec address, written so that a reader sees a whole file or none."""

import errno
import glob
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, Literal

import msgspec
from fsspec.implementations.local import LocalFileSystem

from xdetr_data.addresses.reading import cause, file_system, is_refused, open_file, reading
from xdetr_data.errors import InputError, OutputError, XdetrDataError

_TEMPORARY = ".tmp-"
# Of stores that know objects alone: there a folder is a name, and to make one would make the bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "cos", "tos", "obs", "hf"})


class HashingWriter:
    """A file for writing that knows the size and sha256 of what went through it; raises OutputError where it fails."""

    def __init__(self, stream: IO[bytes], path: str) -> None:
        self._stream = stream
        self._path = path
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Writes and hashes."""
        self._sha256.update(data)
        self.size += len(data)
        with _output(self._path):
            self._stream.write(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written."""
        return self.size

    def flush(self) -> None:
        """Flushes the file below."""
        with _output(self._path):
            self._stream.flush()

    def close(self) -> None:
        """Leaves closing to the owner of the file below; pyarrow calls this."""

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of all bytes written."""
        return self._sha256.hexdigest()


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the dataset: its name relative to the output folder, bytes and sha256."""

    name: str
    bytes: int
    sha256: str


@contextmanager
def _output(path: str) -> Iterator[None]:
    """What fails inside, fails because of the output at ``path``, and says so: a driver may raise anything."""
    try:
        yield
    except (XdetrDataError, MemoryError):
        raise
    except Exception as error:
        why = cause(error)
        raise OutputError(
            f"{path}: cannot be written ({why}); {_remedy(error, why)} or choose another --out, then --resume"
        ) from error


def _remedy(error: Exception, why: str) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room"
    if is_refused(error, why) or number == errno.EROFS:
        return "get the right to write there"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "is its folder or bucket there? Make it again"
    return "wait until it can be reached"


@lru_cache(maxsize=64)
def _file_system(url: str, process: int) -> tuple[Any, str]:
    """The file system of an address for one process: a driver's threads and connections do not survive a fork."""
    return file_system(url)


@dataclass(frozen=True)
class Folder:
    """A folder at an fsspec address (a path, ``s3://…``)."""

    url: str

    @property
    def _fs_root(self) -> tuple[Any, str]:
        return _file_system(self.url, os.getpid())

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine's own file system."""
        return isinstance(self._fs_root[0], LocalFileSystem)

    def path(self, name: str) -> str:
        """The address of a file in the folder, as its own file system writes it."""
        return f"{self._fs_root[1]}/{name}"

    def exists(self, name: str = "") -> bool:
        """Whether the file (or the folder itself) is there."""
        fs, root = self._fs_root
        path = self.path(name) if name else root
        with self._reading(path, "reached"):
            return bool(fs.exists(path))

    def is_folder(self, name: str = "") -> bool:
        """Whether the name (or the folder itself) is a folder that is there."""
        fs, root = self._fs_root
        path = self.path(name) if name else root
        with self._reading(path, "reached"):
            return bool(fs.isdir(path))

    def size(self, name: str) -> int | None:
        """Size of a file in bytes, or None where there is none."""
        fs, _ = self._fs_root
        path = self.path(name)
        with self._reading(path, "reached"):
            return int(fs.size(path)) if fs.isfile(path) else None

    def names(self, pattern: str = "*") -> list[str]:
        """Names of files that match a glob, relative to the folder, sorted; temporary files are left out."""
        root = self._fs_root[1]
        found = (path[len(root) + 1 :] for path in self._glob(pattern))
        return sorted(name for name in found if _TEMPORARY not in name)

    def _glob(self, pattern: str) -> list[str]:
        fs, root = self._fs_root
        with self._reading(root, "listed"):
            return [str(path) for path in fs.glob(f"{glob.escape(root)}/{pattern}")]

    def _reading(self, path: str, doing: str = "read") -> AbstractContextManager[None]:
        """What fails inside, fails because of what is at a path of this file system."""
        return reading(self._named(path), doing)

    def _named(self, path: str) -> str:
        return path if self.is_local else str(self._fs_root[0].unstrip_protocol(path))

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading; raises InputError where there is none, or where it cannot be read to its end."""
        path = self.path(name)
        return open_file(self._fs_root[0], path, self._named(path))

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        with self.open(name) as stream:
            return stream.read()

    def read_range(self, name: str, offset: int, count: int) -> bytes:
        """``count`` bytes of a file from ``offset`` on, asked for in one request and nothing else with them.

        Raises InputError where the file is missing or ends before.
        """
        path = self.path(name)
        with self._reading(path):
            data: bytes = self._fs_root[0].cat_file(path, start=offset, end=offset + count)
        if len(data) != count:
            raise InputError(f"{path}: ends before byte {offset + count}: it was cut off; copy it again")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Writes a whole file atomically."""
        with self.writing(name) as stream:
            stream.write(data)

    def put(self, name: str, data: bytes, *, replace: bool) -> bool:
        """Writes a small file in one go; without ``replace`` only where there is none. Whether it did.

        Raises OutputError where the folder cannot be written.
        """
        fs, _ = self._fs_root
        path = self.path(name)
        with _output(self._named(path)):
            try:
                if self.is_local:
                    self._put_here(path, data, "wb" if replace else "xb")
                else:
                    self._make_folder(path.rpartition("/")[0])
                    fs.pipe_file(path, data, mode="overwrite" if replace else "create")
            except FileExistsError:
                return False
        return True

    def _put_here(self, path: str, data: bytes, mode: Literal["wb", "xb"]) -> None:
        try:
            stream = open(path, mode)  # noqa: SIM115
        except FileNotFoundError:
            self._make_folder(path.rpartition("/")[0])
            stream = open(path, mode)  # noqa: SIM115
        with stream:
            stream.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[HashingWriter]:
        """A file that takes its name only when the block ends well: temporary name, fsync, rename.

        Raises OutputError where the disk is full or the folder cannot be written. An error of the block itself passes
        as it is.
        """
        fs, _ = self._fs_root
        final = self.path(name)
        parent, _, base = final.rpartition("/")
        temporary = f"{parent}/.{base}{_TEMPORARY}{uuid.uuid4().hex[:12]}"
        named = self._named(final)
        try:
            with _output(named):
                self._make_folder(parent)
                stream = fs.open(temporary, "wb")
            try:
                sink = HashingWriter(stream, named)
                yield sink
                sink.flush()
                if self.is_local:
                    with _output(named):
                        os.fsync(stream.fileno())
            finally:
                with _output(named):
                    stream.close()
            with _output(named):
                if self.is_local:
                    os.replace(temporary, final)
                else:
                    fs.mv(temporary, final)
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell; ``sweep`` removes what is left
                if fs.exists(temporary):
                    fs.rm_file(temporary)
            raise

    def _make_folder(self, path: str) -> None:
        fs, _ = self._fs_root
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        if not protocols & _OBJECT_STORES:
            fs.makedirs(path, exist_ok=True)

    def remove(self, name: str) -> None:
        """Removes a file or a folder with all that is in it, if it is there."""
        if self.exists(name):
            with _output(self._named(self.path(name))):
                self._fs_root[0].rm(self.path(name), recursive=True)

    def sweep(self) -> None:
        """Removes the temporary files that killed processes left."""
        for path in [*self._glob(f".*{_TEMPORARY}*"), *self._glob(f"*/.*{_TEMPORARY}*")]:
            with _output(self._named(path)):
                self._fs_root[0].rm_file(path)


def split_address(address: str) -> tuple[Folder, str]:
    """The folder that a file at a path or an address is in, and its name there."""
    folder, sign, name = address.rpartition("/")
    return Folder(folder or sign or "."), name
