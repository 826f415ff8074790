"""``xdetr-data export``."""

from typing import Annotated, Literal

import typer

from pipelines import console, options

Format = Literal["odvg", "coco", "mdetr", "yolo", "grit", "chat", "hf"]
Style = Literal["qwen", "sharegpt"]


@options.command
def export(
    dataset: options.Dataset,
    to: Annotated[Format, typer.Option("--to", help="The format.")],
    out: options.Out,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to lose anything; nothing is written then.")] = False,
    may_lose: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --strict: what may be lost. Repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export in --out.")] = False,
    style: Annotated[Style, typer.Option(help="Of chat: whose tags and coordinates.")] = "qwen",
    photos: Annotated[
        Literal["embed", "files", "leave"],
        typer.Option(help="Of hf: photos in the Parquet files, as files beside one (an ImageFolder), or labels alone."),
    ] = "embed",
    push: Annotated[
        str, typer.Option(metavar="ME/NAME", help="Of hf: send it to this repository of the hub when it is written.")
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="With --push: make a new repository private.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Write a dataset's labels in the format of other trainers, and count what that format cannot hold.

    `odvg`: JSON lines for MM-Grounding-DINO and Open-GroundingDino, a file for each collection of photos; a dataset of
    classes becomes detection with a label map. `coco`: instances, of a dataset of classes with LVIS's fields. `mdetr`:
    a paragraph for each query, as MDETR trains and evaluates them. `yolo`: a text file for each photo. `grit`:
    Kosmos-2's noun chunks. `chat`: conversations with boxes. `hf`: a repository of the Hugging Face hub, with photos
    and a card; it is sent nowhere but with `--push`. What each format loses: docs/exchange.md. All but `hf` copy no
    photos.

    **Examples**

    `xdetr-data export shards/mixed-star --to odvg --out exports/mixed-star`

    `xdetr-data export shards/lvis --to coco --out exports/lvis`

    `xdetr-data export shards/mixed-star --to odvg --strict --may-lose provenance --may-lose group --out exports/strict`

    `xdetr-data export shards/locnar --to hf --out exports/locnar --push ME/locnar --private`
    """
    from pipelines.exporting.hub import export_hub
    from pipelines.exporting.push import check_push
    from pipelines.exporting.push import push as send
    from pipelines.exporting.run import check_losses, export_dataset, open_destination
    from pipelines.folder import check_not_itself
    from xdetr_data.exports.losses import MEANING, Loss
    from xdetr_data.manifest import read_manifest
    from xdetr_data.storage import Folder

    folder, destination = Folder(dataset), Folder(out)
    allowed = check_losses(may_lose or ())
    manifest = read_manifest(folder)
    check_not_itself(folder, destination)
    if push:
        check_push(push, to, destination)
    open_destination(destination, overwrite=overwrite)
    with console.progress("exporting", manifest.rows) as advance:
        if to == "hf":
            account = export_hub(folder, manifest, destination, photos=photos, progress=advance)
        else:
            account = export_dataset(
                folder,
                manifest,
                destination,
                to=to,
                style=style,
                strict=strict,
                may_lose=allowed,
                progress=advance,
            )
    console.say(f"{account.photos_out:,} of {account.photos_in:,} photos, {account.lines:,} lines in {out}")
    if account.lost:
        rows = [[f"{name}: {MEANING[Loss(name)]}", f"{count:,}"] for name, count in account.lost.items()]
        console.table(f"lost, because {to} cannot hold it", ["", "count"], rows)
    if push:
        console.say(f"sending to {push} …")
        console.say(f"sent: {send(destination, push, private=private)}")
    if json:
        console.print_json(account)
    return options.DONE
