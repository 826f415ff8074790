"""``xdetr-data review export``, ``review summary``, ``review apply`` and ``review like``."""

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
    reviewer: Annotated[str, typer.Option(metavar="NAME", help="Who decided; written beside each decision.")] = "",
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Write what reviewers tagged, edited and deleted in the App to a file; the same decisions are the same bytes.

    **Example**

    `xdetr-data review export --dataset locnar --reviewer ada --out ada.parquet`
    """
    from pipelines.qa.database import fiftyone
    from pipelines.review.export import export_review

    if not out.endswith(".parquet"):
        raise typer.BadParameter(f"--out {out}: must end in .parquet")
    counts = export_review(fiftyone(), dataset, out, reviewer)
    if json:
        console.print_json({"out": out, "decisions": counts})
    total = ", ".join(f"{count:,} {action}" for action, count in counts.items()) or "none"
    console.say(f"{sum(counts.values()):,} decisions ({total}): {out}")
    return options.DONE


@app.command("summary")
@options.command
def summary(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset that was reviewed.")],
    review: Annotated[
        list[str], typer.Option(metavar="FILE", help="What `review export` wrote. Repeatable, for several reviewers.")
    ],
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Say how many of the judged labels are right, with a 95 % interval; how far reviewers agree; what is left to see.

    A label is right where it has the tag `right`, and wrong where it was rejected, moved or renamed. Labels without a
    verdict are not counted.

    **Example**

    `xdetr-data review summary shards/locnar --review ada.parquet --review grace.parquet`
    """
    from pipelines.review.summary import summarise
    from xdetr_data.storage import Folder

    found = summarise(Folder(dataset), review)
    shares = [found.precision, *(found.reviewers if len(found.reviewers) > 1 else ()), *found.by_score]
    rows = [
        [one.of, f"{one.right:,}", f"{one.labels:,}", "–" if one.share is None else f"{one.share:.1%}",
         f"{one.low:.1%} to {one.high:.1%}"]
        for one in shares
    ]  # fmt: skip
    console.table(f"precision of {dataset}", ["", "right", "judged", "precision", "95 % interval"], rows)
    if found.agreement:
        pairs = [
            [f"{one.one}, {one.other}", f"{one.labels:,}", "–" if one.kappa is None else f"{one.kappa:.3f}"]
            for one in found.agreement
        ]
        console.table("agreement", ["", "labels of both", "Cohen's kappa"], pairs)
    console.say(
        f"left to see: {found.left:,} of {found.labels:,} labels, {found.left_beside:,} of them on the "
        f"{found.photos_seen:,} of {found.photos:,} photos that somebody looked at"
    )
    if found.disputed:
        console.warn(f"{found.disputed:,} labels are right to as many reviewers as they are wrong to: not counted")
    if found.unknown:
        console.warn(f"{found.unknown:,} verdicts are about labels that the dataset does not have: not counted")
    if json:
        console.print_json(found)
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
