"""``xdetr-data retry-failed``."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines import options


@options.command
def retry_failed(
    dataset: options.Dataset,
    workers: options.Workers = -1,
    gpus: Annotated[
        int, typer.Option(help="Of pseudo-label: processes with a GPU each; 0: the CPUs that --workers says.", min=0)
    ] = 0,
    other_machine: Annotated[
        bool, typer.Option("--other-machine", help="Of pseudo-label: on another kind of machine than before.")
    ] = False,
    max_error_rate: options.MaxErrorRate = 0.1,
    strict: options.Strict = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Build photos into a finished dataset that were rejected and can be used now: missing, unreadable, ambiguous ones.

    The inputs must lie where the manifest says, unchanged. Shards of which no photo has been mended keep their bytes,
    the others are made again; photos of which the dataset knew nothing go to shards behind. For inputs that came since,
    repeat the command that built the dataset with the new inputs and --add.

    **Examples**

    `xdetr-data retry-failed shards/mixed-star --dry-run`

    `xdetr-data retry-failed shards/locnar --workers 8`
    """
    from pipelines.growing.grow import retry_failed as retry
    from pipelines.summary import finish

    manifest = retry(
        dataset, workers=options.processes(workers), gpus=gpus, other_machine=other_machine, dry_run=dry_run
    )
    if dry_run:
        return options.DONE
    return finish(manifest, dataset, max_error_rate=max_error_rate, as_json=json, strict=strict)
