"""``xdetr-data fingerprints``."""

from typing import Annotated

import typer

from pipelines import console, options


@options.command
def fingerprints(
    photos: Annotated[
        str, typer.Argument(metavar="DATASET|DIR", help="A finished dataset with photos, or a folder of photos.")
    ],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The file to write.", show_default="beside the photos")
    ] = None,
    workers: options.Workers = -1,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Take the fingerprints of photos, so that no build takes in copies of them: give the file with --exclude-like.

    Copies are found under any name: smaller, compressed anew, mirrored, grey, with text or a border, a tenth cut off.

    **Examples**

    `xdetr-data fingerprints shards/lvis-val`

    `xdetr-data build captions --images 'cc3m/*.tar' --exclude-like shards/lvis-val --out shards/cc3m`
    """
    import imagehash  # noqa: F401  what is not installed is told before any photo is read

    from pipelines.execution import executor
    from pipelines.fingerprinting import fingerprints as take
    from xdetr_data.errors import OutputError
    from xdetr_data.photos.look_alikes import ENDING, write_fingerprints
    from xdetr_data.storage import split_address

    path = f"{photos.rstrip('/')}{ENDING}" if out is None else out
    if not path.endswith(".parquet"):
        raise typer.BadParameter(f"--out {path}: must end in .parquet")
    folder, name = split_address(path)
    if folder.exists(name) and not overwrite:
        raise OutputError(f"{path}: exists; choose another --out, or say --overwrite")
    with executor(options.processes(workers)) as run:
        found = take(photos, run)
    write_fingerprints(path, found)
    bad = [one for one in found if one.problem is not None]
    if bad:
        console.warn(f"{len(bad):,} photos cannot be read and have none; first {bad[0].key}: {bad[0].problem}")
    console.say(f"fingerprints of {len(found) - len(bad):,} photos: {path}")
    if json:
        console.print_json({"out": path, "photos": len(found), "unreadable": len(bad)})
    return options.DONE
