"""``xdetr-data show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import console, options

if TYPE_CHECKING:
    from pipelines.drawing.figure import Pixels
    from xdetr_data.manifest import Manifest
    from xdetr_data.shards.reader import Found
    from xdetr_data.storage import Folder


@options.command
def show(
    dataset: options.Dataset,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the sample, as in its tar and Parquet files.")],
    out: Annotated[Path, typer.Option(help="The picture to write: .png, .pdf or .svg.")],
    max_queries: Annotated[int, typer.Option(min=1, help="At most so many sentences; the rest is counted.")] = 12,
    blank: Annotated[bool, typer.Option("--blank", help="Draw on a blank canvas instead of the photo.")] = False,
    debug: options.Debug = False,
) -> int:
    """Draw one sample as in the paper's figure A: photo, boxes and sentences, a colour and number per phrase.

    Phrases that name the same objects share their colour. Boxes that no phrase names (textless, detection only) are
    dashed.

    **Examples**

    `xdetr-data show shards/mixed-star coco_000000005802 --out sample.png`

    `xdetr-data show labels coco_000000005802 --blank --max-queries 30 --out sample.pdf`
    """
    from pipelines.drawing.figure import FORMATS, draw_sample, render
    from xdetr_data.errors import InputError
    from xdetr_data.manifest import read_manifest
    from xdetr_data.shards.reader import find
    from xdetr_data.storage import Folder

    file_format = out.suffix.lstrip(".").lower()
    if file_format not in FORMATS:
        raise typer.BadParameter(f"--out {out}: must end in .{', .'.join(FORMATS)}")
    folder = Folder(dataset)
    manifest = read_manifest(folder)
    found = find(folder, manifest, key)
    if found is None:
        raise InputError(f"{dataset}: has no sample {key!r}{_suggestion(folder, manifest, key)}")
    photo = None if blank else _photo(folder, found)
    figure = draw_sample(found.record, photo, max_queries=max_queries)
    Folder(str(out.parent)).write(out.name, render(figure, file_format))
    console.say(f"{key}: {len(found.record.queries):,} queries, {len(found.record.regions):,} regions: {out}")
    return options.DONE


def _photo(folder: Folder, found: Found) -> Pixels:
    from pipelines.drawing.figure import photo_pixels
    from xdetr_data.errors import InputError
    from xdetr_data.shards.reader import read_photo_of

    photo = read_photo_of(folder, found)
    if photo is None:
        raise InputError(f"{found.record.key}: {found.stem}.tar holds labels without photos; say --blank")
    try:
        return photo_pixels(photo.data)
    except InputError as error:
        raise InputError(f"{found.record.key}: its photo does not decode ({error}); say --blank") from error


def _suggestion(folder: Folder, manifest: Manifest, key: str) -> str:
    from xdetr_data.shards.nearest import nearest_keys
    from xdetr_data.shards.reader import read_keys

    near = nearest_keys(key, read_keys(folder, manifest))
    return f"; nearest: {', '.join(near)}" if near else ""
