"""``xdetr-eval labels``: how right a dataset's labels are."""

from typing import Annotated

import typer

from pipelines import options
from pipelines.evaluate import flags


@flags.command
def labels(
    out: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset whose labels are judged.")],
    truth: Annotated[str, typer.Option(metavar="DATASET2", help="A dataset of the same photos whose labels are true.")],
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Precision, recall and F1 of labels by kind of phrase (singular, plural, attribute), and how far to trust scores.

    Photos are the same by key, sentences by their words, phrases by the characters that they share.

    **Example**

    `xdetr-eval labels shards/locnar --truth shards/locnar-true --html page.html`
    """
    from pipelines.evaluate.commands.measure import check_html, finish
    from pipelines.evaluate.label_figures import label_result

    check_html(html)
    result = label_result(out, truth)
    finish({out: result}, [(out, out, result)], html, json)
    return options.DONE
