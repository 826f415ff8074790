"""``xdetr-data review export``, ``review apply`` and ``review like``."""

from typing import Annotated

import typer

from pipelines import console, options

app = typer.Typer(
    add_completion=False,
    help="What reviewers decided in the App becomes a new version of the dataset.",
    no_args_is_help=True,
)


@app.command("export")
@options.command
def export(
    dataset: Annotated[str, typer.Option(metavar="NAME", help="The FiftyOne dataset that `qa` made.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="The decisions: a .parquet file.")],
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Write what reviewers tagged, edited and deleted in the App to a file; the same decisions are the same bytes.

    **Example**

    `xdetr-data review export --dataset locnar --out review.parquet`
    """
    from pipelines.qa.database import fiftyone
    from pipelines.review.export import export_review

    if not out.endswith(".parquet"):
        raise typer.BadParameter(f"--out {out}: must end in .parquet")
    counts = export_review(fiftyone(), dataset, out)
    if json:
        console.print_json({"out": out, "decisions": counts})
    total = ", ".join(f"{count:,} {action}" for action, count in counts.items()) or "none"
    console.say(f"{sum(counts.values()):,} decisions ({total}): {out}")
    return options.DONE


@app.command("apply")
@options.command
def apply(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="The dataset that was reviewed; it stays as it is.")
    ],
    review: Annotated[str, typer.Option(metavar="FILE", help="What `review export` wrote.")],
    out: options.Out = "",
    workers: options.Workers = -1,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Make a new version of a dataset with the decisions of a review; everything else stays byte for byte.

    Every decision is applied, or stands among the rejects with its reason (docs/review.md).

    **Example**

    `xdetr-data review apply shards/locnar --review review.parquet --out shards/locnar-reviewed`
    """
    from pipelines.review.recipe import apply_decisions
    from pipelines.summary import print_summary
    from xdetr_data.storage import Folder

    if not out:
        raise typer.BadParameter("give --out DIR")
    processes = options.processes(workers)
    how = options.existing(resume=resume, overwrite=overwrite)
    manifest = apply_decisions(Folder(dataset), review, Folder(out), workers=processes, existing=how)
    print_summary(manifest, out, as_json=json)
    return options.DONE


@app.command("like")
@options.command
def like(
    index: Annotated[str, typer.Argument(metavar="INDEX", help="What `xdetr-search index` made of the dataset.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the photo.")],
    region: Annotated[
        int,
        typer.Argument(metavar="REGION", help="The reviewed region of its sample, from 0; without labels, an object."),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many candidates.")] = 20,
    data: Annotated[
        str | None, typer.Option(metavar="DATASET", help="The dataset.", show_default="what the index was made of")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the candidates: a page (.html), or .json for `qa --answers`."),
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """List the instances that are most like a reviewed one, and what is labelled there: candidates for the next review.

    **Examples**

    `xdetr-data review like index coco_000000000139 3`

    `xdetr-data review like index coco_000000000139 3 --top 50 --out like.json`

    `xdetr-data qa shards/locnar --answers like.json`
    """
    from pipelines.search.database import open_database
    from pipelines.search.exemplars import exemplars
    from pipelines.search.flags import SAME_IOU
    from pipelines.search.write import write_answers

    if out is not None and not out.endswith((".html", ".json")):
        raise typer.BadParameter(f"--out {out}: must end in .html or .json")
    database = open_database(index)
    found = exemplars(database, key, region, top=top, same_iou=SAME_IOU, data=data)
    if out is not None:
        write_answers(out, found.answers(database), database)
        console.say(f"written: {out}")
    if json:
        console.print_json(found)
        return options.DONE
    rows = [
        [
            str(one.rank),
            f"{one.score:.4f}",
            f"{one.key}:{one.object}",
            ",".join(f"{side:.0f}" for side in one.box_xyxy),
            "–" if one.labelled is None else str(one.labelled),
            ", ".join(one.phrases),
        ]
        for one in found.candidates
    ]
    title = f"like region {region} of {key} ({', '.join(found.region.phrases) or 'textless'})"
    console.table(title, ["", "score", "instance", "box, pixels", "region there", "called"], rows)
    return options.DONE
