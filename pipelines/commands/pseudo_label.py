"""``xdetr-data pseudo-label locnar`` and ``xdetr-data rethreshold``."""

from typing import Annotated, Literal

import typer

from pipelines import console, options

app = typer.Typer(help="Label photos with a model.", no_args_is_help=True)

Method = Annotated[
    Literal["paper", "multi"],
    typer.Option(help="paper: the one best box of a phrase; multi: as many as a plural or a numeral says."),
]
Trace = Annotated[
    Literal["off", "score", "filter"],
    typer.Option(help="score: note how well a label agrees with the mouse; filter: also drop and rank by it."),
]
ScoreThreshold = Annotated[float, typer.Option(help="A box that scores less is no label.")]
MaxPlural = Annotated[int, typer.Option(help="Most boxes of a plural without a numeral (multi).")]
Relative = Annotated[float, typer.Option(help="Share of the best score that a further box must reach (multi).")]
NmsIou = Annotated[float, typer.Option(help="Of two boxes of a phrase with this IoU the better one stays (multi).")]
MinAgreement = Annotated[float, typer.Option(help="Least agreement with the mouse (--trace filter).")]
TraceWeight = Annotated[float, typer.Option(help="How strongly agreement counts in the ranking (--trace filter).")]
MergeIou = Annotated[float, typer.Option(help="From which IoU on labels of two sentences are one object.")]
DedupeIou = Annotated[float, typer.Option(help="A textless box with this IoU with a label is the same object.")]


@app.callback()
def _sources() -> None:
    """Label photos with a model."""


@app.command("locnar")
@options.command
def locnar(
    ckpt: Annotated[str, typer.Option(metavar="DIR|HUB_ID", help="X-DETR or zero-shot detection checkpoint.")] = "",
    narratives: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Localized Narratives JSONL; wildcards. Repeatable.")
    ] = None,
    images: Annotated[
        list[str] | None, typer.Option(metavar="[SOURCE=]DIR", help="Photos (of one source). Repeatable.")
    ] = None,
    boxes: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="OpenImages box CSV; wildcards. Repeatable.")
    ] = None,
    class_descriptions: Annotated[
        str | None, typer.Option(metavar="FILE", help="OpenImages class names, kept with the boxes they are of.")
    ] = None,
    out: options.Out = "",
    method: Method = "paper",
    trace: Trace = "off",
    score_threshold: ScoreThreshold = 0.0,
    max_plural: MaxPlural = 10,
    relative_threshold: Relative = 0.5,
    nms_iou: NmsIou = 0.5,
    min_agreement: MinAgreement = 0.1,
    trace_weight: TraceWeight = 0.5,
    merge_iou: MergeIou = 0.75,
    dedupe_iou: DedupeIou = 0.7,
    keep_candidates: Annotated[int, typer.Option(help="Candidates of a phrase that the audit trail keeps.")] = 10,
    group_of: Annotated[Literal["drop", "keep"], typer.Option(help="OpenImages group-of boxes.")] = "drop",
    inside: Annotated[Literal["drop", "keep"], typer.Option(help="OpenImages boxes seen from inside.")] = "drop",
    depiction: Annotated[Literal["drop", "keep"], typer.Option(help="OpenImages depictions.")] = "keep",
    spacy_model: Annotated[str | None, typer.Option(metavar="NAME", show_default="small English one")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    gpus: Annotated[int, typer.Option(help="Processes with a GPU each; 0: the CPUs that --workers says.", min=0)] = 0,
    precision: Annotated[Literal["float32", "bfloat16", "float16"], typer.Option(help="Of the model.")] = "float32",
    batch_size: Annotated[int, typer.Option(help="Photos at a time; halved where memory ends.")] = 8,
    exclude: options.Exclude = None,
    split: Annotated[str, typer.Option(help="Name of the split, part of the shards' names.")] = "train",
    workers: options.Workers = -1,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    shard_bytes: options.ShardBytes = "512MB",
    max_error_rate: options.MaxErrorRate = 0.1,
    dry_run: options.DryRun = False,
    resume: options.Resume = False,
    other_machine: Annotated[
        bool, typer.Option("--other-machine", help="--resume on another kind of processor, GPU or library versions.")
    ] = False,
    overwrite: options.Overwrite = False,
    config: options.Config = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Ground the noun phrases of Localized Narratives in their photos with a checkpoint.

    OpenImages' boxes join as class-agnostic regions. All candidates are kept, so that `xdetr-data rethreshold` makes
    a dataset with other thresholds without a GPU.

    **Examples**

    `xdetr-data pseudo-label locnar --ckpt checkpoints/xdetr-r101
    --narratives 'open_images_train_v6_localized_narratives-*.jsonl' --images openimages/train
    --boxes train-annotations-bbox.csv --gpus 8 --out shards/locnar`

    `xdetr-data pseudo-label locnar --ckpt IDEA-Research/grounding-dino-tiny --narratives val.jsonl --images val
    --method multi --trace filter --limit 100 --out trial`
    """
    from pipelines.execution import executor
    from pipelines.pseudo_label.config import LabelOptions, PseudoLabelConfig
    from pipelines.pseudo_label.plan import ANY_SOURCE
    from pipelines.pseudo_label.recipe import prepare, pseudo_label
    from pipelines.pseudo_label.summary import print_plan
    from pipelines.summary import finish
    from xdetr_data.readers.lines import expand_inputs
    from xdetr_data.stages.place_openimages import FlagPolicy
    from xdetr_data.storage import Folder

    if not out and not dry_run:
        raise typer.BadParameter("give --out DIR (or --dry-run to see the plan)")
    if other_machine and not resume:
        raise typer.BadParameter("--other-machine says where to go on: give --resume too, or leave it out")
    roots = [text if "=" in text else f"{ANY_SOURCE}={text}" for text in images or ()]
    settings = PseudoLabelConfig(
        ckpt=ckpt,
        narratives=tuple(expand_inputs(narratives or ())),
        images=options.parse_pairs("--images", roots),
        boxes=tuple(expand_inputs(boxes or ())),
        class_descriptions=class_descriptions,
        exclude=tuple(exclude or ()),
        labels=LabelOptions(
            method=method,
            trace=trace,
            score_threshold=score_threshold,
            max_plural=max_plural,
            relative_threshold=relative_threshold,
            nms_iou=nms_iou,
            min_agreement=min_agreement,
            trace_weight=trace_weight,
            merge_iou=merge_iou,
            dedupe_iou=dedupe_iou,
        ),
        flags=FlagPolicy(group_of=group_of, inside=inside, depiction=depiction),
        keep_candidates=keep_candidates,
        spacy_model=spacy_model,
        device=device,
        precision=precision,
        batch_size=batch_size,
        seed=seed,
        limit=limit,
        shard_bytes=options.parse_bytes(shard_bytes),
        split=split,
    )
    processes = options.default_workers() if workers == -1 else workers
    if dry_run:
        with executor(0) as run:
            print_plan(prepare(settings, run), as_json=json)
        return options.DONE
    how = options.existing(resume=resume, overwrite=overwrite)
    manifest = pseudo_label(
        settings, Folder(out), workers=processes, gpus=gpus, existing=how, other_machine=other_machine
    )
    return finish(manifest, out, max_error_rate=max_error_rate, as_json=json)


@options.command
def rethreshold(
    dataset: Annotated[str, typer.Argument(metavar="OUT", help="A finished dataset of `pseudo-label`.")],
    out: options.Out = "",
    method: Annotated[Literal["paper", "multi"] | None, typer.Option(show_default="as it was")] = None,
    trace: Annotated[Literal["off", "score", "filter"] | None, typer.Option(show_default="as it was")] = None,
    score_threshold: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    max_plural: Annotated[int | None, typer.Option(show_default="as it was")] = None,
    relative_threshold: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    nms_iou: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    min_agreement: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    trace_weight: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    merge_iou: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    dedupe_iou: Annotated[float | None, typer.Option(show_default="as it was")] = None,
    workers: options.Workers = -1,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Make a new dataset from the kept candidates of another one, with other thresholds, without a model.

    What is not given stays as it was. The result equals a fresh run with those options, byte for byte.

    **Example**

    `xdetr-data rethreshold shards/locnar --score-threshold 0.3 --trace filter --out shards/locnar-0.3`
    """
    from pipelines.pseudo_label.rethreshold import rethreshold as choose_again
    from pipelines.summary import finish
    from xdetr_data.storage import Folder

    if not out:
        raise typer.BadParameter("give --out DIR")
    changes = {
        "method": method,
        "trace": trace,
        "score_threshold": score_threshold,
        "max_plural": max_plural,
        "relative_threshold": relative_threshold,
        "nms_iou": nms_iou,
        "min_agreement": min_agreement,
        "trace_weight": trace_weight,
        "merge_iou": merge_iou,
        "dedupe_iou": dedupe_iou,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    processes = options.default_workers() if workers == -1 else workers
    how = options.existing(resume=resume, overwrite=overwrite)
    manifest = choose_again(Folder(dataset), Folder(out), given, workers=processes, existing=how)
    console.say(f"changed: {', '.join(f'{name}={value}' for name, value in given.items()) or 'nothing'}")
    return finish(manifest, out, max_error_rate=1.0, as_json=json)
