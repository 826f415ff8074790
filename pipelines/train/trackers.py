"""Where else a run's metrics go, for those who follow runs there: each only where its package is installed.

TensorBoard's events and ``metrics.jsonl`` stand in the run's folder in any case (``metrics.py``); a tracker that fails
is told of once and left out, and training goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipelines.train.say import warn
from xdetr_data.errors import ConfigError

PROJECT = "xdetr-train"
_MLFLOW_RUN = "mlflow_run.txt"  # in the run's folder: what a resumed run goes on with


class Tracker(Protocol):
    """Takes figures."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Figures by name, at a step."""

    def close(self) -> None:
        """All is said."""


class _Modular:
    """wandb and trackio: a module that is told of a run."""

    def __init__(self, module: Any, **about: Any) -> None:
        self._module = module
        module.init(project=PROJECT, resume="allow", **about)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log(dict(values), step=step)

    def close(self) -> None:
        self._module.finish()


class _Mlflow:
    def __init__(self, out: Path, config: Mapping[str, Any]) -> None:
        self._module = import_module("mlflow")
        self._module.set_experiment(PROJECT)
        noted = out / _MLFLOW_RUN
        run_id = noted.read_text().strip() if noted.exists() else None
        run = self._module.start_run(run_id=run_id, run_name=None if run_id else out.name)
        if run_id is None:
            noted.write_text(run.info.run_id)
            self._module.log_params(_flat(config))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._module.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._module.end_run()


def _wandb(out: Path, config: Mapping[str, Any]) -> Tracker:
    identity = blake2b(str(out.resolve()).encode(), digest_size=8).hexdigest()
    return _Modular(import_module("wandb"), name=out.name, id=identity, dir=str(out), config=dict(config))


def _trackio(out: Path, config: Mapping[str, Any]) -> Tracker:
    return _Modular(import_module("trackio"), name=out.name, config=dict(config))


_MADE_BY: dict[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
    "mlflow": _Mlflow,
    "trackio": _trackio,
    "wandb": _wandb,
}
NAMES = tuple(_MADE_BY)


def check_trackers(names: Sequence[str]) -> None:
    """Raises ConfigError for a tracker whose package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"--track {name}: the package is not installed: pip install {name}, or leave it out")


class Trackers:
    """All trackers of a run; one that fails is told of and left out."""

    def __init__(self, names: Sequence[str], out: Path, config: Mapping[str, Any]) -> None:
        self._open: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            self._try(name, partial(self._begin, name, out, config))

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """The numbers among the values, called ``kind/name``."""
        numbers = {f"{kind}/{name}": float(value) for name, value in values.items() if isinstance(value, int | float)}
        for name, tracker in list(self._open.items()):
            self._try(name, partial(tracker.log, step, numbers))

    def close(self) -> None:
        """Closes all."""
        for name, tracker in list(self._open.items()):
            self._try(name, tracker.close)

    def _begin(self, name: str, out: Path, config: Mapping[str, Any]) -> None:
        self._open[name] = _MADE_BY[name](out, config)

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # what another program raises is no reason to stop training
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            warn(f"--track {name}: {why}; it gets nothing more, metrics.jsonl has it all")
            self._open.pop(name, None)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
