"""``xdetr-data rethreshold``."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pipelines import console, options
from pipelines.flags import given, own_parameters, parameters, with_flags
from pipelines.labelling.options import LabelOptions

_RUN = {
    "dataset": (
        Annotated[str, typer.Argument(metavar="DATASET", help="A finished dataset of `pseudo-label`.")],
        inspect.Parameter.empty,
    ),
    "out": (options.Out, ""),
    "workers": (options.Workers, -1),
    "resume": (options.Resume, False),
    "overwrite": (options.Overwrite, False),
    "json": (options.Json, False),
    "debug": (options.Debug, False),
}


def _rethreshold(**values: Any) -> int:
    """Make a new dataset from the kept candidates of another one, with other thresholds, without a model.

    What is not given stays as it was. The result equals a fresh run with those options, byte for byte.

    **Example**

    `xdetr-data rethreshold shards/locnar --score-threshold 0.3 --trace filter --out shards/locnar-0.3`
    """
    from pipelines.labelling.rethreshold import rethreshold as choose_again
    from pipelines.labelling.scores import say_scores
    from pipelines.summary import finish
    from xdetr_data.storage import Folder

    if not values["out"]:
        raise typer.BadParameter("give --out DIR")
    changes = given(LabelOptions, values)
    workers = options.processes(values["workers"])
    how = options.existing(resume=values["resume"], overwrite=values["overwrite"])
    manifest = choose_again(Folder(values["dataset"]), Folder(values["out"]), changes, workers=workers, existing=how)
    console.say(f"changed: {', '.join(f'{name}={value}' for name, value in changes.items()) or 'nothing'}")
    code = finish(manifest, values["out"], max_error_rate=1.0, as_json=values["json"])
    say_scores(Folder(values["out"]), manifest)
    return code


rethreshold: Callable[..., None] = options.command(
    with_flags(
        _rethreshold, [*parameters(LabelOptions, all_optional=True), *own_parameters(_RUN)], _rethreshold.__doc__
    )
)
