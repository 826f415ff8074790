"""Files of an output folder at any fsspec address, written so that a reader sees a whole file or none."""

import glob
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import fsspec
import msgspec
from fsspec.implementations.local import LocalFileSystem

from xdetr_data.errors import InputError, OutputError

_TEMPORARY = ".tmp-"


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
    """What fails inside, fails because of the output at ``path``, and says so."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another --out, then --resume"
        ) from error


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

    def size(self, name: str) -> int | None:
        """Size of a file in bytes, or None where there is none."""
        fs, _ = self._fs_root
        return int(fs.size(self.path(name))) if fs.isfile(self.path(name)) else None

    def names(self, pattern: str = "*") -> list[str]:
        """Names of files that match a glob, relative to the folder, sorted; temporary files are left out."""
        root = self._fs_root[1]
        found = (path[len(root) + 1 :] for path in self._glob(pattern))
        return sorted(name for name in found if _TEMPORARY not in name)

    def _glob(self, pattern: str) -> list[str]:
        fs, root = self._fs_root
        return [str(path) for path in fs.glob(f"{glob.escape(root)}/{pattern}")]

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

    def read_range(self, name: str, offset: int, count: int) -> bytes:
        """``count`` bytes of a file from ``offset`` on, asked for in one request and nothing else with them.

        Raises InputError where the file is missing or ends before.
        """
        path = self.path(name)
        try:
            data: bytes = self._fs_root[0].cat_file(path, start=offset, end=offset + count)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
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
        with _output(path):
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                if self.is_local:
                    with open(path, "wb" if replace else "xb") as stream:
                        stream.write(data)
                else:
                    fs.pipe_file(path, data, mode="overwrite" if replace else "create")
            except FileExistsError:
                return False
        return True

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
        try:
            with _output(final):
                fs.makedirs(parent, exist_ok=True)
                stream = fs.open(temporary, "wb")
            try:
                sink = HashingWriter(stream, final)
                yield sink
                sink.flush()
                if self.is_local:
                    with _output(final):
                        os.fsync(stream.fileno())
            finally:
                with _output(final):
                    stream.close()
            with _output(final):
                if self.is_local:
                    os.replace(temporary, final)
                else:
                    fs.mv(temporary, final)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell; ``sweep`` removes what is left
                if fs.exists(temporary):
                    fs.rm_file(temporary)
            raise

    def remove(self, name: str) -> None:
        """Removes a file or a folder with all that is in it, if it is there."""
        if self.exists(name):
            self._fs_root[0].rm(self.path(name), recursive=True)

    def sweep(self) -> None:
        """Removes the temporary files that killed processes left."""
        for path in [*self._glob(f".*{_TEMPORARY}*"), *self._glob(f"*/.*{_TEMPORARY}*")]:
            self._fs_root[0].rm_file(path)


def file_identity(path: str) -> tuple[int, str]:
    """Size in bytes and sha256 of an input file at any fsspec address, as it is stored.

    Of a folder, the size of all files below it, and the sha256 of what ``sha256sum`` prints of them in the order of
    their names: ``(cd DIR && find * -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum``.
    """
    try:
        fs, root = fsspec.url_to_fs(path)
        if not fs.isdir(root):
            return _identity(fs, root)
        files = {os.fsencode(str(name)[len(root.rstrip("/")) + 1 :]): str(name) for name in fs.find(root)}
        found = [(name, *_identity(fs, files[name])) for name in sorted(files)]
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be read ({error}); check the address") from error
    listing = b"".join(f"{sha256}  ".encode() + name + b"\n" for name, _, sha256 in found)
    return sum(size for _, size, _ in found), hashlib.sha256(listing).hexdigest()


def _identity(fs: Any, path: str) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with fs.open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()
