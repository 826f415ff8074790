"""A run with everything known that can be wrong before the first step: run file, datasets, folder, device."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from pipelines.train.folder import (
    Shares,
    Sources,
    check_free,
    check_same_run,
    check_unchanged,
    holds_run,
    open_dataset,
    read_begun,
    with_moved,
)
from pipelines.train.recipe import group_plans, step_options
from pipelines.train.runfile import RunFile, read_run_file
from pipelines.train.say import warn
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import read_manifest
from xdetr_data.shards.reader import read_batches, stems
from xdetr_data.storage import Folder
from xdetr_model.device import pick_device
from xdetr_model.train.batch import SOURCE_NAMES

CAPTIONS_RECIPE = "build captions"  # as its manifest says
_A_REGION = "regions.list.element.is_crowd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """``sources``: full, pseudo, weak and val, as far as given, each one dataset or more, and ``shares`` of those that
    are not mixed in proportion; ``out`` is None for a dry run; ``began`` is the number of processes that a resumed run
    began with, None for a new one; ``trackers`` are told of its metrics (``--track``)."""

    run: RunFile
    sources: Sources
    shares: Shares
    out: Path | None
    device: str
    began: int | None = None
    trackers: tuple[str, ...] = ()

    @property
    def training(self) -> Sources:
        """The sources that are trained on."""
        return {name: self.sources[name] for name in SOURCE_NAMES if name in self.sources}


def new_job(
    run_file: str,
    changes: Sequence[str],
    sources: Mapping[str, Sequence[str]],
    out: str | None,
    *,
    device: str,
    mix: Sequence[str] = (),
    goes_on: bool = False,
) -> Job:
    """A run to begin, or with ``goes_on`` to go on with where ``out`` holds it; ``mix`` are ``source=3,1``.

    Raises ConfigError, InputError and OutputError for all that can be known before.
    """
    run = _with_absolute_start(read_run_file(run_file, changes))
    step_options(run), group_plans(run, 1)  # refused before RUN is claimed
    _check_sources(run, sources)
    _check_evaluation(sources)
    pick_device(device)
    shares = _shares(mix, sources)
    opened = {name: tuple(open_dataset(name, path) for path in paths) for name, paths in sources.items()}
    for name, paths in sources.items():
        _check_twice(name, [one.path for one in opened[name]])
        for path in paths:
            _check_role(name, path)
    without_reading = ("weak",) if out is not None else ("weak", "full", "pseudo")  # a plan is of manifests alone
    for name, path in [(n, path) for n, paths in sources.items() for path in paths if n not in without_reading]:
        _tell_of_no_boxes(name, path)
    folder = None if out is None else Path(out)
    if folder is not None and goes_on and holds_run(folder):
        check_same_run(folder, run, opened, shares)
        return resumed_job(str(folder), device=device, moved=sources)
    if folder is not None:
        check_free(folder)
    return Job(run=run, sources=opened, shares=shares, out=folder, device=device)


def resumed_job(out: str, *, device: str, moved: Mapping[str, Sequence[str]] | None = None) -> Job:
    """A run to go on with, ``moved`` where its datasets are now, as far as they are no longer where they were.

    Raises InputError where there is none, or where its datasets have changed.
    """
    run, started = read_begun(Path(out))
    if moved:
        started = with_moved(started, moved)
    pick_device(device)
    _check_evaluation(started.sources)
    check_unchanged(started)
    began = started.processes
    return Job(run=run, sources=started.sources, shares=started.shares, out=Path(out), device=device, began=began)


def _with_absolute_start(run: RunFile) -> RunFile:
    """Directories that the model starts from by whole paths, so that a run can be resumed from another folder."""
    start = run.model.start
    paths = {
        key: str(Path(value).expanduser().resolve())
        for key, value in msgspec.structs.asdict(start).items()
        if value is not None and Path(value).expanduser().is_dir()
    }
    model = msgspec.structs.replace(run.model, start=msgspec.structs.replace(start, **paths))
    return msgspec.structs.replace(run, model=model)


def _check_role(role: str, path: str) -> None:
    """Captions say what a photo shows, but have no boxes to train or to be measured on. Raises InputError."""
    recipe = read_manifest(Folder(path)).recipe
    if role != "weak" and recipe == CAPTIONS_RECIPE:
        raise InputError(
            f"--{role} {path}: is a dataset of '{recipe}', which has no boxes; give it as --weak, and to --{role} one "
            "that has"
        )


def _tell_of_no_boxes(role: str, path: str) -> None:
    """Warns where no photo of a set has a box, and so no phrase one to find or to learn."""
    folder = Folder(path)
    batches = (batch for stem in stems(read_manifest(folder)) for batch in read_batches(folder, stem, [_A_REGION]))
    if not any(len(batch.column(0).flatten()) for batch in batches):
        what = "nothing to measure on it" if role == "val" else "no object to learn on its photos"
        warn(f"--{role} {path}: has no boxes, so there is {what}; leave it out, or give one that has")


def _check_evaluation(sources: Collection[str]) -> None:
    if "val" in sources and find_spec("hotcoco") is None:
        raise ConfigError("--val needs the package hotcoco: pip install hotcoco, or leave --val out")


def _shares(mix: Sequence[str], sources: Mapping[str, Sequence[str]]) -> Shares:
    """``full=3,1`` as numbers by source; raises ConfigError."""
    shares: Shares = {}
    for one in mix:
        name, _, text = one.partition("=")
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if name not in SOURCE_NAMES or not values or not all(0 < value < math.inf for value in values):
            raise ConfigError(
                f"--mix {one}: must be written as full=3,1: a source and a share above 0 for each of its datasets"
            )
        if len(values) != len(sources.get(name, ())):
            raise ConfigError(
                f"--mix {one}: has {len(values)} shares for {len(sources.get(name, ()))} datasets of --{name}; "
                "give one for each"
            )
        if name in shares:
            raise ConfigError(f"--mix {one}: shares of --{name} are given twice; leave one out")
        shares[name] = values
    return shares


def _check_twice(role: str, paths: Sequence[str]) -> None:
    for path in paths:
        if paths.count(path) > 1:
            raise ConfigError(f"--{role} {path}: is given twice; leave one out, or weigh it with --mix")


def _check_sources(run: RunFile, sources: Mapping[str, Sequence[str]]) -> None:
    for name in SOURCE_NAMES:
        wanted = getattr(run.batch, name)
        if wanted and name not in sources:
            raise ConfigError(
                f"the run file wants {wanted} photos of '{name}' a step: give --{name} DIR, or --set batch.{name}=0"
            )
        if name in sources and not wanted:
            raise ConfigError(f"--{name} is given, but batch.{name} is 0 in the run file: leave it out or --set it")
