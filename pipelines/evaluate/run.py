"""One evaluation: predictions that are kept, and figures from what is kept alone."""

import math
import os
from dataclasses import fields, replace

from pipelines import console
from pipelines.evaluate.predict import Model, PredictContext, predict
from pipelines.evaluate.predictions import Asked, answered, read_predictions
from pipelines.evaluate.result import Result
from pipelines.evaluate.tasks import Task, task_of
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import read_manifest
from xdetr_data.storage import Folder


def predictions_of(
    task: str,
    model: Model,
    data: str,
    out: str | None,
    *,
    keep: int,
    workers: int,
    gpus: int,
    overwrite: bool,
) -> str:
    """Address of a model's predictions on a dataset; predicts what is not there yet. Raises as ``predict`` does."""
    if gpus and not workers:
        raise ConfigError(f"--gpus {gpus} needs processes of their own: give --workers {gpus}, too")
    folder = Folder(data)
    manifest = read_manifest(folder)
    asked_of = task_of(task, manifest)
    fingerprint = replace(model, device="cpu", batch_size=1).grounder().fingerprint() if workers else ""
    loaded = None if workers else model.grounder()
    fingerprint = loaded.fingerprint() if loaded is not None else fingerprint
    asked = Asked(
        task=task,
        ckpt=model.ckpt,
        fingerprint=fingerprint,
        dataset=manifest.prefix,
        config_hash=manifest.config_hash,
        keep=keep,
    )
    place = out or f"predictions/{task}-{os.path.basename(data.rstrip('/'))}-{fingerprint[:8]}"
    run = model if loaded is None else replace(model, load=lambda *_, **__: loaded)  # it is loaded already
    context = PredictContext(data=folder, out=Folder(place), asked=asked, task=asked_of, model=run)
    predict(context, manifest, workers=workers, gpus=gpus, overwrite=overwrite)
    console.say(f"predictions: {place}")
    return place


def score_predictions(kept: str, data: str, **chosen: str | float | None) -> Result:
    """Figures of kept predictions. ``chosen``: a task's own values (``protocol``, ``threshold``), None for the usual.

    Raises InputError where they are of another dataset, ConfigError for a value that the task has not.
    """
    predictions, folder = Folder(kept), Folder(data)
    found, manifest = read_predictions(predictions), read_manifest(folder)
    if found.asked.config_hash != manifest.config_hash:
        raise InputError(
            f"{kept}: are predictions on {found.asked.dataset} as it was built then, and --data {data} is another "
            "dataset or another build; give the dataset that was predicted on"
        )
    task = chosen_task(task_of(found.asked.task, manifest), found.asked.task, chosen)
    return task.score(answered(folder, manifest, predictions))


def chosen_task(task: Task, name: str, chosen: dict[str, str | float | None]) -> Task:
    """The task with the values that were given."""
    given = {option: value for option, value in chosen.items() if value is not None}
    known = {field.name for field in fields(task)}  # type: ignore[arg-type]
    for option, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"--{option} {value}: give a number")
        if option == "protocol" and "protocols" in known:
            usual = task.protocols  # type: ignore[attr-defined]
            if value not in usual:
                raise ConfigError(f"--protocol {value}: {name} has {' and '.join(usual)}")
            task = replace(task, protocols=(value,))  # type: ignore[type-var]
        elif option in known:
            task = replace(task, **{option: value})  # type: ignore[type-var]
        else:
            raise ConfigError(f"--{option}: {name} has no such choice")
    return task
