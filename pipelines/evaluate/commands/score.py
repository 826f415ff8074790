"""``xdetr-eval score``: figures from kept predictions, no model."""

from typing import Annotated

import typer

from pipelines import options
from pipelines.evaluate import flags


@flags.command
def score(
    predictions: Annotated[
        list[str], typer.Argument(metavar="PRED…", help="Folders of predictions; two are shown side by side.")
    ],
    data: Annotated[
        list[str], typer.Option(metavar="DATASET", help="What was predicted on; of several, each PRED finds its own.")
    ],
    protocol: Annotated[str | None, typer.Option(help="One of the task's, as fixed or merged.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Of presence.", show_default="0.5")] = None,
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """The same figures from kept predictions, without the model; several are put side by side.

    **Examples**

    `xdetr-eval score predictions/lvis-val-1a2b3c4d --data shards/lvis-val --protocol fixed --json`

    `xdetr-eval score predictions/refcoco/* --data shards/refcoco-val --data shards/refcoco-testA`

    `xdetr-eval score PRED_BEFORE PRED_AFTER --data shards/flickr30k-test --html page.html`
    """
    from pipelines.evaluate.commands.measure import check_html, finish
    from pipelines.evaluate.run import dataset_of, score_predictions

    check_html(html)
    own = {one: dataset_of(one, data) for one in predictions}
    results = {one: score_predictions(one, own[one], protocol=protocol, threshold=threshold) for one in predictions}
    finish(results, [(one, own[one], result) for one, result in results.items()], html, json)
    return options.DONE
