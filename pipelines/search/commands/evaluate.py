"""``xdetr-search evaluate``."""

from typing import Annotated

import typer

from pipelines import console, options
from pipelines.search import flags


@options.command
def evaluate(
    index: flags.IndexAt,
    queries: Annotated[
        list[str],
        typer.Option(
            metavar="DATASET", help="A dataset whose phrases are the queries, as RefCOCO's testA. Repeatable."
        ),
    ],
    where: flags.Where = None,
    same_iou: flags.SameIou = flags.SAME_IOU,
    exact: flags.Exact = False,
    ckpt: flags.Ckpt = None,
    device: flags.Device = "auto",
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Recall at 1, 5 and 10 of the instance that words mean, among all photos of the index (IoU 0.5), by set.

    Every phrase of `--queries` that names one box is a query. Queries whose photos are not in the index are counted and
    left out.

    **Example**

    `xdetr-search evaluate index --queries shards/refcoco-testA --queries shards/refcoco-testB`
    """
    from pipelines.evaluate.result import Result
    from pipelines.evaluate.show import percent, show
    from pipelines.search.database import open_database
    from pipelines.search.encoder import QueryEncoder
    from pipelines.search.evaluate import expressions_of, measure
    from pipelines.search.where import parse_where
    from xdetr_data.manifest import read_manifest
    from xdetr_data.storage import Folder

    flags.check_device(device)
    fits = parse_where(where)
    sets = {address: read_manifest(Folder(address)).prefix for address in queries}
    database = open_database(index)
    encoder = QueryEncoder(database.index, ckpt=ckpt, device=device)
    results: dict[str, Result] = {}
    for address, name in sets.items():
        results[address] = measure(
            database, encoder, expressions_of(address), name, where=fits, same_iou=same_iou, exact=exact
        )
    show(results)
    for address, result in results.items():
        for table in result.tables:
            rows = [[str(name), f"{count:,}", *map(percent, values)] for name, count, *values in table.rows]  # type: ignore[arg-type]
            console.table(f"{address}, {table.title} (%)", table.columns, rows)
    if json:
        console.print_json(results)
    return options.DONE
