"""Streams the arrays of one huge JSON object (``{"images": [...], "annotations": [...]}``), or a file that is one
array, in bounded memory.

Parsing is msgspec's; this module only finds where whole elements end, so that a 2 GB file is read in chunks of whole
elements, and so that the chunks of a plain file can be read again by byte range from several processes. A prefix that
parses as an array when a closing bracket is put behind it ends between two elements, or it would not parse: that is
what makes a cut safe. Where a chunk does not parse (the end of the array, NaN, damage), the standard library's scanner
walks it element by element and says where it stops.
"""

import codecs
import json
import re
from collections.abc import Iterator, Sequence

import msgspec

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import CHUNK_BYTES, MAX_ELEMENT_BYTES, ArrayChunk, open_input
from xdetr_data.sources.framing.json_window import STDLIB, TOO_LONG, Window, end_of_whole_tokens, problem_of

WHOLE_FILE = ""  # what ``ArrayChunk.name`` says where the file itself is the array

_SPACE_TEXT = re.compile(r"[ \t\r\n]*")
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def iter_array_chunks(
    path: str, names: Sequence[str], *, optional: Sequence[str] = (), chunk_bytes: int = CHUNK_BYTES
) -> Iterator[ArrayChunk]:
    """Yields the elements of the named top-level arrays in file order, about ``chunk_bytes`` at a time.

    Raises InputError, naming file and byte, where the file is not one JSON object, is truncated, holds a named key
    that is no array, holds one twice, or lacks one that is not ``optional``.
    """
    with open_input(path) as stream:
        window = Window(path, stream, chunk_bytes)
        yield from _walk_object(window, names, optional)


def iter_whole_array_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Yields the elements of a file that is one array (``[{...}, ...]``), about ``chunk_bytes`` at a time.

    Raises InputError, naming file and byte, where the file is not one JSON array or is truncated.
    """
    with open_input(path) as stream:
        window = Window(path, stream, chunk_bytes)
        _begin(window, b"[", "expected one JSON array")
        yield from _walk_array(window, WHOLE_FILE)
        if window.peek():
            window.fail("text follows the end of the JSON array")


def members(data: bytes) -> dict[str, bytes]:
    """The values of an element that is an object, each as its own JSON bytes, also where one holds NaN; of a key that
    occurs twice the last. None of an element that is no object.
    """
    text = data.decode("latin-1")
    at = _skip_space(text, 0)
    found: dict[str, bytes] = {}
    while text[at : at + 1] in ("{", ","):
        begin = _skip_space(text, at + 1)
        if text[begin] == "}":
            break
        _, end = STDLIB.raw_decode(text, begin)
        value = _skip_space(text, _skip_space(text, end) + 1)
        _, behind = STDLIB.raw_decode(text, value)
        found[json.loads(data[begin:end].decode(errors="replace"))] = data[value:behind]
        at = _skip_space(text, behind)
    return found


def elements(data: bytes) -> list[bytes]:
    """The elements of a chunk, each as its own JSON bytes, also where one holds NaN."""
    try:
        return [bytes(raw) for raw in _RAW_LIST.decode(b"[" + data + b"]")]
    except (msgspec.DecodeError, RecursionError):
        spans, _, error = _scan_elements(data.decode("latin-1"), complete=True)
        if error is not None:
            raise InputError(f"an element is not JSON ({error.msg})") from error
        return [data[begin:end] for begin, end in spans]


def _begin(window: Window, bracket: bytes, otherwise: str) -> None:
    window.fill(len(codecs.BOM_UTF8))
    if window.data.startswith(codecs.BOM_UTF8):
        window.drop(len(codecs.BOM_UTF8))
    first = window.peek()
    if first != bracket:
        window.fail(otherwise if first else "the file is empty")
    window.drop(1)


def _walk_object(window: Window, names: Sequence[str], optional: Sequence[str]) -> Iterator[ArrayChunk]:
    _begin(window, b"{", f"expected one JSON object with {', '.join(names)}")
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
    missing = [name for name in names if name not in seen and name not in optional]
    if missing:
        window.fail(f"the file has no {' and no '.join(map(repr, missing))} array; is it of the stated format?")
    window.drop(1)
    if window.peek():
        window.fail("text follows the end of the JSON object")


def _walk_array(window: Window, name: str) -> Iterator[ArrayChunk]:
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
        window.expect(b",", f"between two elements{f' of {name!r}' if name else ''}")
        window.peek()


def _whole_elements(window: Window, size: int) -> tuple[int, int]:
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
        damaged = error and "Unterminated" not in error.msg and error.pos < end_of_whole_tokens(error.doc)
        if window.at_end or (damaged and size >= 4 * window.chunk_bytes) or size >= MAX_ELEMENT_BYTES:
            problem = problem_of(error, at_end=window.at_end)
            window.fail(problem, 0 if problem == TOO_LONG else len(data) if error is None else error.pos)
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
            _, end = STDLIB.raw_decode(text, at)
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
