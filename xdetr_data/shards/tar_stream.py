"""Reads a shard's tar member by member, forwards only, and says where the file stops being a tar.

``tarfile`` ends silently at the first damaged header, and so would a training run. Here the end of a tar is its end
mark with nothing but zeros behind it; anything else raises TarDamage.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from xdetr_data.errors import InputError

MAX_MEMBER_BYTES = 256 << 20  # a photo or its labels; what bounds the memory of a reader

BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_NO_TEXT = re.compile(r"[\udc80-\udcff]+")  # what bytes that are no UTF-8 become in a name
_AHEAD = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
_MAX_AHEAD_BYTES = 1 << 20
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.DIRTYPE: "a folder",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


class TarDamage(InputError):
    """A tar cannot be read any further; the message says from which byte on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a tar, whose data begins at byte ``offset``.

    ``refused`` says why its data was not read (a link, too large), else it is None.
    """

    name: str
    data: bytes
    offset: int
    refused: str | None = None


class HashingReader:
    """A file for reading forwards that knows the size and sha256 of what went through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self.size = 0

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes, fewer only at the end."""
        data = self._stream.read(count)
        self._sha256.update(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        """Reads to the end."""
        while self.read(_CHUNK):
            pass

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of all bytes read."""
        return self._sha256.hexdigest()


def member_key(name: str) -> tuple[str, str]:
    """``key.jpg`` → (``key``, ``jpg``): everything before the first dot is the key, as in webdataset."""
    key, _, suffix = name.partition(".")
    return key, suffix


def any_member_key(name: str) -> tuple[str, str]:
    """``./b.2/key.jpg`` → (``b.2/key``, ``jpg``): of anybody's tars, whose folders may have dots, as in webdataset.

    Bytes of a name that are no UTF-8 are escaped: ``caf%E9``.
    """
    folder, _, base = _NO_TEXT.sub(_escape, name).rpartition("/")
    key, suffix = member_key(base)
    return "/".join([*(part for part in folder.split("/") if part not in ("", ".")), key]), suffix


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def iter_headers(stream: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar on a seekable stream, each with ``offset_data``; photos in between are skipped, not read.

    Of anybody's tar: names that are too long for a header stand in front of it, as GNU tar and POSIX write them.
    """
    offset = 0
    ahead: dict[str, str] = {}
    while True:
        stream.seek(offset)
        header = _parse_header(stream.read(BLOCK), offset)
        if header is None:
            return
        header.offset_data = offset + BLOCK
        if header.type in _AHEAD:
            if header.size > _MAX_AHEAD_BYTES:
                raise TarDamage(f"the tar has no valid header at byte {offset} (a name of {header.size} bytes)")
            ahead |= _read_ahead(header.type, stream.read(header.size), offset)
        else:
            header.name = ahead.get("path", header.name)
            header.size = int(ahead.get("size", header.size))
            ahead = {}
            yield header
        offset += BLOCK + padded(_stored_bytes(header))


def _read_ahead(kind: bytes, data: bytes, offset: int) -> dict[str, str]:
    """What a header in front of a member says of it: ``path``, ``size``, and what is not needed."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    said: dict[str, str] = {}
    while kind == tarfile.XHDTYPE and data:  # "<bytes of the record> <key>=<value>\n"
        length, _, rest = data.partition(b" ")
        if not length.isdigit() or not len(length) + 1 < int(length) <= len(data):
            raise TarDamage(f"the tar has no valid header at byte {offset} (a record of no length)")
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        said[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]
    if not said.get("size", "0").isdigit():
        raise TarDamage(f"the tar has no valid header at byte {offset} (a size that is no number)")
    return said


def iter_members(stream: IO[bytes] | HashingReader) -> Iterator[Member]:
    """The members of a tar from its first to its end mark; raises TarDamage where it is none."""
    offset = 0
    while (header := _parse_header(stream.read(BLOCK), offset)) is not None:
        size = _stored_bytes(header)
        refused = _refusal(header)
        data = _body(stream, header, size, offset, keep=refused is None)
        yield Member(name=header.name, data=data, offset=offset + BLOCK, refused=refused)
        offset += BLOCK + padded(size)
    while rest := stream.read(_CHUNK):
        if rest.strip(b"\0"):
            raise TarDamage(f"there is data behind the tar's end mark at byte {offset}")


def _parse_header(block: bytes, offset: int) -> tarfile.TarInfo | None:
    if not block:
        raise TarDamage(f"the tar has no end mark at byte {offset}: it was cut off" if offset else "the tar is empty")
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if len(block) == BLOCK and not block.strip(b"\0"):
            return None
        raise TarDamage(f"the tar has no valid header at byte {offset} ({error})") from error
    if header.size < 0:
        raise TarDamage(f"the tar has no valid header at byte {offset} (negative size)")
    return header


def _stored_bytes(header: tarfile.TarInfo) -> int:
    return 0 if header.type in _KINDS else header.size


def padded(size: int) -> int:
    """Bytes that a member's data takes: whole blocks."""
    return -(-size // BLOCK) * BLOCK


def _refusal(header: tarfile.TarInfo) -> str | None:
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return f"is {_KINDS.get(header.type, f'of type {header.type!r}')}, not a plain file"
    if header.size > MAX_MEMBER_BYTES:
        return f"has {header.size} bytes, more than {MAX_MEMBER_BYTES}"
    return None


def _body(stream: IO[bytes] | HashingReader, header: tarfile.TarInfo, size: int, offset: int, *, keep: bool) -> bytes:
    """Data of a member, its padding consumed; nothing is kept of a member that is refused."""
    kept: list[bytes] = []
    missing = padded(size)
    while missing:
        data = stream.read(min(_CHUNK, missing))
        if not data:
            raise TarDamage(f"the tar is cut off inside the member {header.name!r} that begins at byte {offset}")
        missing -= len(data)
        if keep:
            kept.append(data)
    return b"".join(kept)[:size]
