"""A run file: everything that decides what a training run does, in one complete YAML file, strictly parsed.

Every key must be there and none may be unknown, so that a file says all of what was run and a typing error never
trains with a default. The resolved file, with what ``--set`` and ``--seed`` changed, is written to the run folder.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pipelines.strict_yaml import load_yaml
from pipelines.train.typed import nearest, typed
from xdetr_data.errors import ConfigError
from xdetr_data.loading.config import Unit

Precision = Literal["float32", "bfloat16"]

Count = Annotated[int, Meta(ge=0, description="at least 0")]
AtLeastOne = Annotated[int, Meta(ge=1, description="at least 1")]
Pixels = Annotated[int, Meta(ge=32, description="at least 32")]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1, description="below 2**63 and not negative")]
NotNegative = Annotated[float, Meta(ge=0, description="at least 0")]
Share = Annotated[float, Meta(ge=0, le=1, description="between 0 and 1")]
Decay = Annotated[float, Meta(ge=0, lt=1, description="at least 0 and below 1")]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a run file: every field is a key that must be given."""


class FromScratch(Strict, tag="scratch", tag_field="from"):
    """Random weights in the preset's shape."""


class FromPublished(Strict, tag="published", tag_field="from"):
    """Published safetensors weights by directory or hub name; null leaves that part at random.

    ``backbone``: a transformers ResNet. ``detector``: a Deformable DETR of the preset's stages, whose backbone is left
    where one is given. ``text_encoder``: the text encoder, of whatever depth, width and positions, and its tokenizer.
    Colours are normalised as the backbone's (or detector's) ``preprocessor_config.json`` says.
    """

    backbone: str | None
    detector: str | None
    text_encoder: str


class FromCheckpoint(Strict, tag="checkpoint", tag_field="from"):
    """An X-DETR checkpoint directory or hub name: the ``model/`` of an earlier run."""

    path: str


class ModelPart(Strict):
    """``preset`` of ``xdetr_model.network.presets`` (null where a checkpoint brings the shape), where the weights
    start, and values of XDetrConfig that differ from it."""

    preset: str | None
    start: FromScratch | FromPublished | FromCheckpoint
    config: dict[str, Any]


class BatchPart(Strict):
    """Photos of each source in a process's step; 0 leaves the source out."""

    full: Count
    pseudo: Count
    weak: Count

    @property
    def photos(self) -> int:
        """Of all sources."""
        return self.full + self.pseudo + self.weak


class DataPart(Strict):
    """What a photo goes through on its way into a batch.

    ``shortest_px``: one is drawn for each photo; ``unit``: what an epoch visits once, every photo with up to
    ``queries_per_photo`` of its queries, or every paragraph. Of a dataset of classes these are a photo's positives, and
    with them come up to ``absences_per_photo`` verified absences and ``unknown_per_photo`` classes of which nothing is
    known there. ``crop``, ``flip``: probabilities; ``jitter``: largest relative change of brightness, contrast and
    saturation. ``buffer``: visits among which the order is shuffled.
    ``workers``: loader processes.
    """

    shortest_px: tuple[int, ...]
    longest_px: Pixels
    crop: Share
    flip: Share
    jitter: Share
    unit: Unit
    queries_per_photo: AtLeastOne
    absences_per_photo: Count
    unknown_per_photo: Count
    buffer: AtLeastOne
    workers: Count
    max_unreadable: AtLeastOne


class RatesPart(Strict):
    """Learning rates by group; ``deformable_projections`` are reference points and sampling offsets."""

    backbone: NotNegative
    text_encoder: NotNegative
    deformable_projections: NotNegative
    rest: NotNegative


class OptimiserPart(Strict):
    """AdamW (the paper's, as MDETR builds it) or Adam, and the average of the weights that is evaluated and kept.

    ``scale_rates``: rates are for 16 photos of ``full`` a step and grow in proportion (paper); false: as they are.
    ``accumulate``: micro-steps that make a step. ``clip_norm``: of all gradients together; null does not clip.
    ``ema_warm_up``: let short runs forget their random beginning.
    """

    kind: Literal["adam", "adamw"]
    rates: RatesPart
    scale_rates: bool
    weight_decay: NotNegative
    clip_norm: float | None
    accumulate: AtLeastOne
    ema_decay: Decay
    ema_warm_up: bool


class StepDropPart(Strict, tag="step_drop", tag_field="kind"):
    """Constant, and times ``gamma`` from the end of ``after_epoch`` on."""

    after_epoch: Count
    gamma: NotNegative
    warmup_steps: Count


class LinearPart(Strict, tag="linear", tag_field="kind"):
    """Up over the first share of all steps, then down to 0 at the end."""

    warmup_share: float


class CoolDownPart(Strict, tag="cool_down", tag_field="kind"):
    """Up, constant, and over the last share of all steps down to ``floor``; for short runs."""

    warmup_share: float
    cooldown_share: float
    shape: Literal["linear", "cosine"]
    floor: Share


RatePart = StepDropPart | LinearPart | CoolDownPart


class SchedulePart(Strict):
    """How long, and how the rates change: the text encoder's, and those of all the rest."""

    unit: Literal["epochs", "steps"]
    length: AtLeastOne
    text_encoder: RatePart
    rest: RatePart


class ComputePart(Strict):
    """How it is computed; none of it changes what is computed, but for rounding."""

    precision: Precision
    activation_checkpointing: bool
    compile: bool


class LossPart(Strict):
    """Weight of the pseudo-labelled source's losses."""

    pseudo_weight: NotNegative


class EvaluatePart(Strict):
    """On ``--val``, with EMA weights: every so many steps and at the end, on at most ``photos`` photos (null: all)."""

    every_steps: AtLeastOne
    photos: AtLeastOne | None
    batch: AtLeastOne


class SavePart(Strict):
    """Checkpoints to resume from: every so many steps, the newest ``keep``. A line of metrics every ``log_every``."""

    every_steps: AtLeastOne
    keep: AtLeastOne
    log_every: AtLeastOne


class RunFile(Strict):
    """A complete run. ``title`` and ``data_note`` go into the model card."""

    title: str
    data_note: str
    seed: Seed
    model: ModelPart
    batch: BatchPart
    data: DataPart
    optimiser: OptimiserPart
    schedule: SchedulePart
    loss: LossPart
    compute: ComputePart
    evaluate: EvaluatePart
    save: SavePart


def read_run_file(path: Path | str, changes: Sequence[str] = ()) -> RunFile:
    """Parses a run file and applies ``key.inner=value`` changes (YAML values); raises ConfigError, naming the key."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--run {path}: cannot be read ({error}); give a file as in manifests/runs") from error
    return parse_run_file(text, str(path), changes)


def parse_run_file(text: str, name: str, changes: Sequence[str] = ()) -> RunFile:
    """The same from text; ``name`` is what error messages call it."""
    values = load_yaml(text, name)
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: must hold 'key: value' lines as the files in manifests/runs")
    for change in changes:
        _apply(values, change)
    for place, value in _places(values):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}: {place} is {value}; it must be a finite number")
    run = typed(values, RunFile, name)
    _check(run, name)
    return run


def dump_run_file(run: RunFile) -> str:
    """The run file as YAML that :func:`parse_run_file` reads back."""
    import yaml

    return yaml.safe_dump(msgspec.to_builtins(run), sort_keys=False, width=120, allow_unicode=True)


def _apply(values: dict[str, Any], change: str) -> None:
    key, sign, text = change.partition("=")
    if not (key and sign):
        raise ConfigError(f"--set {change!r}: must be written as key.inner=value")
    *parents, last = key.split(".")
    part: Any = values
    for parent in parents:
        part = part.get(parent) if isinstance(part, dict) else None
    if not isinstance(part, dict) or (last not in part and parents[-1:] != ["config"]):
        known = sorted(place for place, _ in _places(values) if "[" not in place)
        raise ConfigError(f"--set {key}: the run file has no such key{nearest(key, known)}")
    part[last] = load_yaml(text, f"--set {key}")


def _places(values: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """What nested values hold, each with its dotted key; ``[0]`` in lists."""
    if place:
        yield place, values
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _places(value, f"{place}.{key}" if place else str(key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _places(value, f"{place}[{index}]")


def _check(run: RunFile, name: str) -> None:
    """Raises ConfigError for values that contradict one another."""
    batch, data, optimiser, schedule = run.batch, run.data, run.optimiser, run.schedule
    if not data.shortest_px or min(data.shortest_px) < 32 or max(data.shortest_px) > data.longest_px:
        raise ConfigError(f"{name}: data.shortest_px must list sizes from 32 up to data.longest_px ({data.longest_px})")
    if optimiser.scale_rates and not batch.full:
        raise ConfigError(
            f"{name}: batch.full is 0, but optimiser.scale_rates multiplies all rates with the photos of --full, so "
            "nothing would be trained; say optimiser.scale_rates=false and give rates as they are to be"
        )
    if not any(msgspec.structs.astuple(optimiser.rates)):
        raise ConfigError(f"{name}: optimiser.rates are all 0, so nothing would be trained; give one a rate")
    for group, part in (("text_encoder", schedule.text_encoder), ("rest", schedule.rest)):
        if isinstance(part, StepDropPart) and not (part.after_epoch or part.gamma):
            raise ConfigError(
                f"{name}: schedule.{group} has after_epoch 0 and gamma 0, so its rates would be 0 in every step; for "
                "what is not to be trained say 0 in optimiser.rates"
            )
    if batch.pseudo and not (batch.full or batch.weak or run.loss.pseudo_weight):
        raise ConfigError(
            f"{name}: loss.pseudo_weight is 0 and there is no source but --pseudo, so nothing would be trained"
        )
    if not batch.photos:
        raise ConfigError(f"{name}: batch.full, batch.pseudo and batch.weak are all 0; give one of them photos")
    for group, part in (("text_encoder", schedule.text_encoder), ("rest", schedule.rest)):
        if isinstance(part, StepDropPart) and schedule.unit == "epochs" and part.after_epoch >= schedule.length:
            raise ConfigError(
                f"{name}: schedule.{group}.after_epoch is {part.after_epoch}, but the run has {schedule.length} "
                "epochs (schedule.length); it must be lower"
            )
