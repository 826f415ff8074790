"""``xdetr-data qa``."""

from typing import Annotated

import typer

from pipelines import console, options


@options.command
def qa(
    dataset: options.Dataset,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only N photos, drawn by a hash of their keys.", show_default="all")
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="FILTER", help='Only photos that fit, as in "source=coco and score<0.3".')
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws another sample.")] = 0,
    name: Annotated[str | None, typer.Option(help="Of the FiftyOne dataset.", show_default="the folder's name")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the App.")] = 5151,
    address: Annotated[
        str, typer.Option(help="Of the App; anything else than this machine is open to others.")
    ] = "127.0.0.1",
    no_app: Annotated[bool, typer.Option("--no-app", help="Only fill the FiftyOne dataset.")] = False,
    discard_review: Annotated[
        bool, typer.Option("--discard-review", help="Import anew what reviewers decided about; their decisions go.")
    ] = False,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="PRED", help="Predictions of xdetr-eval on it: shown beside the labels, right or wrong."),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What xdetr-search query --out FILE.json found: a field and a saved view."),
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Open a dataset in FiftyOne: look at every label, filter, and tag what is wrong (docs/review.md).

    The FiftyOne dataset stays under its name. A second call refreshes it: nothing is there twice, and what reviewers
    decided stays, or the call says what would be lost and does nothing.

    `--where`: FIELD OP VALUE, joined by `and`. Fields of the photo: key, source, file, width, height, regions, queries;
    of a phrase: text, query, score, agreement, boxes, by. OP is = != < <= > >= or ~ (contains).

    **Examples**

    `xdetr-data qa shards/locnar --sample 1000 --where "score<0.2 and boxes>1"`

    `xdetr-data qa shards/flickr30k-test --predictions predictions/flickr30k-flickr30k-test-1a2b3c4d`

    `xdetr-data qa shards/mixed-star --answers red-cars.json`

    `xdetr-data qa shards/mixed-star --where "source=vg and text~'traffic light'" --name vg-lights`
    """
    from dataclasses import asdict

    from pipelines.listening import check_free
    from pipelines.qa.app import serve
    from pipelines.qa.database import fiftyone
    from pipelines.qa.importer import check_photos, import_dataset
    from pipelines.qa.where import parse_where
    from pipelines.search.answers import read_answers
    from xdetr_data.storage import Folder

    found = None if answers is None else read_answers(answers)
    wanted = None if where is None else parse_where(where)
    folder = Folder(dataset)
    check_photos(folder)
    if not no_app:
        check_free(address, port)
    fo = fiftyone()
    title = folder.path("").rstrip("/").rpartition("/")[2] if name is None else name
    filled, done = import_dataset(
        fo, folder, title, wanted=wanted, sample=sample, seed=seed, discard_review=discard_review
    )
    if predictions is not None:
        from pipelines.qa.predicted import PREDICTIONS, show_predictions

        count = show_predictions(fo, filled, folder, Folder(predictions))
        console.say(
            f"{done.name}: {count:,} predicted boxes in the field {PREDICTIONS}, eval_tp, eval_fp and eval_fn count"
        )
    if found is not None:
        from pipelines.qa.answered import ANSWERS, show_answers

        count = show_answers(fo, filled, found)
        console.say(f"{done.name}: {count:,} answers in the field {ANSWERS}; the saved view {ANSWERS} has their photos")
    if json:
        console.print_json(asdict(done))
    console.say(
        f"{done.name}: {done.photos:,} photos in FiftyOne ({done.added:,} added, {done.refreshed:,} made anew, "
        f"{done.unchanged:,} as they were, {done.removed:,} removed, {done.kept:,} kept for their decisions)"
    )
    console.say(f"next: tag labels, then xdetr-data review export --dataset {done.name} --out review.parquet")
    if not no_app:
        serve(fo, filled, address=address, port=port)
    return options.DONE
