"""``xdetr-data status``."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines import console, options


@options.command
def status(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER…", help="Outputs of any command here, or training runs: paths or addresses."),
    ],
    lines: Annotated[int, typer.Option(min=0, help="So many of the last lines that the run said.")] = 5,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Say how jobs stand, also while they run elsewhere on shared storage: done, running, rejected so far, rate, ETA.

    Nothing is written and no run is disturbed. What a run says of itself is at most ten seconds old.

    **Examples**

    `xdetr-data status shards/locnar`

    `xdetr-data status s3://bucket/shards/locnar runs/pretrain --json`
    """
    from pipelines.standing import standing
    from pipelines.status import Status

    found = {folder: standing(folder) for folder in folders}
    for folder, one in found.items():
        console.say(f"{folder}: {one.said[0]}")
        said = one.status.lines if isinstance(one.status, Status) and lines else []
        for line in [*one.said[1:], *(f"| {line}" for line in said[-lines:])]:
            console.say(f"  {line}")
    if json:
        console.print_json(found)
    return options.DONE
