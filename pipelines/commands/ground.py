"""``xdetr-data ground``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines import console, options

if TYPE_CHECKING:
    from pipelines.labelling.trying import Tried

DEFAULT = "toy"


@options.command
def ground(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo, or a folder of photos: path or address.")],
    phrases: Annotated[list[str], typer.Argument(metavar="PHRASE…", help="What to find; put each in quotes.")],
    ckpt: Annotated[
        str, typer.Option(metavar="DIR|HUB_ID|toy", help="X-DETR or zero-shot detection checkpoint.")
    ] = DEFAULT,
    out: Annotated[
        str | None, typer.Option(help="A picture with the boxes drawn (.png, .pdf, .svg); of a folder, a new folder.")
    ] = None,
    json: options.Json = False,
    boxes: Annotated[
        int | None, typer.Option(min=1, help="Most boxes of a phrase.", show_default="what its words say")
    ] = None,
    score_threshold: Annotated[
        float | None, typer.Option(help="Drop boxes that score less.", show_default="none")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    precision: Annotated[Literal["float32", "bfloat16", "float16"], typer.Option(help="Of the model.")] = "float32",
    debug: options.Debug = False,
) -> int:
    """Find phrases on a photo and draw their boxes: a first look at what a checkpoint knows.

    "the red car" gets its best box, "two dogs" two, "dogs" as many as score at least half of the best. Scores are the
    checkpoint's: cosines of X-DETR, probabilities of the others. A phrase that is not there gets a box, too: the best
    there is.

    **Examples**

    `xdetr-data ground street.jpg "the red car" "two dogs" --ckpt runs/pretrain/model --out street.png`

    `xdetr-data ground holiday/ "people on the beach" --ckpt runs/pretrain/model --json`

    `xdetr-data ground world/photos/coco/train2014/COCO_train2014_000000000009.jpg "a red circle" --out toy.png`
    """
    from pipelines.labelling.models import load_grounder
    from pipelines.labelling.trying import Tried, photos_at, read_phrases, try_photos
    from xdetr_data.errors import InputError
    from xdetr_data.stages.grounding.ground_phrases import SelectionRule

    photos, is_folder = photos_at(photo)
    _check_out(out, is_folder)
    rule = SelectionRule(method="multi", score_threshold=score_threshold)
    wanted = read_phrases(phrases, boxes)
    grounder = load_grounder(ckpt, device=device, precision=precision, batch_size=1)
    if ckpt == DEFAULT:
        console.warn("--ckpt toy knows the drawn shapes of 'xdetr-data toyworld' alone; for photos give --ckpt")
    answers: list[dict[str, object]] = []
    rows: list[list[str]] = []
    for one in try_photos(photos, wanted, grounder, ckpt, rule):
        if not isinstance(one, Tried):
            if not is_folder:
                raise InputError(f"{one[1].detail} ({one[1].reason})")
            console.warn(f"{one[1].detail} ({one[1].reason})")
            continue
        answers.append(_plain(one))
        rows += _rows(one, f"{one.name}: " if is_folder else "")
        if out is not None:
            console.say(f"drawn: {_draw(one, ckpt, out, is_folder)}")
    if is_folder:
        console.say(f"{len(photos):,} photos: {len(answers):,} grounded, {len(photos) - len(answers):,} unreadable")
        if not answers:
            raise InputError(f"{photo}: none of its photos can be read")
    if json:
        console.print_json({"ckpt": ckpt, "photos": answers})
    else:
        console.table("boxes of phrases", ["phrase", "score", "x0 y0 x1 y1, pixels"], rows)
    return options.DONE


def _check_out(out: str | None, is_folder: bool) -> None:
    from pipelines.drawing.figure import FORMATS

    if out is None:
        return
    suffix = Path(out).suffix.lstrip(".").lower()
    if is_folder and Path(out).is_file():
        raise typer.BadParameter(f"--out {out}: is a file; of a folder of photos, name a folder for the pictures")
    if not is_folder and suffix not in FORMATS:
        raise typer.BadParameter(f"--out {out}: must end in .{', .'.join(FORMATS)}")


def _draw(tried: Tried, ckpt: str, out: str, is_folder: bool) -> str:
    """Writes a photo's picture and returns its address; below a folder, under the photo's own name with ``.png``."""
    from pipelines.drawing.figure import draw_sample, photo_pixels, render
    from pipelines.labelling.trying import as_record
    from xdetr_data.storage import Folder

    place = Folder(out) if is_folder else Folder(str(Path(out).parent))
    name = f"{tried.name}.png" if is_folder else Path(out).name
    record = as_record(tried, ckpt)
    figure = draw_sample(record, photo_pixels(tried.photo.data), max_queries=len(record.queries))
    place.write(name, render(figure, Path(name).suffix.lstrip(".").lower()))
    return place.path(name)


def _plain(tried: Tried) -> dict[str, object]:
    from dataclasses import asdict

    height, width = tried.photo.size_hw
    answers = [asdict(answer) for answer in tried.answers]
    return {"photo": tried.name, "width": width, "height": height, "phrases": answers}


def _rows(tried: Tried, before: str) -> list[list[str]]:
    """Lines of the table: one for each box, or one that says why a phrase has none."""
    rows = []
    for answer in tried.answers:
        found = zip(answer.boxes_xyxy, answer.scores, strict=True)
        name = before + answer.phrase
        rows += [[name, f"{score:.3f}", " ".join(f"{side:.0f}" for side in box)] for box, score in found]
        if answer.reason is not None:
            rows.append([name, answer.reason, ""])
    return rows
