"""What differs between two datasets, or between the ways two commands ended."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

NEW_ENDING = ".idx"  # an index of a tar may be new
_NEW_KEYS = {"warnings", "looked_for", "groups", "manifest_version", "licence"}
_OF_THE_RUN = {"config", "config_hash", "tool_version"}
_OF_THE_TIME = {"config_hash", "seconds", "photos_per_second", "waiting_share"}


@dataclass(slots=True)
class Difference:
    """What was compared, and what differs."""

    files: int = 0
    size_bytes: int = 0
    lines: list[str] = field(default_factory=list)


def compare_folders(before: Path, after: Path) -> Difference:
    """Compares all files of two datasets; of manifests and statistics what is not of the run or its time."""
    result = Difference()
    names = [_names(folder) for folder in (before, after)]
    result.lines += [f"{name}: only before" for name in sorted(names[0] - names[1])]
    result.lines += [f"{name}: only after" for name in sorted(names[1] - names[0]) if not name.endswith(NEW_ENDING)]
    for name in sorted(names[0] & names[1]):
        was, now = (before / name).read_bytes(), (after / name).read_bytes()
        result.files += 1
        result.size_bytes += len(was)
        if name.endswith(".json"):
            result.lines += [f"{name}: {line}" for line in _json_differences(was, now, (str(before), str(after)))]
        elif was != now:
            result.lines.append(f"{name}: {_first_difference(name, was, now)}")
    return result


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _json_differences(was: bytes, now: bytes, folders: tuple[str, str]) -> Iterator[str]:
    """The top-level keys that differ, but for those that may."""
    old, new = (_plain(data, folder) for data, folder in zip((was, now), folders, strict=True))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key} is {_short(old.get(key))} before, {_short(new.get(key))} after"


def _plain(data: bytes, folder: str) -> dict[str, Any]:
    value = json.loads(data.decode().replace(folder, "OUT"))
    may_differ = _OF_THE_RUN if "tool_version" in value else _OF_THE_TIME
    return {key: without_new(one) for key, one in value.items() if key not in may_differ | _NEW_KEYS}


def without_new(value: Any) -> Any:
    """The value without entries of files that may be new, and without what is told since of inputs."""
    if isinstance(value, dict):
        new = _NEW_KEYS | ({"inputs"} if "units" in value else set())
        return {key: without_new(one) for key, one in value.items() if key not in new}
    if isinstance(value, list):
        new = [isinstance(one, dict) and str(one.get("name", "")).endswith(NEW_ENDING) for one in value]
        return [without_new(one) for one, is_new in zip(value, new, strict=True) if not is_new]
    return value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _first_difference(name: str, was: bytes, now: bytes) -> str:
    """Where to look first."""
    if name.endswith(".parquet"):
        return _first_row(was, now)
    if name.endswith(".tar"):
        return _first_member(was, now)
    return f"{len(was):,} bytes before, {len(now):,} after, and not the same"


def _first_row(was: bytes, now: bytes) -> str:
    old, new = (pq.read_table(io.BytesIO(data)) for data in (was, now))
    if not old.schema.equals(new.schema, check_metadata=True):
        return f"schema {old.schema.remove_metadata()} before, {new.schema.remove_metadata()} after (or its metadata)"
    if old.num_rows != new.num_rows:
        return f"{old.num_rows} rows before, {new.num_rows} after"
    for name in old.column_names:
        pairs = zip(old[name].to_pylist(), new[name].to_pylist(), strict=True)
        for row, (one, other) in enumerate(pairs):
            if repr(one) != repr(other):
                return f"row {row}, {name}: {repr(one)[:200]} before, {repr(other)[:200]} after"
    return "the same rows, written otherwise"


def _first_member(was: bytes, now: bytes) -> str:
    old, new = (_members(data) for data in (was, now))
    for name in [*old, *new]:
        if old.get(name) != new.get(name):
            only = "only before" if name not in new else "only after" if name not in old else "not the same"
            return f"member {name} is {only}"
    return "the same members, in another order or with other headers"


def _members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = [(one.name, tar.extractfile(one)) for one in tar]
        return {name: stream.read() for name, stream in files if stream}


def reasons(out: Path) -> set[str]:
    """Why something was rejected, by the dataset's manifest."""
    if not (out / "manifest.json").exists():
        return set()
    units = json.loads((out / "manifest.json").read_text())["accounting"]["units"]
    return {
        f"{unit} {stage}: {reason}"
        for unit, flows in units.items()
        for stage, reasons in flows["rejected"].items()
        for reason in reasons
    }
