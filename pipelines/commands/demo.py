"""``xdetr-data demo``."""

import functools
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipelines import console, options


@options.command
def demo(
    context: typer.Context,
    keep: Annotated[
        Path | None, typer.Option(help="New folder for what the demo makes.", show_default="a temporary one")
    ] = None,
    photos: Annotated[int, typer.Option(help="Size of the toy world.", min=60)] = 400,
    workers: options.Workers = -1,
    seed: Annotated[
        int, typer.Option(help="Another seed is another world; the checkpoint was trained on world 0.", min=1)
    ] = 1,
    debug: options.Debug = False,
) -> int:
    """Run the whole loop on a small world that is drawn on the spot: no downloads, a few minutes.

    Builds shards from annotations, labels spoken descriptions with the bundled checkpoint, scores these labels against
    the truth, makes a report with pictures, and searches the photos for three things. Each step prints the command that
    does it by hand.

    **Examples**

    `xdetr-data demo`

    `xdetr-data demo --keep demo --photos 2000`
    """
    from typer.main import get_command

    from pipelines.demo import DATA, SEARCH, run_demo
    from pipelines.search.cli import app as search

    folder = keep if keep is not None else Path(tempfile.mkdtemp(prefix="xdetr-demo-"))
    if keep is not None and keep.exists():
        raise typer.BadParameter(f"--keep {keep} exists already; name a new folder")
    processes = options.processes(workers)
    commands = {DATA: context.find_root().command, SEARCH: get_command(search)}
    programs = {
        name: functools.partial(one.main, prog_name=name, standalone_mode=False) for name, one in commands.items()
    }
    run_demo(folder, programs, photos=photos, workers=processes, seed=seed)
    console.say(f"everything is in {folder}")
    return options.DONE
