"""``xdetr-search serve``."""

from typing import Annotated

import typer

from pipelines import console, options
from pipelines.search import flags


@options.command
def serve(
    index: flags.IndexAt,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page.")] = 8765,
    address: Annotated[
        str, typer.Option(help="Of the page; anything else than this machine is open to others.")
    ] = "127.0.0.1",
    top: flags.Top = 24,
    same_iou: flags.SameIou = flags.SAME_IOU,
    ckpt: flags.Ckpt = None,
    device: flags.Device = "auto",
    debug: options.Debug = False,
) -> int:
    """Serve a page for the browser: type what to look for, see it on its photos, click one to find its like.

    Photos and index stay where they are; nothing is written. Photos that are added meanwhile are found at once.

    **Example**

    `xdetr-search serve index`
    """
    import uvicorn

    from pipelines.listening import LOOPBACK, check_free, url_of
    from pipelines.search.encoder import QueryEncoder
    from pipelines.search.layout import read_index
    from pipelines.search.server import Searcher, make_app
    from xdetr_data.storage import Folder

    flags.check_device(device)
    check_free(address, port)
    encoder = QueryEncoder(read_index(Folder(index)), ckpt=ckpt, device=device)
    searcher = Searcher(index, encoder, same_iou=same_iou, top=top)
    is_mine = address in LOOPBACK
    if not is_mine:
        console.warn(f"--address {address}: whoever reaches this port can see all photos of the index")
    app = make_app(searcher, ["127.0.0.1", "localhost", "[::1]"] if is_mine else ["*"])
    console.say(f"look at it: {url_of(address, port)}   (Ctrl-C ends it)")
    uvicorn.run(app, host=address, port=port, log_level="warning", access_log=False)
    return options.DONE
