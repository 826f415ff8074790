"""``xdetr-data build-mixed-star``."""

from typing import Annotated, Literal

import typer

from pipelines import console, options


@options.command
def build_mixed_star(
    mdetr: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="MDETR annotations (mixed, Flickr or refexp), plain or .gz. Repeatable."),
    ] = None,
    out: options.Out = "",
    coco_instances: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="COCO instances JSON, plain or .gz. Repeatable.")
    ] = None,
    image_root: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE=DIR", help="Where the photos of a source (coco, vg, flickr) are. Repeatable."),
    ] = None,
    no_split: Annotated[
        bool, typer.Option("--no-split", help="Keep paragraphs whole: mixed instead of mixed*.")
    ] = False,
    boxes: Annotated[
        Literal["coco", "none"], typer.Option(help="Add COCO's boxes as class-agnostic regions, or none.")
    ] = "coco",
    dedupe_iou: Annotated[
        float, typer.Option(help="A COCO box with at least this IoU with a named region is the same object.")
    ] = 0.7,
    merge_iou: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE=IOU",
            help="From which IoU on two queries' boxes are one object. Repeatable.",
            show_default="coco=0.75 vg=0.75 flickr=1",
        ),
    ] = None,
    crowd: Annotated[Literal["drop", "keep"], typer.Option(help="What to do with iscrowd boxes.")] = "drop",
    exclude: options.Exclude = None,
    metadata_only: Annotated[bool, typer.Option("--metadata-only", help="Labels without photos.")] = False,
    split: Annotated[str, typer.Option(help="Name of the split, part of the shards' names.")] = "train",
    workers: options.Workers = -1,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    shard_bytes: options.ShardBytes = "512MB",
    max_error_rate: options.MaxErrorRate = 0.1,
    dry_run: options.DryRun = False,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    config: options.Config = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Turn MDETR's annotations, COCO's boxes and the photos into training shards of *mixed\\** + boxes.

    Every paragraph query is split back into its independent queries, one object becomes one region, and COCO's boxes
    that no phrase names join as class-agnostic regions. The manifest accounts for every input annotation.

    The three rungs of the paper's ablation: `--no-split --boxes none` (mixed), `--boxes none` (mixed\\*), and the
    default (mixed\\* + boxes).

    **Examples**

    `xdetr-data build-mixed-star --mdetr final_mixed_train.json --mdetr final_flickr_separateGT_train.json
    --coco-instances instances_train2014.json --image-root coco=coco/train2014 --image-root vg=vg/images
    --image-root flickr=flickr30k/images --exclude "refs(unc).p" --out shards/mixed-star`

    `xdetr-data build-mixed-star --mdetr final_mixed_train.json --boxes none --metadata-only --out labels --dry-run`
    """
    from pipelines.execution import executor
    from pipelines.mixed_star.config import DEFAULT_MERGE_IOU, MixedStarConfig
    from pipelines.mixed_star.recipe import build_mixed_star as build
    from pipelines.mixed_star.recipe import prepare
    from pipelines.mixed_star.summary import print_plan
    from pipelines.summary import finish
    from xdetr_data.storage import Folder

    if not out and not dry_run:
        raise typer.BadParameter("give --out DIR (or --dry-run to see the plan)")
    merge = {
        name: options.parse_number("--merge-iou", text)
        for name, text in options.parse_pairs("--merge-iou", merge_iou).items()
    }
    if boxes == "none" and coco_instances:
        console.say("--boxes none: the --coco-instances files are not read")
    settings = MixedStarConfig(
        mdetr=tuple(mdetr or ()),
        coco_instances=tuple(coco_instances or ()) if boxes == "coco" else (),
        image_roots=options.parse_pairs("--image-root", image_root),
        exclude=tuple(exclude or ()),
        split_paragraphs=not no_split,
        boxes=boxes,
        dedupe_iou=dedupe_iou,
        merge_iou=DEFAULT_MERGE_IOU | merge,
        crowd=crowd,
        metadata_only=metadata_only,
        seed=seed,
        limit=limit,
        shard_bytes=options.parse_bytes(shard_bytes),
        split=split,
    )
    processes = options.default_workers() if workers == -1 else workers
    if dry_run:
        with executor(0) as run:
            print_plan(prepare(settings, run), processes, as_json=json)
        return options.DONE
    how = options.existing(resume=resume, overwrite=overwrite)
    manifest = build(settings, Folder(out), workers=processes, existing=how)
    return finish(manifest, out, max_error_rate=max_error_rate, as_json=json)
