"""``xdetr-data report``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import console, options

if TYPE_CHECKING:
    from pipelines.report.collect import Report

MAX_DATASETS, MAX_SAMPLES = 3, 300


@options.command
def report(
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET [DATASET2 [DATASET3]]", help="One to three datasets: paths or any fsspec addresses."
        ),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="The page to write: a path or an address.")] = "report.html",
    png: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also write the charts and the drawn samples as PNG files.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, max=MAX_SAMPLES, help="Photos in the gallery, and labels among the lowest-scored.")
    ] = 12,
    seed: Annotated[int, typer.Option(help="Decides which photos the gallery shows.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier report left.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Show what is in a dataset on one page: accounting, distributions, drawn samples and the lowest-scored labels.

    The page is one file that asks nothing of a network. Of two or three datasets it shows the same photos side by
    side, as the paper's figures A (mixed, mixed\\*, mixed\\* + boxes) and B (pseudo-labels without and with boxes).

    **Examples**

    `xdetr-data report shards/mixed-star`

    `xdetr-data report shards/mixed shards/mixed-star --samples 20 --seed 1 --out rungs.html --png figures`
    """
    from pipelines.report.collect import collect_report, collect_side, open_datasets, side_names
    from pipelines.report.page import render_page
    from xdetr_data.storage import split_address

    if len(datasets) > MAX_DATASETS:
        raise typer.BadParameter(f"{len(datasets)} datasets do not fit side by side; give at most {MAX_DATASETS}")
    _refuse_to_replace(out, png, overwrite=overwrite)
    opened = open_datasets(datasets)
    sides = []
    with console.progress("reading labels", 2 * sum(manifest.rows for _, manifest in opened)) as advance:
        for name, (folder, manifest) in zip(side_names(datasets), opened, strict=True):
            sides.append(collect_side(name, folder, manifest, seed=seed, samples=samples, advance=advance))
    found = collect_report(sides, seed=seed, samples=samples)
    page = render_page(found)
    folder, name = split_address(out)
    folder.write(name, page)
    console.say(f"{_sentence(found)}: {out} ({len(page) / 1e6:,.1f} MB)")
    names = _write_figures(found, png) if png is not None else []
    if json:
        console.print_json({"out": out, "bytes": len(page), "shared_photos": found.shared, "png": names})
    return options.DONE


def _refuse_to_replace(out: str, png: str | None, *, overwrite: bool) -> None:
    from xdetr_data.errors import OutputError
    from xdetr_data.storage import Folder, split_address

    page, name = split_address(out)
    figures = None if png is None else Folder(png)
    if not name or page.is_folder(name):
        raise OutputError(f"{out}: is a folder; give the name of a page, as in --out {out}/report.html")
    if page.exists(name) and not overwrite:
        raise OutputError(f"{out}: exists; choose another --out, or say --overwrite")
    if figures is not None and figures.exists() and not figures.is_folder():
        raise OutputError(f"{png}: is no folder; choose another --png")
    if figures is not None and figures.names("*.png") and not overwrite:
        raise OutputError(f"{png}: holds PNG files; choose another --png, or say --overwrite")


def _write_figures(found: Report, png: str) -> list[str]:
    """Writes the figures, and removes those of an earlier report that this one does not have."""
    from pipelines.report.figures import OWN_NAME, figures
    from xdetr_data.storage import Folder

    folder = Folder(png)
    names = []
    with console.progress("drawing figures", 0) as advance:
        for name, data in figures(found):
            folder.write(name, data)
            names.append(name)
            advance(1)
    for name in folder.names("*.png"):
        if OWN_NAME.fullmatch(name) and name not in names:
            folder.remove(name)
    console.say(f"{len(names):,} figures: {png}")
    return names


def _sentence(found: Report) -> str:
    photos = [f"{side.name}: {side.manifest.rows:,} photos" for side in found.sides]
    if found.shared is not None:
        photos.append(f"{found.shared:,} photos in common" if found.shared else "no photo in common, none side by side")
    return ", ".join(photos)
