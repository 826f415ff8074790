"""``xdetr-search query``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import console, options
from pipelines.search import flags

if TYPE_CHECKING:
    from pipelines.search.database import Database
    from pipelines.search.encoder import Query


@options.command
def query(
    index: flags.IndexAt,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to look for; several are several queries.")
    ] = None,
    phrase: Annotated[
        str | None, typer.Option(metavar="WORDS", help="The words of TEXT that are meant, read in their sentence.")
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="FILE", help="Look for what an image shows.")] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="Where in --image, in pixels.", show_default="all of it"),
    ] = None,
    like: Annotated[
        str | None, typer.Option(metavar="KEY:OBJECT", help="Look for what an instance of the index is like.")
    ] = None,
    top: flags.Top = 20,
    where: flags.Where = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write the answers: a page (.html) or .json.")] = None,
    same_iou: flags.SameIou = flags.SAME_IOU,
    exact: flags.Exact = False,
    ckpt: flags.Ckpt = None,
    device: flags.Device = "auto",
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Find the instances that a text means, an image shows or another instance is like, best first.

    A score is the cosine of query and object. `--where`: FIELD OP VALUE, joined by `and`. Fields of the photo: key,
    source, file, width, height; of the object: objectness, area (share of the photo). OP is = == != < <= > >= or ~
    (contains).

    **Examples**

    `xdetr-search query index "a red racing car"`

    `xdetr-search query index "skier in the sky" "wet street" --out page.html`

    `xdetr-search query index "a man with a kite" --phrase kite --top 50 --where "source == 'coco'" --json`

    `xdetr-search query index --image photo.jpg --box 40,30,200,180`

    `xdetr-search query index --like coco_000000000139:3`
    """
    from pipelines.search.database import open_database
    from pipelines.search.find import find
    from pipelines.search.where import parse_where

    if (1 if text else 0) + (image is not None) + (like is not None) != 1:
        raise typer.BadParameter("give one of TEXT, --image FILE and --like KEY:OBJECT")
    if phrase is not None and len(text or ()) != 1:
        raise typer.BadParameter("--phrase names words of one TEXT")
    if box is not None and image is None:
        raise typer.BadParameter("--box says where in --image: give it too")
    if out is not None and not out.endswith((".html", ".json")):
        raise typer.BadParameter(f"--out {out}: must end in .html or .json")
    flags.check_device(device)
    parse_where(where)
    database = open_database(index)
    queries = _queries(database, text or [], phrase, image, box, like, ckpt, device)
    answers = find(database, queries, top=top, where=where, same_iou=same_iou, exact=exact)
    if out is not None:
        from pipelines.search.write import write_answers

        write_answers(out, answers, database)
    if json:
        console.print_json(answers)
    else:
        from pipelines.search.show import show

        show(answers)
    if out is not None:
        console.say(f"written: {out}")
    return options.DONE


def _queries(
    database: Database,
    texts: list[str],
    phrase: str | None,
    image: str | None,
    box: str | None,
    like: str | None,
    ckpt: str | None,
    device: str,
) -> list[Query]:
    from pipelines.search.encoder import QueryEncoder, parse_box, parse_instance
    from pipelines.search.encoder import like as like_query

    if like is not None:
        return [like_query(database, *parse_instance("--like", like))]
    where = None if box is None else parse_box(box)
    encoder = QueryEncoder(database.index, ckpt=ckpt, device=device)
    if image is not None:
        found, seen, overlap = encoder.image(image, where)
        console.say(f"the object at {','.join(f'{one:.0f}' for one in seen)}, IoU {overlap:.2f} with --box")
        return [found]
    return [encoder.text(one, phrase) for one in texts]
