"""``xdetr-search remove``."""

from typing import Annotated

import typer

from pipelines import console, options
from pipelines.search import flags


@options.command
def remove(
    index: flags.IndexAt,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY", help="Keys of photos.")] = None,
    file: Annotated[
        typer.FileText | None, typer.Option("--keys", metavar="FILE", help="A list of keys, one a line.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Remove photos from an index: they are found no more, and may be added anew.

    All or nothing: where one of the keys is not in the index, nothing is removed.

    **Examples**

    `xdetr-search remove index coco_000000000139 coco_000000000285`

    `xdetr-search remove index --keys withdrawn.txt`
    """
    from pipelines.lock import locked
    from pipelines.search.removed import remove_photos
    from xdetr_data.storage import Folder

    listed = [line.strip() for line in file] if file is not None else []
    wanted = list(dict.fromkeys([*(keys or []), *(line for line in listed if line)]))
    if not wanted:
        raise typer.BadParameter("give keys of photos, or --keys FILE")
    folder = Folder(index)
    with locked(folder):
        after = remove_photos(folder, wanted)
    console.say(f"{len(wanted):,} photos removed, generation {after.generation}: {index}")
    if json:
        console.print_json({"index": index, "generation": after.generation, "removed": len(wanted)})
    return options.DONE
