"""The unread part of a huge JSON file, value by value."""

import json
import re
from typing import IO

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import MAX_ELEMENT_BYTES

STDLIB = json.JSONDecoder(parse_int=float)  # int() refuses numbers of thousands of digits
TOO_LONG = f"an element is longer than {MAX_ELEMENT_BYTES >> 20} MiB; is it of the stated format?"
TRUNCATED = "ends in the middle of a value: the file is truncated; fetch it again"

_SPACE = re.compile(rb"[ \t\r\n]*")
_FOLLOWS_A_VALUE = b" \t\r\n,:]}"
_LONGEST_TOKEN = len("-Infinity")


class Window:
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
            part = self._stream.read(size - have)
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
            self.fail(f"expected {byte.decode()!r} {where}" if got else TRUNCATED)
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
                result, end = STDLIB.raw_decode(self.data.decode("latin-1"))
            except (json.JSONDecodeError, RecursionError) as error:
                if self.at_end or size >= MAX_ELEMENT_BYTES:
                    self.fail(problem_of(error, at_end=self.at_end))
            else:
                follow = self.data[end : end + 1]  # a "." or "e" is the rest of a number that the window cuts
                if (follow and follow in _FOLLOWS_A_VALUE) or self.at_end or size >= MAX_ELEMENT_BYTES:
                    self.drop(end)
                    return result
            size *= 2


def problem_of(error: json.JSONDecodeError | RecursionError | None, *, at_end: bool) -> str:
    """What people are told where a value does not end; ``at_end``: the file ends there, not the window alone."""
    if isinstance(error, RecursionError):
        return "is nested too deeply to be an annotation file"
    if error is None or error.pos >= end_of_whole_tokens(error.doc) or error.msg.startswith("Unterminated"):
        return TRUNCATED if at_end else TOO_LONG
    return f"is not JSON ({error.msg})"


def end_of_whole_tokens(text: str) -> int:
    """Before this place an error is damage; behind it, it may be a token that the end of the text cuts in two."""
    return len(text.rstrip()) - _LONGEST_TOKEN
