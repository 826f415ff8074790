"""``xdetr-data toyworld``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pipelines import console, options


@options.command
def toyworld(
    photos: Annotated[int, typer.Option(help="How many photos to draw.", min=1)] = 2000,
    out: Annotated[Path, typer.Option(help="Output folder.", file_okay=False)] = Path("toyworld"),
    seed: Annotated[int, typer.Option(help="Another seed is another world.", min=0)] = 0,
    workers: Annotated[
        int, typer.Option(help="Processes; 0 works in this one.", show_default="number of cores", min=-1)
    ] = -1,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the first 12 photos with boxes and sentences.")
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Draw a toy world: photos and every input format of the other commands, with the truth.

    The same photos and files for the same seed, whatever the number of processes; photo 17 is the same in a world of
    100 photos and in one of 10,000. What is in the folder: docs/toyworld.md.

    **Example**

    `xdetr-data toyworld --photos 2000 --seed 0 --out toyworld`
    """
    from pipelines.demo import mixed_star_arguments
    from xdetr_data.toyworld.contact_sheet import draw_contact_sheet
    from xdetr_data.toyworld.world import write_toyworld

    processes = options.default_workers() if workers == -1 else workers  # of Python's own: no Ray
    with console.progress("drawing photos", photos) as advance:
        summary = write_toyworld(
            out, photos=photos, seed=seed, workers=processes, overwrite=overwrite, progress=advance
        )
    if contact_sheet:
        draw_contact_sheet(out).save(contact_sheet, quality=78)
    if json:
        console.print_json(summary)
    shares = ", ".join(f"{name} {count:,}" for name, count in summary.photos_by_collection.items())
    console.say(f"{summary.photos:,} photos in {out} ({shares})")
    words = mixed_star_arguments(out, Path(f"{out}-shards"), ())
    console.say(f"next: xdetr-data {shlex.join(words)}")
    return options.DONE
