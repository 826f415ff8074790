"""Flags that commands of ``xdetr-search`` share."""

from typing import Annotated, Literal

import typer

SAME_IOU = 0.7  # as where labels are merged: a textless box with this IoU is the same object

Precision = Literal["float32", "bfloat16", "float16"]

IndexAt = Annotated[str, typer.Argument(metavar="INDEX", help="The index: a folder on this machine.")]
Ckpt = Annotated[
    str | None,
    typer.Option(metavar="DIR|HUB_ID", help="Where the index's checkpoint is now.", show_default="where it was"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
Top = Annotated[int, typer.Option(min=1, help="How many answers.")]
Where = Annotated[
    str | None,
    typer.Option(metavar="FILTER", help="Only what fits, as in \"source == 'coco' and area < 0.1\"."),
]
SameIou = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Boxes of one photo with this IoU are one object, the best of them.")
]
Exact = Annotated[bool, typer.Option("--exact", help="Look at every object, also where the index has lists.")]


def check_device(device: str) -> None:
    """Raises ConfigError for what is no device."""
    from pipelines.labelling.options import ModelOptions

    ModelOptions(device=device).check()
