"""A run file: everything that decides what a training run does, in one complete YAML file, strictly parsed.

Every key must be there and none may be unknown, so that a file says all of what was run and a typing error never
trains with a default. The resolved file, with what ``--set`` and ``--seed`` changed, is written to the run folder.
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from xdetr_data.errors import ConfigError

Unit = Literal["photo", "paragraph"]
Precision = Literal["float32", "bfloat16"]
MOST_LEVELS = 16  # of mappings and lists within one another


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a run file: every field is a key that must be given."""


class FromScratch(Strict, tag="scratch", tag_field="from"):
    """Random weights in the preset's shape."""


class FromPublished(Strict, tag="published", tag_field="from"):
    """Published safetensors weights by directory or hub name; null leaves that part at random.

    ``backbone``: a transformers ResNet. ``detector``: a Deformable DETR, of which all that fit by name and shape are
    taken. ``text_encoder``: the text encoder and its tokenizer.
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

    full: int
    pseudo: int
    weak: int


class DataPart(Strict):
    """What a photo goes through on its way into a batch.

    ``shortest_px``: one is drawn for each photo; ``unit``: a photo with up to ``queries_per_photo`` of its queries, or
    one paragraph. ``crop``, ``flip``: probabilities; ``jitter``: largest relative change of brightness, contrast and
    saturation. ``buffer``: samples among which the order is shuffled. ``workers``: loader processes.
    """

    shortest_px: tuple[int, ...]
    longest_px: int
    crop: float
    flip: float
    jitter: float
    unit: Unit
    queries_per_photo: int
    buffer: int
    workers: int
    max_unreadable: int


class RatesPart(Strict):
    """Learning rates by group; ``deformable_projections`` are reference points and sampling offsets."""

    backbone: float
    text_encoder: float
    deformable_projections: float
    rest: float


class OptimiserPart(Strict):
    """Adam (the paper's) or AdamW, and the average of the weights that is evaluated and kept.

    ``scale_rates``: rates are for 16 photos of ``full`` a step and grow in proportion (paper); false: as they are.
    ``accumulate``: micro-steps that make a step. ``clip_norm``: of all gradients together; null does not clip.
    ``ema_warm_up``: let short runs forget their random beginning.
    """

    kind: Literal["adam", "adamw"]
    rates: RatesPart
    scale_rates: bool
    weight_decay: float
    clip_norm: float | None
    accumulate: int
    ema_decay: float
    ema_warm_up: bool


class StepDropPart(Strict, tag="step_drop", tag_field="kind"):
    """Constant, and times ``gamma`` from the end of ``after_epoch`` on."""

    after_epoch: int
    gamma: float
    warmup_steps: int


class LinearPart(Strict, tag="linear", tag_field="kind"):
    """Up over the first share of all steps, then down to 0 at the end."""

    warmup_share: float


class CoolDownPart(Strict, tag="cool_down", tag_field="kind"):
    """Up, constant, and over the last share of all steps down to ``floor``; for short runs."""

    warmup_share: float
    cooldown_share: float
    shape: Literal["linear", "cosine"]
    floor: float


RatePart = StepDropPart | LinearPart | CoolDownPart


class SchedulePart(Strict):
    """How long, and how the rates change: the text encoder's, and those of all the rest."""

    unit: Literal["epochs", "steps"]
    length: int
    text_encoder: RatePart
    rest: RatePart


class ComputePart(Strict):
    """How it is computed; none of it changes what is computed, but for rounding."""

    precision: Precision
    activation_checkpointing: bool
    compile: bool


class LossPart(Strict):
    """Weight of the pseudo-labelled source's losses."""

    pseudo_weight: float


class EvaluatePart(Strict):
    """On ``--val``, with EMA weights: every so many steps and at the end, on at most ``photos`` photos (null: all)."""

    every_steps: int
    photos: int | None
    batch: int


class SavePart(Strict):
    """Checkpoints to resume from: every so many steps, the newest ``keep``. A line of metrics every ``log_every``."""

    every_steps: int
    keep: int
    log_every: int


class RunFile(Strict):
    """A complete run. ``title`` and ``data_note`` go into the model card."""

    title: str
    data_note: str
    seed: int
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
    values = _yaml(text, name)
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: must hold 'key: value' lines as the files in manifests/runs")
    for change in changes:
        _apply(values, change)
    for problem in _problems(RunFile, values, ""):
        raise ConfigError(f"{name}: {problem}")
    try:
        run = msgspec.convert(values, RunFile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_with_place(str(error))}") from error
    _check(run, name)
    return run


def dump_run_file(run: RunFile) -> str:
    """The run file as YAML that :func:`parse_run_file` reads back."""
    import yaml

    return yaml.safe_dump(msgspec.to_builtins(run), sort_keys=False, width=120, allow_unicode=True)


def _yaml(text: str, name: str) -> Any:
    import yaml

    try:
        values = yaml.load(text, Loader=_loader(yaml))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the thirty-first of February
        raise ConfigError(f"{name}: is no YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deeply") from error
    if _is_deeper(values, MOST_LEVELS):
        raise ConfigError(f"{name}: is nested too deeply")
    return values


def _is_deeper(values: Any, levels: int) -> bool:
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return levels < 0 or any(_is_deeper(part, levels - 1) for part in parts)


def _loader(yaml: Any) -> Any:
    """The safe loader that reads ``1e-5`` as a number, and refuses a key that stands twice."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise yaml.YAMLError(
                        f"key {key.value!r} stands twice, the second time in line {key.start_mark.line + 1}"
                    )
                seen.add(str(key.value))
            return super().construct_mapping(node, deep)

    import re

    number = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def _apply(values: dict[str, Any], change: str) -> None:
    key, sign, text = change.partition("=")
    if not (key and sign):
        raise ConfigError(f"--set {change!r}: must be written as key.inner=value")
    *parents, last = key.split(".")
    part: Any = values
    for parent in parents:
        part = part.get(parent) if isinstance(part, dict) else None
    if not isinstance(part, dict) or (last not in part and parents[-1:] != ["config"]):
        known = sorted(_paths(values))
        raise ConfigError(f"--set {key}: the run file has no such key{_nearest(key, known)}")
    part[last] = _yaml(text, f"--set {key}")


def _paths(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _problems(kind: Any, values: Any, place: str) -> Iterator[str]:
    """Unknown and missing keys, outermost first; what is no mapping is left to msgspec to refuse."""
    if not isinstance(values, dict):
        return
    chosen = _chosen(kind, values)
    if chosen is None:
        return
    hints = get_type_hints(chosen)
    fields = list(chosen.__struct_fields__)
    tag = chosen.__struct_config__.tag_field
    known = [*([tag] if tag else []), *fields]
    missing = [key for key in fields if key not in values]
    for key in values:
        if key not in known:
            yield f"key {place}{key} is unknown{_nearest(str(key), missing or known)}"
    for key in missing:
        yield f"key {place}{key} is missing{_nearest(key, [str(k) for k in values if k not in known], 'is this it')}"
    for key in fields:
        if key in values:
            yield from _problems(hints[key], values[key], f"{place}{key}.")


def _chosen(kind: Any, values: Mapping[str, Any]) -> type[msgspec.Struct] | None:
    """The struct that a mapping is for: of several, the one that its tag names."""
    kinds = [one for one in (get_args(kind) or (kind,)) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    if get_origin(kind) is dict or not kinds:
        return None
    if len(kinds) == 1:
        return kinds[0]
    return next((one for one in kinds if values.get(_tag_field(one)) == one.__struct_config__.tag), None)


def _tag_field(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag_field)


def _nearest(key: str, known: Sequence[str], words: str = "nearest valid key") -> str:
    found = difflib.get_close_matches(key, list(known), n=1, cutoff=0.0 if words.startswith("nearest") else 0.6)
    return f" ({words}: {found[0]})" if found else ""


def _with_place(message: str) -> str:
    """msgspec's ``… - at `$.data.workers``` → ``data.workers: …``."""
    text, sign, place = message.rpartition(" - at `$.")
    return f"{place.rstrip('`')}: {text}" if sign else message


def _numbers(values: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """The floats of nested values, each with its dotted key."""
    if isinstance(values, float):
        yield place.removesuffix("."), values
    elif isinstance(values, dict | list):
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            yield from _numbers(value, f"{place}{key}.")


def _check(run: RunFile, name: str) -> None:
    """Raises ConfigError for values that no run can have."""
    for key, value in _numbers(msgspec.to_builtins(run)):
        if not math.isfinite(value):
            raise ConfigError(f"{name}: {key} is {value}; it must be a finite number")
    batch, data, optimiser, schedule = run.batch, run.data, run.optimiser, run.schedule
    at_least: dict[str, tuple[float | None, float]] = {
        "batch.full": (batch.full, 0),
        "batch.pseudo": (batch.pseudo, 0),
        "batch.weak": (batch.weak, 0),
        "data.longest_px": (data.longest_px, 32),
        "data.queries_per_photo": (data.queries_per_photo, 1),
        "data.buffer": (data.buffer, 1),
        "data.workers": (data.workers, 0),
        "data.max_unreadable": (data.max_unreadable, 1),
        "optimiser.accumulate": (optimiser.accumulate, 1),
        "optimiser.weight_decay": (optimiser.weight_decay, 0),
        "schedule.length": (schedule.length, 1),
        "loss.pseudo_weight": (run.loss.pseudo_weight, 0),
        "evaluate.every_steps": (run.evaluate.every_steps, 1),
        "evaluate.photos": (run.evaluate.photos, 1),
        "evaluate.batch": (run.evaluate.batch, 1),
        "save.every_steps": (run.save.every_steps, 1),
        "save.keep": (run.save.keep, 1),
        "save.log_every": (run.save.log_every, 1),
        "seed": (run.seed, 0),
    }
    for group, part in (("text_encoder", schedule.text_encoder), ("rest", schedule.rest)):
        if isinstance(part, StepDropPart):
            for key in ("after_epoch", "gamma", "warmup_steps"):
                at_least[f"schedule.{group}.{key}"] = (getattr(part, key), 0)
            if schedule.unit == "epochs" and part.after_epoch >= schedule.length:
                raise ConfigError(
                    f"{name}: schedule.{group}.after_epoch is {part.after_epoch}, but the run has {schedule.length} "
                    "epochs (schedule.length); it must be lower"
                )
    for key, (value, least) in at_least.items():
        if value is not None and not value >= least:
            raise ConfigError(f"{name}: {key} is {value}; it must be at least {least:g}")
    if run.seed >= 1 << 63:
        raise ConfigError(f"{name}: seed is {run.seed}; it must be below 2**63")
    shares = {"data.crop": data.crop, "data.flip": data.flip, "data.jitter": data.jitter}
    for key, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigError(f"{name}: {key} is {share}; it must be between 0 and 1")
    if not data.shortest_px or min(data.shortest_px) < 32 or max(data.shortest_px) > data.longest_px:
        raise ConfigError(f"{name}: data.shortest_px must list sizes from 32 up to data.longest_px ({data.longest_px})")
    if not 0 <= optimiser.ema_decay < 1:
        raise ConfigError(f"{name}: optimiser.ema_decay is {optimiser.ema_decay}; it must be at least 0 and below 1")
    if batch.full + batch.pseudo + batch.weak == 0:
        raise ConfigError(f"{name}: batch.full, batch.pseudo and batch.weak are all 0; give one of them photos")
    for key, rate in msgspec.structs.asdict(optimiser.rates).items():
        if not rate >= 0:
            raise ConfigError(f"{name}: optimiser.rates.{key} is {rate}; it must not be negative")
