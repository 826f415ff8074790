"""How any folder of ours stands, read from outside, also while it is written elsewhere: a dataset, an index, a run."""

import time
from pathlib import Path
from typing import Any

import msgspec

from pipelines.folder import RUN
from pipelines.lock import writer_of
from pipelines.stage import clock, describe
from pipelines.status import Status, read_status
from xdetr_data.errors import InputError
from xdetr_data.manifest import MANIFEST, read_manifest
from xdetr_data.storage import Folder

INDEX, STARTED = "index.json", "started.json"  # what an index and a training run are known by
_DECISIVE = ("boxes/ap50", "all/recall@1")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a folder stands.

    Attributes:
        state: ``complete``, ``running``, or ``stopped``: begun, not finished, and nobody works on it.
        said: lines for people, the most important first.
        status: what an unfinished run says of itself, where it does; of a training run its newest lines of metrics.
    """

    state: str
    said: list[str]
    status: Status | dict[str, Any] | None = None


def standing(address: str) -> Standing:
    """How the folder at a path or address stands; raises InputError where nothing of ours is there."""
    folder = Folder(address)
    if folder.is_local and folder.exists(STARTED):
        return _of_training(Path(folder.path("")))
    if folder.exists(MANIFEST):
        manifest = read_manifest(folder)
        said = [f"complete: {manifest.rows:,} samples in {len(manifest.shards):,} shards ({manifest.recipe})"]
        return Standing(state="complete", said=said)
    status, writer = read_status(folder), writer_of(folder)
    if writer is None and status is None and not folder.exists(RUN):
        if not folder.exists(INDEX):
            raise InputError(f"{address}: holds no dataset, index or training run, nor one that was begun")
        return Standing(state="complete", said=["complete: an index (xdetr-search)"])
    state = "stopped" if writer is None else "running"
    lines = [
        state if writer is None else f"running: process {writer.pid} on {writer.host} for {_since(writer.since_s)}"
    ]
    if status is not None:
        lines += _said(status, is_running=writer is not None)
    if writer is None:
        lines += ["go on: the same command with --resume"]
    return Standing(state=state, said=lines, status=status)


def _said(status: Status, *, is_running: bool) -> list[str]:
    lines = [f"command: {status.command}"]
    if (one := status.stage) is not None:
        pace, left = (one.per_second, one.left_s) if is_running else (0.0, None)
        lines += [describe(one.title, one.unit, one.at, one.total, pace, left, one.rejected, one.written)]
    lines += [f"as of {_since(status.written_s)} ago"]
    return lines + ([f"ended by: {status.error}"] if status.error else [])


def _of_training(out: Path) -> Standing:
    from pipelines.train.folder import METRICS, is_held

    newest: dict[str, dict[str, Any]] = {}
    for line in (out / METRICS).read_bytes().splitlines() if (out / METRICS).exists() else []:
        try:
            values = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # the last one, cut short by a kill
        newest[values["kind"]] = values
    step = newest.get("train", {})
    done, total = step.get("step", 0), step.get("steps", 0)
    is_running = is_held(out)
    state = "running" if is_running else "complete" if total and done >= total else "stopped"
    lines = [f"{state}: step {done:,}{f' of {total:,} ({done / total:.0%})' if total else ''}"]
    if step:
        left = f", {clock((total - done) * step['step_s'])} left" if is_running and total else ""
        lines += [
            f"loss {step['total']:.3f}, {step['step_s']:.2f} s a step ({step['waiting_share']:.0%} waiting){left}"
        ]
        lines += [f"as of {_since((out / METRICS).stat().st_mtime)} ago"]
    if step.get("photos_unreadable"):
        lines += [f"{step['photos_unreadable']:,} photos could not be read"]
    if figures := newest.get("evaluate"):
        named = ", ".join(f"{name} {figures[name]:.3f}" for name in sorted(figures) if name.endswith(_DECISIVE))
        lines += [f"on --val at step {figures['step']:,}: {named}"]
    lines += [f"go on: xdetr-train --resume {out}"] if state == "stopped" else []
    return Standing(state=state, said=lines, status=newest)


def _since(then_s: float) -> str:
    return clock(max(0.0, time.time() - then_s))
