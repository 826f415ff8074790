"""The run itself: prepare, resume, step after step, with checkpoints, metrics and evaluation on the way."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
import torch

from pipelines.train import folder
from pipelines.train.build import Built, build
from pipelines.train.job import Job
from pipelines.train.keeping import keep_model
from pipelines.train.labelled import dataset_photos
from pipelines.train.loading.batches import TrainBatches
from pipelines.train.metrics import Metrics, find_line
from pipelines.train.processes import Group
from pipelines.train.recipe import Length, length_of, make_batches, make_step
from pipelines.train.runfile import EvaluatePart
from pipelines.train.saved import load_newest, save_state
from pipelines.train.say import duration, in_one_line, say, warn
from pipelines.train.stopping import StopRequest, stop_on_signals
from xdetr_data.errors import ConfigError, InputError
from xdetr_model.evaluate.driver import evaluate
from xdetr_model.losses.targets import TargetCounts
from xdetr_model.photos import PhotoTransform
from xdetr_model.train.batch import StepBatch
from xdetr_model.train.step import StepReport, TrainStep

DECISIVE = ("boxes/ap50", "phrases/all/recall@1")  # the mean of these decides which model is the best


@dataclass(kw_only=True)
class Training:
    """A run under way in one process. ``best`` is the best figure so far, on which ``best/`` stands; ``unreadable``
    the unreadable photos that were told of."""

    job: Job
    out: Path
    group: Group
    built: Built
    batches: TrainBatches
    step: TrainStep
    length: Length
    best: float | None = None
    unreadable: int = 0
    metrics: Metrics | None = None
    held: IO[bytes] | None = None
    clock: "Clock" = field(default_factory=lambda: Clock(0))

    @property
    def is_done(self) -> bool:
        """Whether all steps are taken."""
        return self.step.steps_done >= self.length.total_steps


class Pace(NamedTuple):
    """Of the steps since the last look: seconds a step, and the share of them that was spent waiting for data."""

    step_s: float
    waiting_share: float


class Clock:
    """Time per step since this process began, without the time that evaluations take."""

    def __init__(self, first: int) -> None:
        self.first, self.began, self.paused = first, time.perf_counter(), 0.0
        self._looked = (first, 0.0, 0.0)

    @property
    def worked(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.began - self.paused

    def left(self, step: int, total: int) -> float:
        """Seconds until the end at the pace so far."""
        return self.worked / max(1, step - self.first) * (total - step)

    def pace(self, step: int, waited_s: float) -> Pace:
        """The pace since the last call; ``waited_s`` is all the waiting so far."""
        now = (step, self.worked, waited_s)
        steps, worked, waited = (new - old for new, old in zip(now, self._looked, strict=True))
        self._looked = now
        return Pace(worked / max(1, steps), waited / worked)


def train(job: Job, group: Group) -> int:
    """Trains to the end, or until a signal asks to stop; the exit code.

    Raises NonFiniteError with the keys of the batch, and the errors of what it reads and writes.
    """
    training = prepare(job, group)
    with stop_on_signals() as request:
        try:
            _make_up_evaluation(training)
            code = _take_steps(training, request)
        finally:
            if training.metrics is not None:
                training.metrics.close()
            if training.held is not None:
                training.held.close()
    if not code and group.is_first:
        say(f"done: {training.step.steps_done} steps; checkpoint in {training.out / folder.MODEL}")
    return code


def prepare(job: Job, group: Group) -> Training:
    """Everything up to the first step: the folder is claimed, or the newest checkpoint is loaded."""
    assert job.out is not None
    out = job.out
    if job.began not in (None, group.size):
        raise ConfigError(
            f"--resume {out}: began with {job.began} processes and {group.size} are here; start as many again, "
            "as samples and rates are laid out for them"
        )
    torch.manual_seed(job.run.seed)
    held = _hold(out, group) if job.began is not None else None
    state = load_newest(out) if job.began is not None else None
    built = build(job.run, start=state is None)
    built.model.to(group.device)
    tokens = int(built.model.config.max_text_tokens)
    transform = PhotoTransform.from_processor(built.image_processor)
    batches = make_batches(job.run, job.training, job.shares, built.tokenizer, tokens, group, transform)
    length = length_of(job.run, batches.steps_per_epoch)
    if job.began is None:
        started = folder.Started(sources=job.sources, shares=job.shares, processes=group.size)
        group.first_does(lambda: folder.begin(out, job.run, started))
        held = _hold(out, group)
    if state is not None:
        built.model.load_state_dict(state["model"])
    step = make_step(job.run, built.model, length, group.size)
    training = Training(job=job, out=out, group=group, built=built, batches=batches, step=step, length=length)
    training.held = held
    if state is not None:
        step.load_state_dict(state["step_state"])
        batches.load_state_dict(state["loader"][group.rank])
        training.best = state["best"]
        training.unreadable = sum(loader["counts"]["photos_unreadable"] for loader in state["loader"])
    training.clock = Clock(step.steps_done)
    group.first_does(lambda: folder.sweep(out))
    if group.is_first:
        training.metrics = Metrics(out, step.steps_done, job.trackers, msgspec.to_builtins(job.run))
        _announce(training, resumed=state is not None)
    return training


def _hold(out: Path, group: Group) -> IO[bytes] | None:
    """The run is this group's: its first process holds it."""
    held: list[IO[bytes]] = []
    group.first_does(lambda: held.append(folder.hold(out)))
    return held[0] if held else None


def _announce(training: Training, *, resumed: bool) -> None:
    length, sources = training.length, training.job.training
    counts = ", ".join(f"{name} {sum(one.photos for one in datasets):,}" for name, datasets in sources.items())
    processes = f"{training.group.size} processes, " if training.group.size > 1 else ""
    say(
        f"{'resuming after' if resumed else 'training:'} "
        f"{f'step {training.step.steps_done} of ' if resumed else ''}{length.total_steps:,} steps "
        f"({length.epochs:.1f} epochs of {length.an_epoch}); photos: {counts}; "
        f"{training.built.model.num_parameters():,} parameters; {processes}{training.group.device}"
    )
    if still := [name for name, plan in training.step.plans.items() if not plan.rate]:
        say(f"not trained, as optimiser.rates say 0: {', '.join(still)}")


def _take_steps(training: Training, request: StopRequest) -> int:
    """The loop; the exit code."""
    job, step, save = training.job, training.step, training.job.run.save
    micro = _micro_batches(training.batches)
    while not training.is_done:
        batches = [next(micro) for _ in range(job.run.optimiser.accumulate)]
        _seed(job.run.seed, step.steps_done, training.group.rank)
        report = step(batches)
        keys = [key for batch in batches for key in batch.keys]
        left_out = _left_out(batches)
        done = step.steps_done
        if done % save.log_every == 0 or training.is_done:
            _report(training, report, keys, left_out)
        code = training.group.largest(request.code)
        if code or training.is_done or done % save.every_steps == 0:
            _save(training)  # before the evaluation, which can fail for reasons of its own
        if code and not training.is_done:
            if training.group.is_first:
                say(f"stopped and saved after step {done}; go on with --resume {training.out}")
            return code
        if _is_evaluated(training):
            _evaluate(training)
    return 0


def _is_evaluated(training: Training) -> bool:
    """Whether there is an evaluation after the step just taken."""
    return training.is_done or training.step.steps_done % training.job.run.evaluate.every_steps == 0


def _make_up_evaluation(training: Training) -> None:
    """The evaluation between saving and the next step, where the run ended before it was through."""
    done = training.step.steps_done
    if not done or not _is_evaluated(training) or not training.group.is_first:
        return
    line = find_line(training.out, "evaluate", done)
    if line is None:
        _evaluate(training)
    else:
        training.best = max(_score(line), _score(line) if training.best is None else training.best)


def _micro_batches(batches: TrainBatches) -> Iterator[StepBatch]:
    """Batch after batch, epoch after epoch, from where the loader stands."""
    while True:
        yield from batches.epoch(batches.position[0])


def _seed(seed: int, step: int, rank: int) -> None:
    """What chance decides in a step is a function of the step, so that there is no state of generators to keep."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def _left_out(batches: Sequence[StepBatch]) -> dict[str, int]:
    """What of a step's texts and boxes was cut or left out of the losses, by reason, and of how many."""
    counts = sum((one.targets.counts for batch in batches for one in batch), TargetCounts())
    return {f"targets/{name}": value for name, value in asdict(counts).items()}


def _report(training: Training, report: StepReport, keys: list[str], left_out: dict[str, int]) -> None:
    """A line for people and one for machines, which has a checksum of the first process's keys to compare runs by."""
    tables = training.group.gather(report.scalars())
    counts = training.group.gather(left_out)
    unreadable = sum(training.group.gather(training.batches.counts.photos_unreadable))
    scalars = {name: sum(table[name] for table in tables) / len(tables) for name in tables[0]}
    if not training.group.is_first or training.metrics is None:
        return
    done, total = training.step.steps_done, training.length.total_steps
    left = training.clock.left(done, total)
    pace = training.clock.pace(done, training.batches.waited_seconds)
    values: dict[str, Any] = {
        "steps": total,
        "epoch": done / training.length.steps_per_epoch,
        **scalars,
        **pace._asdict(),
    }
    values |= {name: sum(one[name] for one in counts) for name in left_out}
    values |= {"photos_unreadable": unreadable, "keys_crc32": crc32(" ".join(keys).encode())}
    training.metrics.add("train", done, values)
    parts = " ".join(f"{name}={scalars[name]:.3f}" for name in _shown(scalars))
    say(f"step {done:,}/{total:,} loss={scalars['total']:.3f} {parts} {pace.step_s:.2f} s/step, eta {duration(left)}")
    if unreadable > training.unreadable:
        training.unreadable = unreadable
        last = training.batches.last_unreadable
        example = "" if last is None else f" (the last here: {last.key}: {last.detail})"
        warn(f"{unreadable} photos could not be read so far, and others stood in for them{example}")


def _shown(scalars: dict[str, float]) -> list[str]:
    wanted = ("objectness", "giou", "l1", "o2t", "t2o", "i2c")
    return [name for name in scalars if "/" in name and name.split("/")[1] in wanted and scalars[name]]


def _evaluate(training: Training) -> None:
    """Figures of the averaged weights on --val; writes ``model/`` anew, ``best/`` where they are best."""
    began = time.perf_counter()
    step, built = training.step, training.built
    assert step.average is not None
    if training.group.is_first:  # the others wait; evaluations are few
        with step.average.applied_to(built.model):
            _keep(training, _figures(training))
    built.model.train()
    training.clock.paused += time.perf_counter() - began


def _figures(training: Training) -> dict[str, float]:
    """The model's figures on --val as it is now; none where there is no such set.

    Of several sets each has its own, whose names begin with the set's.
    """
    sets = val_names([dataset.path for dataset in training.job.sources.get("val", ())])
    figures: dict[str, float] = {}
    for path, name in sets.items():
        try:
            found = _figures_on(path, training.job.run.evaluate, training.built)
        except InputError as error:  # days of training are not lost for a set that only measures
            warn(f"nothing was measured on --val {path}, and training goes on: {in_one_line(error)}")
            continue
        if not found:
            warn(f"--val {path}: the photos that were evaluated have no boxes, so nothing was measured")
        figures |= {f"{name}/{figure}" if len(sets) > 1 else figure: value for figure, value in found.items()}
    return figures


def val_names(paths: Sequence[str]) -> dict[str, str]:
    """By path what figures call a set: the folder's name, or where two folders have one name their numbers, too."""
    names = [path.rstrip("/").rpartition("/")[2] for path in paths]
    return {
        path: name if names.count(name) == 1 else f"{name}-{number}"
        for number, (path, name) in enumerate(zip(paths, names, strict=True))
    }


def _figures_on(path: str, wanted: EvaluatePart, built: Built) -> dict[str, float]:
    transform = PhotoTransform.from_processor(built.image_processor)
    photos = dataset_photos(path, wanted.photos)
    found = evaluate(built.model, built.tokenizer, transform, photos, batch_size=wanted.batch)
    return {name: float(value) for name, value in found.scalars().items()}


def _keep(training: Training, figures: dict[str, float]) -> None:
    done = training.step.steps_done
    parts = (training.built, training.job, done, training.length, figures)
    keep_model(training.out / folder.MODEL, *parts)
    if not figures:
        return
    say(f"step {done:,} on --val: " + ", ".join(f"{name} {figures[name]:.3f}" for name in _decisive(figures)))
    score = _score(figures)
    if training.best is None or score > training.best:
        training.best = score
        keep_model(training.out / folder.BEST, *parts)
    assert training.metrics is not None
    training.metrics.add("evaluate", done, figures)  # last: the line says that all is written


def _score(figures: dict[str, float]) -> float:
    """The mean over sets of each set's mean of what is decisive."""
    by_set: dict[str, list[float]] = {}
    for name in _decisive(figures):
        of = next(name.removesuffix(one) for one in DECISIVE if name.endswith(one))
        by_set.setdefault(of, []).append(figures[name])
    return float(np.mean([np.mean(values) for values in by_set.values()]))


def _decisive(figures: dict[str, float]) -> list[str]:
    """Names of the figures that decide, of every set."""
    return [name for name in figures if any(name == one or name.endswith(f"/{one}") for one in DECISIVE)]


def _save(training: Training) -> None:
    loader = training.group.gather(training.batches.state_dict())
    if training.group.is_first:
        state = {
            "model": training.built.model.state_dict(),
            "step_state": training.step.state_dict(),
            "loader": loader,
            "best": training.best,
        }
        save_state(training.out, training.step.steps_done, state, training.job.run.save.keep)
