"""``xdetr-search index``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import console, options
from pipelines.search import flags

if TYPE_CHECKING:
    from pipelines.search.run import Asked


@options.command
def index(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="DATASET|PHOTOS", help="Finished datasets, folders of photos, or SOURCE=FOLDER."),
    ],
    ckpt: Annotated[str, typer.Option(metavar="DIR|HUB_ID", help="X-DETR checkpoint.")],
    out: Annotated[str, typer.Option(metavar="INDEX", help="Folder of the index.")] = "",
    objects: Annotated[int, typer.Option(help="At most so many objects of a photo, best objectness first.")] = 100,
    least_objectness: Annotated[float, typer.Option(help="Objects of less objectness are left out.")] = 0.05,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many photos, the first by key.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Add photos to the index that --out holds.")] = False,
    device: flags.Device = "auto",
    precision: Annotated[flags.Precision, typer.Option(help="Of the model.")] = "float32",
    batch_size: Annotated[int, typer.Option(help="Photos at a time; halved where memory ends.")] = 8,
    workers: Annotated[int, typer.Option(min=0, help="Processes on Ray; 0 works in this one.")] = 0,
    gpus: Annotated[int, typer.Option(min=0, help="Of the processes, so many with a GPU each.")] = 0,
    max_error_rate: options.MaxErrorRate = 0.1,
    dry_run: options.DryRun = False,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Make an index of photos: the best objects of each as vectors, with their boxes.

    Keys are those of shards: photos of SOURCE=FOLDER are called as `--image-root` would call them. `--add` takes photos
    that the index does not hold yet; searches go on meanwhile, and see them when all are there. With `--add`,
    `--overwrite` discards an unfinished `--add` alone.

    **Examples**

    `xdetr-search index shards/mixed-star --ckpt runs/pretrain/model --out index`

    `xdetr-search index coco=coco/val2017 --ckpt runs/pretrain/model --out index --workers 8 --gpus 8`

    `xdetr-search index objects365=o365/val --ckpt runs/pretrain/model --out index --add`
    """
    from pipelines.labelling.models import load_grounder
    from pipelines.labelling.options import ModelOptions
    from pipelines.search.encode import ModelToLoad
    from pipelines.search.layout import Keep
    from pipelines.search.run import Asked, index_photos
    from xdetr_data.storage import Folder

    if not out and not dry_run:
        raise typer.BadParameter("give --out INDEX (or --dry-run to see the plan)")
    how = options.existing(resume=resume, overwrite=overwrite)
    ModelOptions(device=device, precision=precision, batch_size=batch_size).check()
    asked = Asked(
        photos=tuple(photos),
        model=ModelToLoad(ckpt=ckpt, device=device, precision=precision, batch_size=batch_size, load=load_grounder),
        keep=Keep(objects=objects, least_objectness=least_objectness),
        limit=limit,
        add=add,
    )
    if dry_run:
        return _plan(asked, json)
    done = index_photos(asked, Folder(out), workers=workers, gpus=gpus, existing=how)
    console.accounting_table(done.accounting)
    parts = done.index.parts
    counts = {"photos": sum(one.photos for one in parts), "objects": sum(one.objects for one in parts)}
    console.say(
        f"{counts['objects']:,} objects of {counts['photos']:,} photos, generation {done.index.generation}: {out}"
    )
    console.say(f'next: xdetr-search query {out} "a red racing car"   ·   xdetr-search serve {out}')
    if json:
        console.print_json(
            {"index": out, "generation": done.index.generation} | counts | {"accounting": done.accounting}
        )
    return _code(done.accounting, max_error_rate, out)


def _plan(asked: Asked, json: bool) -> int:
    from pipelines.search.encode import check_keep
    from pipelines.search.photos import plan_photos

    check_keep(asked.keep)
    plan = plan_photos(asked.photos, known=frozenset(), limit=asked.limit)
    described = {
        "photos": plan.photos,
        "photo_bytes": plan.bytes,
        "shards": len(plan.shards),
        "objects_at_most": plan.photos * asked.keep.objects,
        "rejected_so_far": plan.tally.rejects("photo"),
    }
    if json:
        console.print_json(described)
        return options.DONE
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in described.items() if isinstance(value, int)]
    for reasons in plan.tally.rejects("photo").values():
        rows += [[f"photos rejected: {reason}", f"{count:,}"] for reason, count in reasons.items()]
    console.table("plan (nothing is written)", ["", "count"], rows)
    return options.DONE


def _code(accounting: dict[str, dict[str, dict[str, dict[str, dict[str, int]]]]], most: float, out: str) -> int:
    """Over the error rate where too many of the photos that were wanted could not be read."""
    from pipelines.search.photos import PLAN

    photos = accounting["units"]["photo"]
    bad = sum(sum(own.values()) for stage, own in photos["rejected"].items() if stage != PLAN)  # type: ignore[attr-defined]
    wanted = bad + photos["out"]  # type: ignore[operator]
    if wanted and bad / wanted > most:
        console.warn(f"{bad / wanted:.1%} of the photos were lost to errors, over --max-error-rate {most}; see {out}")
        return options.OVER_ERROR_RATE
    return options.DONE
