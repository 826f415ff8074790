"""``xdetr-data build captions``."""

from typing import Annotated

import typer

from pipelines import options

app = typer.Typer(help="Build training shards from a public dataset.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("captions")
@options.command
def captions(
    tsv: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="caption<TAB>address lines, plain or .gz. Repeatable; may hold wildcards."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(metavar="TARS", help="A folder of tars as img2dataset leaves them, or tars. Repeatable."),
    ] = None,
    out: options.Out = "",
    source: Annotated[str, typer.Option(help="What the photos' collection is called in keys.")] = "cc",
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
    """Turn web photos with captions (Conceptual Captions) into shards: the weakly annotated source of the training.

    Captions and photos are joined by the photo's address. Captions of dead links, and photos without a caption, are
    counted as rejects.

    **Examples**

    `xdetr-data build captions --tsv Train_GCC-training.tsv --images cc3m/ --out shards/cc3m`

    `xdetr-data build captions --tsv cc12m.tsv --images 'cc12m/*.tar' --out shards/cc12m --limit 1000 --dry-run`
    """
    from pipelines.captions.config import CaptionsConfig
    from pipelines.captions.recipe import build_captions, prepare
    from pipelines.captions.summary import print_plan
    from pipelines.execution import executor
    from pipelines.summary import finish
    from xdetr_data.sources.framing.lines import expand_inputs
    from xdetr_data.sources.web_captions import expand_tars
    from xdetr_data.storage import Folder

    if not out and not dry_run:
        raise typer.BadParameter("give --out DIR (or --dry-run to see the plan)")
    settings = CaptionsConfig(
        tsv=tuple(expand_inputs(tsv or ())),
        images=tuple(expand_tars(images or ())),
        source=source,
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
    manifest = build_captions(settings, Folder(out), workers=processes, existing=how)
    return finish(manifest, out, max_error_rate=max_error_rate, as_json=json)
