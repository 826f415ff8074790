"""Flags that commands of ``xdetr-eval`` share."""

import functools
from typing import Annotated, Literal

import typer

from pipelines import options

command = functools.partial(options.command, go_on="say the same again")

Precision = Literal["float32", "bfloat16", "float16"]

Ckpt = Annotated[
    str, typer.Option(metavar="DIR|HUB_ID", help="X-DETR checkpoint, or a zero-shot detector of transformers.")
]
Data = Annotated[str, typer.Option(metavar="DATASET", help="The dataset, a path or any fsspec address.")]
Predictions = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="PRED",
        help="Folder of the predictions; what is there already is not predicted again.",
        show_default="predictions/TASK-DATASET-MODEL",
    ),
]
Keep = Annotated[int, typer.Option(min=1, help="At most so many boxes of a phrase (boxes: of a photo).")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
PrecisionFlag = Annotated[Precision, typer.Option("--precision", help="Of the model.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Photos at a time; halved where memory ends.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes on Ray; 0 works in this one.")]
Gpus = Annotated[int, typer.Option(min=0, help="Of the processes, so many with a GPU each.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Predict anew.")]
Html = Annotated[str | None, typer.Option(metavar="PAGE", help="Write a page of it all: one HTML file.")]
Threshold = Annotated[float, typer.Option(help="Boxes that score less are none.")]
