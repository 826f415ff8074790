"""The one door to files that are read, at any fsspec address: whatever a driver raises becomes InputError in one line.

Drivers raise classes without a base in common (botocore's, aiohttp's, google.auth's, those of decompressors), of
packages that need not be installed here. What is called inside ``reading`` is a driver and nothing else, so that no
error of the toolkit itself is taken for one.
"""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec
from fsspec import AbstractFileSystem

from xdetr_data.errors import InputError, XdetrDataError

_NO_TEXT = re.compile(r"[\ud800-\udfff]")
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)


@contextmanager
def reading(address: str, doing: str = "read") -> Iterator[None]:
    """What fails inside, fails because of what is at ``address``: InputError names it, why, and the remedy."""
    try:
        yield
    except (XdetrDataError, MemoryError):
        raise
    except Exception as error:
        why = cause(error)
        raise InputError(f"{address}: cannot be {doing} ({why}); {_remedy(error, why)}") from error


def cause(error: Exception) -> str:
    """What a driver says is wrong, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


def is_refused(error: Exception, why: str) -> bool:
    """Whether somebody may not do this: no permission, or no credentials."""
    words = why.lower()
    return isinstance(error, PermissionError) or any(
        one in words for one in ("credential", "forbidden", "unauthorized", "access denied", "401", "403")
    )


def _remedy(error: Exception, why: str) -> str:
    if isinstance(error, _DAMAGED):
        return "it is damaged or cut short, fetch it again"
    if "range request" in why or isinstance(error, io.UnsupportedOperation):
        return "its server gives no byte ranges: download the file first"
    if isinstance(error, ImportError):
        return "install what it names"
    if is_refused(error, why):
        return "check the credentials and the address"
    return "check the address"


def file_system(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the name there; raises InputError where there is no driver for it, or where a
    name is no text, so that no record could say it."""
    if _NO_TEXT.search(address):
        raise InputError(f"{address!a}: the name is no UTF-8; rename it")
    with reading(address, "reached"):
        fs, name = fsspec.url_to_fs(address)
    return fs, name


def open_file(fs: AbstractFileSystem, name: str, address: str, *, is_gzip: bool = False) -> IO[bytes]:
    """Opens a file for reading; what then fails in reading it is InputError, too."""
    with reading(address):
        stream: Any = fs.open(name, "rb", compression="gzip" if is_gzip else None)
    return GuardedStream(stream, address)


class GuardedStream(io.BufferedIOBase, IO[bytes]):
    """A file open for reading whose driver's errors are InputError; ``address`` is what it is called in them."""

    def __init__(self, stream: IO[bytes], address: str) -> None:
        self._stream = stream
        self._address = address

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes, all that is left without it."""
        with reading(self._address):
            return self._stream.read(-1 if size is None else size)

    def read1(self, size: int = -1, /) -> bytes:
        """Some bytes, as ``io.TextIOWrapper`` asks for them."""
        return self.read(io.DEFAULT_BUFFER_SIZE if size < 0 else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Moves to a byte."""
        with reading(self._address):
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The byte that is read next."""
        with reading(self._address):
            return self._stream.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Whether the driver can go back."""
        return self._stream.seekable()

    def close(self) -> None:
        """Closes the file below, too."""
        if not self.closed:
            with reading(self._address):
                self._stream.close()
        super().close()
