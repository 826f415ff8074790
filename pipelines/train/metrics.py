"""What a run reports: metrics.jsonl, TensorBoard events, and what trackers are told (``--track``)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from pipelines.train.folder import EVENTS, METRICS, write_whole
from pipelines.train.say import warn
from pipelines.train.trackers import Trackers


class Metrics:
    """Writes one JSON object a line, each with its ``step`` and ``kind`` (``train`` or ``evaluate``).

    On a resume the lines after the step that was saved are dropped, as those steps are taken again.
    """

    def __init__(
        self, out: Path, step: int, trackers: Sequence[str] = (), config: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        path = out / METRICS
        if path.exists():
            write_whole(path, b"".join(line for line in path.read_bytes().splitlines(True) if _step(line) <= step))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._events = _event_writer(out / EVENTS, step)
        self._trackers = Trackers(trackers, out, config)

    def add(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """One line, and a point in each curve of numbers."""
        self._file.write(msgspec.json.encode({"kind": kind, "step": step, **values}) + b"\n")
        self._file.flush()
        self._trackers.log(kind, step, values)
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Closes all."""
        self._file.close()
        self._trackers.close()
        if self._events is not None:
            self._events.close()


def find_line(out: Path, kind: str, step: int) -> dict[str, Any] | None:
    """The line of a kind and step in a run's metrics, None where there is none."""
    path = out / METRICS
    for line in path.read_bytes().splitlines(True) if path.exists() else []:
        if _step(line) == step and (values := msgspec.json.decode(line))["kind"] == kind:
            found: dict[str, Any] = values
            return found
    return None


def _step(line: bytes) -> float:
    """The step of a line; a line that a kill cut short counts as one to drop."""
    try:
        return int(msgspec.json.decode(line)["step"]) if line.endswith(b"\n") else float("inf")
    except (msgspec.DecodeError, KeyError, TypeError):
        return float("inf")


def _event_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        warn("the package tensorboard is not installed, so there are no TensorBoard events; metrics.jsonl has them all")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
