"""Which files of the public datasets are below a folder, and whether they hold as many elements as was published."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import msgspec
from fsspec.implementations.local import LocalFileSystem

from pipelines import console
from pipelines.inputs import SourceFile, sources
from xdetr_data.addresses.reading import file_system, reading
from xdetr_data.errors import InputError
from xdetr_data.sources.counting import count_elements


class FileOnDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a dataset, or files of one kind, and what of it was found.

    Attributes:
        name, takes, expected: as the dataset calls it, the flags that take it, its published counts by kind.
        paths, bytes: where it is; nothing was found where there is no path.
        counts: of what was found, where any counts were published.
        problem: what is wrong with it, or nothing.
    """

    name: str
    takes: list[str]
    expected: dict[str, int]
    paths: list[str]
    bytes: int
    counts: dict[str, int]
    problem: str


class SourceOnDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A public dataset and its files."""

    name: str
    homepage: str
    licence: str
    files: list[FileOnDisk]


def look(folder: str | None) -> list[SourceOnDisk]:
    """All public datasets with what of them is below a folder, or without a folder nothing.

    Files whose counts were published are read to their end. Raises InputError where there is no such folder.
    """
    sizes = {} if folder is None else list_files(folder)
    known = [(source, one) for source in sources() for one in source.files]
    paths: dict[str, list[str]] = {one.name: [] for _, one in known}
    for path in sizes:
        if (file := next((one for _, one in known if one.matches(path)), None)) is not None:
            paths[file.name].append(path)
    total = sum(sizes[path] for _, one in known if one.counts for path in paths[one.name])
    found: dict[str, FileOnDisk] = {}
    with console.progress("counting", total, is_bytes=True) if total else nullcontext() as advance:
        for _, one in known:
            found[one.name] = _check(one, {path: sizes[path] for path in paths[one.name]})
            if advance and one.counts:
                advance(found[one.name].bytes)
    return [
        SourceOnDisk(
            name=source.name,
            homepage=source.homepage,
            licence=source.licence,
            files=[found[one.name] for one in source.files],
        )
        for source in sources()
    ]


def list_files(folder: str) -> dict[str, int]:
    """Every file below a folder at any fsspec address, in order, with its size in bytes."""
    fs, root = file_system(folder)
    with reading(folder, "listed"):
        is_there = fs.isdir(root)
        listed = fs.find(root, detail=True) if is_there else {}
    if not is_there:
        raise InputError(f"{folder}: there is no such folder; give the one that your files are in")
    paths = {name: name if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(name) for name in sorted(listed)}
    return {path: int(listed[name]["size"] or 0) for name, path in paths.items()}


def _check(file: SourceFile, sizes: Mapping[str, int]) -> FileOnDisk:
    counts, problem = _count(file, list(sizes)) if file.counts and sizes else ({}, "")
    differ = [
        f"{counts[kind]:,} {kind}, published are {count:,}"
        for kind, count in file.counts.items()
        if counts and counts[kind] != count
    ]
    return FileOnDisk(
        name=file.name,
        takes=file.takes,
        expected=file.counts,
        paths=list(sizes),
        bytes=sum(sizes.values()),
        counts=counts,
        problem=problem or "; ".join(differ),
    )


def _count(file: SourceFile, paths: Sequence[str]) -> tuple[dict[str, int], str]:
    """How many elements the files have together, or why that cannot be told."""
    try:
        found = [count_elements(path, file.format, list(file.counts)) for path in paths]
    except InputError as error:
        return {}, str(error)
    return {kind: sum(one[kind] for one in found) for kind in file.counts}, ""
