"""``xdetr-data sources``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import console, options

if TYPE_CHECKING:
    from pipelines.on_disk import FileOnDisk


@options.command
def sources(
    folder: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="Where your files are: a path or any fsspec address.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """List the public datasets: address, licence, files, and which flag of which command takes each.

    With DIR, also what of them is on disk below it, anywhere: files are known by their names, packed as .gz or not.
    Where counts were published, the file is read and counted; another count is a warning, for it is another file than
    the published one, or a part of it. Nothing is downloaded.

    **Examples**

    `xdetr-data sources`

    `xdetr-data sources /data`
    """
    from pipelines.on_disk import look

    found = look(folder)
    for one in found:
        console.say()
        console.say(f"{one.name} · {one.homepage}")
        console.say(f"licence: {one.licence}")
        for file in one.files:
            console.say(_line(file, folder is not None))
    for file in (file for one in found for file in one.files):
        if file.problem:
            console.warn(f"{file.name}: {file.problem}")
    if json:
        console.print_json(found)
    return options.DONE


def _line(file: FileOnDisk, is_looked_for: bool) -> str:
    published = ", ".join(f"{count:,} {kind}" for kind, count in file.expected.items())
    on_disk = f"{_on_disk(file):<34}" if is_looked_for else ""
    return f"  {file.name:<54}{published:<42}{on_disk}{' · '.join(file.takes)}".rstrip()


def _on_disk(file: FileOnDisk) -> str:
    if not file.paths:
        return "–"
    verdict = "differs" if file.problem else "as published" if file.counts else "there"
    many = f"{len(file.paths):,} files, " if len(file.paths) > 1 else ""
    return f"{verdict} ({many}{file.bytes / 1e6:,.1f} MB)"
