"""One evaluation: predictions that are kept, and figures from what is kept alone."""

import math
import os
from collections.abc import Sequence
from dataclasses import fields, replace

from pipelines import console
from pipelines.evaluate.predict import Model, PredictContext, predict
from pipelines.evaluate.predictions import (
    Asked,
    PredictionsManifest,
    answered,
    check_predictions,
    read_predictions,
)
from pipelines.evaluate.result import Result
from pipelines.evaluate.tasks import Task, task_of
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.storage import Folder


def check_data(task: str, data: Sequence[str], **chosen: str | float | None) -> None:
    """Raises InputError for a dataset that the task does not fit, ConfigError for a value that the task has not.

    All of them are looked at before anything is predicted: a model may take days to come to the last.
    """
    for address in data:
        folder = Folder(address)
        manifest = read_manifest(folder)
        found = chosen_task(task_of(task, manifest), task, chosen)
        try:
            found.check(record for stem in stems(manifest) for record in read_records(folder, stem))
        except InputError as error:
            raise InputError(f"{address}: {str(error).removeprefix('--data: ')}") from error


def places(data: Sequence[str], out: str | None) -> list[str | None]:
    """Where the predictions on each dataset go; raises ConfigError where two would go to one folder."""
    if out is None or len(data) == 1:
        return [out for _ in data]
    found = [f"{out}/{os.path.basename(address.rstrip('/'))}" for address in data]
    for place, address in zip(found, data, strict=True):
        if found.count(place) > 1:
            raise ConfigError(
                f"--data {address}: another --data has the same name, and both would go to {place}; measure them one "
                "by one, each with an --out of its own"
            )
    return list(found)


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
    if not is_of(found, manifest):
        raise InputError(
            f"{kept}: are predictions on {found.asked.dataset} as it was built then, and --data {data} is another "
            "dataset or another build; give the dataset that was predicted on"
        )
    task = chosen_task(task_of(found.asked.task, manifest), found.asked.task, chosen)
    check_predictions(predictions, found)
    return task.score(answered(folder, manifest, predictions))


def is_of(found: PredictionsManifest, manifest: Manifest) -> bool:
    """Whether predictions are on this build of this dataset."""
    return found.asked.config_hash == manifest.config_hash


def dataset_of(kept: str, data: Sequence[str]) -> str:
    """Which of several datasets predictions are on; the only one, where one was given."""
    if len(data) == 1:
        return data[0]
    found = read_predictions(Folder(kept))
    own = [address for address in data if is_of(found, read_manifest(Folder(address)))]
    if len(own) != 1:
        said = "two of" if own else "none of"
        raise InputError(f"{kept}: are predictions on {found.asked.dataset}, which is {said} the --data; name it once")
    return own[0]


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
