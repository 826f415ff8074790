"""Streams files of one record a line (JSONL, CSV) as chunks of whole lines, and expands wildcards in input names.

The chunks of a plain file can be read again by byte range from several processes, as those of ``json_stream``.
"""

from collections.abc import Iterator, Sequence

from braceexpand import braceexpand
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem

from xdetr_data.addresses.reading import file_system, reading
from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import CHUNK_BYTES, MAX_ELEMENT_BYTES, ArrayChunk, open_input

LINES = "lines"  # what ``ArrayChunk.name`` says of a run of lines

_BOM = b"\xef\xbb\xbf"


def expand_inputs(patterns: Sequence[str]) -> list[str]:
    """The files that the patterns name, each once: patterns in their order, the matches of one in alphabetical order.

    A name without ``*``, ``?``, ``[`` or braces (``{000..041}``, as webdataset has them) stands as it is, and so does
    one that exists as it is spelled. Raises InputError where a pattern matches no file.
    """
    paths: dict[str, None] = {}
    for pattern in (one for spelled in patterns for one in spelled_out(spelled)):
        if not has_magic(pattern):
            paths[pattern] = None
            continue
        fs, name = file_system(pattern)
        with reading(pattern, "listed"):
            found = [name] if fs.exists(name) else sorted(str(path) for path in fs.glob(name) if not fs.isdir(path))
        if not found:
            raise InputError(f"{pattern}: no file matches; check the folder, or quote the pattern for the shell")
        for path in found:
            paths[path if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(path)] = None
    return list(paths)


def spelled_out(address: str) -> list[str]:
    """The addresses that braces stand for; itself where it has none, or something exists that is called so.

    Raises InputError for braces that do not close.
    """
    if "{" not in address:
        return [address]
    fs, name = file_system(address)
    with reading(address, "reached"):
        if fs.exists(name):
            return [address]
    try:
        return [*braceexpand(address)]
    except ValueError as error:
        raise InputError(f"{address}: cannot be spelled out ({error}); check its braces") from error


def iter_line_chunks(path: str, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[ArrayChunk]:
    """Yields all lines of a plain or gzip file in order, about ``chunk_bytes`` at a time and never part of a line.

    ``first_row`` is the chunk's first line counted from 0, ``count`` its lines, ``data`` their bytes with the line
    ends (the file's last line may lack one). A byte order mark belongs to no line. Raises InputError where the file
    is missing, is damaged gzip, or has a line longer than 64 MiB.
    """
    offset = row = 0
    rest = b""
    with open_input(path) as stream:
        while block := stream.read(chunk_bytes):
            if offset == 0 and not rest and block.startswith(_BOM):
                offset, block = len(_BOM), block[len(_BOM) :]
            cut = block.rfind(b"\n") + 1
            if not cut:
                rest += block
                if len(rest) > MAX_ELEMENT_BYTES:
                    raise InputError(f"{path}: line {row + 1} is longer than 64 MiB; is it of the stated format?")
                continue
            data = rest + block[:cut]
            rest = block[cut:]
            count = data.count(b"\n")
            yield ArrayChunk(name=LINES, offset=offset, first_row=row, count=count, data=data)
            offset += len(data)
            row += count
    if rest:
        yield ArrayChunk(name=LINES, offset=offset, first_row=row, count=1, data=rest)


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a chunk without their ends, one for each of its ``count``; a blank line is empty or white space."""
    return data.removesuffix(b"\n").split(b"\n")
