"""Streams the arrays of one huge JSON object (``{"images": [...], "annotations": [...]}``) in bounded memory.

Parsing is msgspec's; this module only finds where whole elements end, so that a 2 GB file is read in chunks of whole
elements, and so that the chunks of a plain file can be read again by byte range from several processes. A prefix that
parses as an array when a closing bracket is put behind it ends between two elements, or it would not parse: that is
what makes a cut safe. Where a chunk does not parse (the end of the array, NaN, damage), the standard library's scanner
walks it element by element and says where it stops.
"""

import codecs
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import fsspec
import msgspec
from fsspec import AbstractFileSystem

from xdetr_data.errors import InputError

CHUNK_BYTES = 4 << 20
MAX_ELEMENT_BYTES = 64 << 20
READ_ERRORS = (OSError, EOFError, zlib.error)  # what a stream of ``open_input`` raises on a damaged gzip file

_SPACE = re.compile(rb"[ \t\r\n]*")
_SPACE_TEXT = re.compile(r"[ \t\r\n]*")
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_STDLIB = json.JSONDecoder(parse_int=float)  # int() refuses numbers of thousands of digits
_FOLLOWS_A_VALUE = b" \t\r\n,:]}"
_LONGEST_TOKEN = len("-Infinity")
_TRUNCATED = "ends in the middle of a value: the file is truncated; fetch it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayChunk:
    """A run of whole elements of a top-level array: ``data`` is their bytes with the commas between them."""

    name: str
    offset: int
    first_row: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An element that is not what its array should hold, and why."""

    problem: str
    id: int | None = None


def is_compressed(path: str) -> bool:
    """Whether the file is gzip by its name, and so cannot be read from the middle."""
    return path.endswith(".gz")


def open_input(path: str) -> IO[bytes]:
    """Opens a plain or gzip file at any fsspec address for reading; raises InputError where there is none."""
    fs, name = _locate(path)
    try:
        stream: IO[bytes] = fs.open(name, "rb", compression="gzip" if is_compressed(path) else None)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened ({error}); check the address") from error
    return stream


def input_bytes(path: str) -> int:
    """Size of an input as it is stored; raises InputError where there is none."""
    fs, name = _locate(path)
    return int(fs.size(name))


def _locate(path: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a file and its name there; a folder or a pipe, which cannot be read twice, is no file."""
    try:
        fs, name = fsspec.url_to_fs(path)
        is_file = fs.isfile(name)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be reached ({error}); check the address") from error
    if not is_file:
        what = "is no file" if fs.exists(name) else "there is no such file"
        raise InputError(f"{path}: {what}; check the address")
    return fs, name


def iter_array_chunks(path: str, names: Sequence[str], *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Yields the elements of the named top-level arrays in file order, about ``chunk_bytes`` at a time.

    Raises InputError, naming file and byte, where the file is not one JSON object, is truncated, holds a named key
    that is no array, holds one twice, or lacks one.
    """
    with open_input(path) as stream:
        window = _Window(path, stream, chunk_bytes)
        yield from _walk_object(window, names)


def elements(data: bytes) -> list[bytes]:
    """The elements of a chunk, each as its own JSON bytes, also where one holds NaN."""
    try:
        return [bytes(raw) for raw in _RAW_LIST.decode(b"[" + data + b"]")]
    except (msgspec.DecodeError, RecursionError):
        spans, _, error = _scan_elements(data.decode("latin-1"), complete=True)
        if error is not None:
            raise InputError(f"an element is not JSON ({error.msg})") from error
        return [data[begin:end] for begin, end in spans]


class _Window:
    """The unread part of a stream, refilled on demand, with the file offset of its first byte."""

    def __init__(self, path: str, stream: IO[bytes], chunk_bytes: int) -> None:
        self.path = path
        self.offset = 0
        self.data = b""
        self.chunk_bytes = chunk_bytes
        self.at_end = False
        self._stream = stream

    def fill(self, size: int) -> None:
        """Reads until ``size`` bytes are here or the file ends."""
        parts = [self.data]
        have = len(self.data)
        while have < size and not self.at_end:
            try:
                part = self._stream.read(size - have)
            except READ_ERRORS as error:
                raise InputError(
                    f"{self.path}: cannot be read ({error}); it is damaged or cut short, fetch it again"
                ) from error
            self.at_end = not part
            parts.append(part)
            have += len(part)
        self.data = b"".join(parts)

    def drop(self, size: int) -> None:
        self.data = self.data[size:]
        self.offset += size

    def peek(self) -> bytes:
        """The next byte that is not white space, which is skipped; empty at the end of the file."""
        while True:
            match = _SPACE.match(self.data)
            assert match is not None
            self.drop(match.end())
            if self.data or self.at_end:
                return self.data[:1]
            self.fill(self.chunk_bytes)

    def expect(self, byte: bytes, where: str) -> None:
        got = self.peek()
        if got != byte:
            self.fail(f"expected {byte.decode()!r} {where}" if got else _TRUNCATED)
        self.drop(1)

    def fail(self, problem: str, at: int = 0) -> None:
        raise InputError(f"{self.path}: byte {self.offset + at}: {problem}")

    def value(self) -> object:
        """Reads one whole JSON value of bounded size."""
        self.peek()
        size = self.chunk_bytes
        while True:
            self.fill(size)
            try:
                result, end = _STDLIB.raw_decode(self.data.decode("latin-1"))
            except (json.JSONDecodeError, RecursionError) as error:
                if self.at_end or size >= MAX_ELEMENT_BYTES:
                    self.fail(_problem(error, self.at_end))
            else:
                follow = self.data[end : end + 1]  # a "." or "e" is the rest of a number that the window cuts
                if (follow and follow in _FOLLOWS_A_VALUE) or self.at_end or size >= MAX_ELEMENT_BYTES:
                    self.drop(end)
                    return result
            size *= 2


def _problem(error: json.JSONDecodeError | RecursionError, at_end: bool) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply to be an annotation file"
    truncated = at_end and (error.pos >= _end_of_whole_tokens(error.doc) or error.msg.startswith("Unterminated"))
    return _TRUNCATED if truncated else f"is not JSON ({error.msg})"


def _end_of_whole_tokens(text: str) -> int:
    """Before this place an error is damage; behind it, it may be a token that the end of the text cuts in two."""
    return len(text.rstrip()) - _LONGEST_TOKEN


def _walk_object(window: _Window, names: Sequence[str]) -> Iterator[ArrayChunk]:
    window.fill(len(codecs.BOM_UTF8))
    if window.data.startswith(codecs.BOM_UTF8):
        window.drop(len(codecs.BOM_UTF8))
    first = window.peek()
    if first != b"{":
        window.fail("the file is empty" if not first else f"expected one JSON object with {', '.join(names)}")
    window.drop(1)
    seen: set[str] = set()
    while window.peek() != b"}":
        if seen:
            window.expect(b",", "between two keys")
        key = window.value()
        if not isinstance(key, str):
            window.fail("a key of the top-level object is no string")
        assert isinstance(key, str)
        window.expect(b":", f"after key {key!r}")
        if key in names:
            if key in seen:
                window.fail(f"key {key!r} occurs twice")
            window.expect(b"[", f"for key {key!r}: it must be an array")
            yield from _walk_array(window, key)
        elif window.peek() == b"[":
            window.drop(1)
            for _ in _walk_array(window, key):
                pass
        else:
            window.value()
        seen.add(key)
    missing = [name for name in names if name not in seen]
    if missing:
        window.fail(f"the file has no {' and no '.join(map(repr, missing))} array; is it of the stated format?")
    window.drop(1)
    if window.peek():
        window.fail("text follows the end of the JSON object")


def _walk_array(window: _Window, name: str) -> Iterator[ArrayChunk]:
    row = 0
    if window.peek() == b"]":
        window.drop(1)
        return
    size = window.chunk_bytes
    while True:
        window.fill(size)
        count, end = _whole_elements(window, size)
        if not count:
            size *= 2
            continue
        yield ArrayChunk(name=name, offset=window.offset, first_row=row, count=count, data=window.data[:end])
        row += count
        window.drop(end)
        size = window.chunk_bytes
        if window.peek() == b"]":
            window.drop(1)
            return
        window.expect(b",", f"between two elements of {name!r}")
        window.peek()


def _whole_elements(window: _Window, size: int) -> tuple[int, int]:
    """How many whole elements the window begins with, and where the last of them ends."""
    data = window.data
    cut = data.rfind(b"}") + 1
    if cut and not window.at_end:
        try:
            return len(_RAW_LIST.decode(b"[" + data[:cut] + b"]")), cut
        except (msgspec.DecodeError, RecursionError):
            pass  # the array ends inside the window, or an element is damaged: the scan below tells which
    spans, finished, error = _scan_elements(data.decode("latin-1"), complete=False)
    if not finished and not spans:
        damaged = error and "Unterminated" not in error.msg and error.pos < _end_of_whole_tokens(error.doc)
        if window.at_end or (damaged and size >= 4 * window.chunk_bytes) or size >= MAX_ELEMENT_BYTES:
            at = error.pos if error is not None else len(data)
            window.fail(_TRUNCATED if error is None else _problem(error, window.at_end), at)
    return len(spans), spans[-1][1] if spans else 0


def _scan_elements(text: str, *, complete: bool) -> tuple[list[tuple[int, int]], bool, json.JSONDecodeError | None]:
    """Walks elements separated by commas; latin-1 text, so that a character is a byte.

    Returns the elements that are followed by a comma or a bracket (``complete``: or by the end), whether the bracket
    was reached, and why it stopped otherwise.
    """
    spans: list[tuple[int, int]] = []
    at = _skip_space(text, 0)
    while at < len(text):
        try:
            _, end = _STDLIB.raw_decode(text, at)
        except json.JSONDecodeError as error:
            return spans, False, error
        except RecursionError:
            return spans, False, json.JSONDecodeError("nested too deeply", text, at)
        follow = _skip_space(text, end)
        if follow == len(text):
            return [*spans, (at, end)] if complete else spans, False, None
        if text[follow] not in ",]":
            return spans, False, json.JSONDecodeError("expected ',' or ']'", text, follow)
        spans.append((at, end))
        if text[follow] == "]":
            return spans, True, None
        at = _skip_space(text, follow + 1)
    return spans, False, None


def _skip_space(text: str, at: int) -> int:
    match = _SPACE_TEXT.match(text, at)
    assert match is not None
    return match.end()
