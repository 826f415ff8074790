"""``xdetr-eval boxes|lvis|flickr30k|refcoco|presence``: a model's predictions, and their figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines import console, options
from pipelines.evaluate import flags
from xdetr_data.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.evaluate.predict import Model
    from pipelines.evaluate.result import Result

KEEP = 300  # as many objects as X-DETR's published configurations have


@flags.command
def boxes(
    ckpt: flags.Ckpt,
    data: flags.Data,
    out: flags.Predictions = None,
    keep: flags.Keep = KEEP,
    device: flags.Device = "auto",
    precision: flags.PrecisionFlag = "float32",
    batch_size: flags.BatchSize = 8,
    workers: flags.Workers = 0,
    gpus: flags.Gpus = 0,
    overwrite: flags.Overwrite = False,
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Class-agnostic AP and AR@k over all regions of a dataset, as COCO counts them.

    X-DETR's boxes are ordered by objectness; another detector is asked for "object".

    **Example**

    `xdetr-eval boxes --ckpt RUN/model --data shards/mixed-star-val --html page.html`
    """
    model = _model(ckpt, device, precision, batch_size)
    return _measure("boxes", model, [data], out, keep, workers, gpus, overwrite, html, json)


@flags.command
def lvis(
    ckpt: flags.Ckpt,
    data: flags.Data,
    protocol: Annotated[Literal["fixed", "standard", "both"], typer.Option(help="Which figures.")] = "both",
    out: flags.Predictions = None,
    keep: flags.Keep = KEEP,
    device: flags.Device = "auto",
    precision: flags.PrecisionFlag = "float32",
    batch_size: flags.BatchSize = 8,
    workers: flags.Workers = 0,
    gpus: flags.Gpus = 0,
    overwrite: flags.Overwrite = False,
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """AP, APr, APc and APf on LVIS: every photo is asked for every class of the dataset's vocabulary.

    Fixed AP looks at the 10,000 best boxes of a class over all photos, the standard protocol at the 300 best of a
    photo. A class counts where it is annotated present or absent; where it is not exhaustive, nothing is invented.

    **Example**

    `xdetr-eval lvis --ckpt RUN/model --data shards/lvis-val --protocol fixed`
    """
    model = _model(ckpt, device, precision, batch_size)
    chosen = None if protocol == "both" else protocol
    return _measure("lvis", model, [data], out, keep, workers, gpus, overwrite, html, json, protocol=chosen)


@flags.command
def flickr30k(
    ckpt: flags.Ckpt,
    data: flags.Data,
    protocol: Annotated[Literal["any", "merged", "both"], typer.Option(help="Which figures.")] = "both",
    out: flags.Predictions = None,
    keep: flags.Keep = KEEP,
    device: flags.Device = "auto",
    precision: flags.PrecisionFlag = "float32",
    batch_size: flags.BatchSize = 8,
    workers: flags.Workers = 0,
    gpus: flags.Gpus = 0,
    overwrite: flags.Overwrite = False,
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """R@1, 5 and 10 on Flickr30k Entities, of all phrases and by category, with the upper bound of the boxes kept.

    `any`: IoU 0.5 with any box of the phrase's chain; `merged`: with the hull of them.

    **Example**

    `xdetr-eval flickr30k --ckpt RUN/model --data shards/flickr30k-test`
    """
    model = _model(ckpt, device, precision, batch_size)
    chosen = None if protocol == "both" else protocol
    return _measure("flickr30k", model, [data], out, keep, workers, gpus, overwrite, html, json, protocol=chosen)


@flags.command
def refcoco(
    ckpt: flags.Ckpt,
    data: Annotated[
        list[str], typer.Option(metavar="DATASET", help="A set and split, as RefCOCO's testA. Repeatable.")
    ],
    out: flags.Predictions = None,
    keep: flags.Keep = KEEP,
    device: flags.Device = "auto",
    precision: flags.PrecisionFlag = "float32",
    batch_size: flags.BatchSize = 8,
    workers: flags.Workers = 0,
    gpus: flags.Gpus = 0,
    overwrite: flags.Overwrite = False,
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """P@1, 5 and 10 of referring expressions by set, by IoU and, as MDETR's evaluator, by generalised IoU.

    With several `--data`, each has a folder of its own in `--out`.

    **Example**

    `xdetr-eval refcoco --ckpt RUN/model --data shards/refcoco-val --data shards/refcoco-testA`
    """
    model = _model(ckpt, device, precision, batch_size)
    return _measure("refcoco", model, data, out, keep, workers, gpus, overwrite, html, json)


@flags.command
def presence(
    ckpt: flags.Ckpt,
    data: flags.Data,
    threshold: flags.Threshold = 0.5,
    out: flags.Predictions = None,
    keep: flags.Keep = KEEP,
    device: flags.Device = "auto",
    precision: flags.PrecisionFlag = "float32",
    batch_size: flags.BatchSize = 8,
    workers: flags.Workers = 0,
    gpus: flags.Gpus = 0,
    overwrite: flags.Overwrite = False,
    html: flags.Html = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Does it invent what is not there? cgF1 over phrases that are there and phrases that are verified absent.

    cgF1 is the F1 of the boxes of phrases that are there, times Matthews' correlation of "anything found" with
    "anything there". A cosine is no probability: look at the best threshold, too.

    **Example**

    `xdetr-eval presence --ckpt RUN/model --data shards/lvis-val --threshold 0.4`
    """
    model = _model(ckpt, device, precision, batch_size)
    return _measure("presence", model, [data], out, keep, workers, gpus, overwrite, html, json, threshold=threshold)


def _model(ckpt: str, device: str, precision: flags.Precision, batch_size: int) -> Model:
    from pipelines.evaluate.predict import Model
    from pipelines.labelling.models import load_grounder
    from pipelines.labelling.options import ModelOptions

    ModelOptions(device=device, precision=precision, batch_size=batch_size).check()
    return Model(ckpt=ckpt, device=device, precision=precision, batch_size=batch_size, load=load_grounder)


def _measure(
    task: str,
    model: Model,
    data: list[str],
    out: str | None,
    keep: int,
    workers: int,
    gpus: int,
    overwrite: bool,
    html: str | None,
    json: bool,
    **chosen: str | float | None,
) -> int:
    """Predictions of every dataset, then the figures from what was kept of them."""
    from pipelines.evaluate.ranks import Ranks
    from pipelines.evaluate.run import check_data, places, predictions_of, score_predictions

    if gpus and not workers:
        raise ConfigError(f"--gpus {gpus} needs processes of their own: give --workers {gpus}, too")
    check_html(html)
    check_data(task, data, **chosen)
    results: dict[str, Result] = {}
    pages = []
    for address, place in zip(data, places(data, out), strict=True):
        kept = predictions_of(task, model, address, place, keep=keep, workers=workers, gpus=gpus, overwrite=overwrite)
        if not Ranks.of_environment().is_first:
            continue
        results[address] = score_predictions(kept, address, **chosen)
        pages.append((f"{model.ckpt} on {address}", address, results[address]))
    if Ranks.of_environment().is_first:
        finish(results, pages, html, json)
    return options.DONE


def check_html(html: str | None) -> None:
    """Raises the errors of an address where no page can be written, before anything is measured."""
    if html is not None:
        from pipelines.evaluate.page import check_page

        check_page(html)


def finish(results: dict[str, Result], pages: list[tuple[str, str, Result]], html: str | None, json: bool) -> None:
    """Shows results on the terminal, on a page and as JSON."""
    from pipelines.evaluate.show import show

    show(results)
    if html is not None:
        from pipelines.evaluate.page import write_page

        write_page(html, pages)
        console.say(f"written: {html}")
    if json:
        console.print_json(results)
