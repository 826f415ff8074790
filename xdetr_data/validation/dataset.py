"""Checks of a whole dataset: its manifest, then shard by shard, then what only all shards together show."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError, XdetrDataError
from xdetr_data.manifest import MANIFEST, MANIFEST_VERSION, Manifest, ShardEntry
from xdetr_data.photos.ids import unsafe_file_name
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import shard_name
from xdetr_data.storage import Folder
from xdetr_data.validation.files import (
    all_files,
    check_files,
    check_rejects,
    check_strays,
    check_trail_stats,
    trail_files,
)
from xdetr_data.validation.shard import ShardContext, ShardReport, check_shard
from xdetr_data.validation.violation import BUILD_AGAIN, COPY_AGAIN, Violation, violation

Run = Callable[..., Iterator[Any]]
_SAFE_PREFIX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result: sizes, and the violations in the order of files and keys. A dataset without violations is valid."""

    rows: int
    photos: int
    shards: int
    violations: list[Violation]


def load_manifest(folder: Folder) -> Manifest | Violation:
    """The manifest, or the one violation that keeps everything else from being checked.

    Raises InputError where the folder does not exist.
    """
    if not folder.exists():
        raise InputError(f"{folder.url}: there is no such folder")
    if not folder.exists(MANIFEST):
        what = "is not there: no dataset, or its build is not finished"
        return violation(MANIFEST, "manifest-missing", what, remedy="repeat the build with --resume")
    data = folder.read(MANIFEST)
    try:
        schema = msgspec.json.decode(data, type=dict[str, Any]).get("schema")
        if schema != SCHEMA_VERSION:
            what = f"states schema {schema!r}, this tool reads {SCHEMA_VERSION}"
            return violation(MANIFEST, "manifest-schema", what, remedy=BUILD_AGAIN)
        manifest = msgspec.json.decode(data, type=Manifest)
        if manifest.manifest_version > MANIFEST_VERSION:
            what = f"is of version {manifest.manifest_version}, this tool reads up to {MANIFEST_VERSION}"
            return violation(MANIFEST, "manifest-schema", what, remedy=BUILD_AGAIN)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return violation(MANIFEST, "manifest-unreadable", str(error), remedy=COPY_AGAIN)
    if unsafe := _unsafe(manifest):
        return violation(MANIFEST, "manifest-unsafe", unsafe, remedy=COPY_AGAIN)
    return manifest


def _unsafe(manifest: Manifest) -> str | None:
    """Why names or numbers of a manifest cannot be worked with: files are opened by these names."""
    for one in all_files(manifest):
        if why := unsafe_file_name(one.name):
            return why
    if not _SAFE_PREFIX.fullmatch(manifest.prefix):
        return f"prefix {manifest.prefix!r} cannot begin the name of a shard"
    if not 0 <= manifest.seed < 2**64:
        return f"seed {manifest.seed} is not one that keys can be hashed with"
    return None


def validate_dataset(folder: Folder, manifest: Manifest, run: Run, advance: Callable[[int], None]) -> Report:
    """Checks everything. ``run(task, context, items)`` runs tasks; ``advance`` is told the bytes that are done."""
    violations = [*_check_manifest(manifest), *check_strays(folder, manifest)]
    violations += check_files(folder, [*manifest.rejects, *trail_files(manifest)], known={})
    violations += check_trail_stats(folder, manifest)
    tally, problems = _check_accounting(manifest)
    violations += problems
    violations += check_rejects(folder, manifest, tally)
    context = ShardContext(
        folder=folder,
        prefix=manifest.prefix,
        seed=manifest.seed,
        layers=manifest.shard_layers,
        config_hash=manifest.config_hash,
        metadata_only=manifest.config.get("metadata_only") is True,
    )
    sizes = {entry.shard: shard_bytes(entry) for entry in manifest.shards}
    reports: list[ShardReport] = []
    for report in run(check_shard, context, manifest.shards):
        reports.append(report)
        advance(sizes[report.shard])
    reports.sort(key=lambda one: one.shard)
    violations += [one for report in reports for one in report.violations]
    violations += _check_keys(manifest.prefix, reports)
    return Report(
        rows=sum(len(report.keys) for report in reports),
        photos=sum(report.photos for report in reports),
        shards=len(reports),
        violations=sorted(violations, key=lambda one: (one.file, one.key)),
    )


def shard_bytes(entry: ShardEntry) -> int:
    """Bytes of a shard's files, as the manifest states them."""
    return sum(one.bytes for one in entry.files)


def _check_manifest(manifest: Manifest) -> Iterator[Violation]:
    """Contradictions within the manifest."""
    numbers = [entry.shard for entry in manifest.shards]
    if numbers != list(range(len(numbers))):
        yield _contradiction(f"its shards are numbered {numbers[:10]}…, not 0 to {len(numbers) - 1}")
    if (rows := sum(entry.rows for entry in manifest.shards)) != manifest.rows:
        yield _contradiction(f"states {manifest.rows} rows, its shards add up to {rows}")
    names = [one.name for one in all_files(manifest)]
    for name in sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        yield _contradiction(f"names {name} twice")
    for entry in manifest.shards:
        stem = shard_name(manifest.prefix, entry.shard)
        for name in (f"{stem}.tar", f"{stem}.parquet"):
            if name not in {one.name for one in entry.files}:
                yield _contradiction(f"names no {name} for shard {entry.shard}")


def _check_accounting(manifest: Manifest) -> tuple[Tally, list[Violation]]:
    try:
        tally = Tally.from_builtins(manifest.accounting)
        lines = tally.unbalanced()
    except XdetrDataError as error:
        what = f"is not what a build writes: {error}"
        return Tally(), [violation(MANIFEST, "accounting-unreadable", what, remedy=COPY_AGAIN)]
    found = [violation(MANIFEST, "accounting-unbalanced", line, remedy=BUILD_AGAIN) for line in lines]
    if "photo" in tally.units() and tally.count("photo", "out") != manifest.rows:
        what = f"its accounting lets {tally.count('photo', 'out')} photos out, but it has {manifest.rows} rows"
        found.append(violation(MANIFEST, "accounting-unbalanced", what, remedy=BUILD_AGAIN))
    return tally, found


def _contradiction(what: str) -> Violation:
    return violation(MANIFEST, "manifest-contradiction", what, remedy=COPY_AGAIN)


def _check_keys(prefix: str, reports: Sequence[ShardReport]) -> Iterator[Violation]:
    """Keys that occur in more than one shard."""
    columns = [pa.array(sorted(set(report.keys)), pa.string()) for report in reports]
    counts = pc.value_counts(pa.chunked_array(columns, pa.string()))
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
    for key in twice:
        shards = [shard_name(prefix, report.shard) for report in reports if key in report.keys]
        what = f"occurs in {', '.join(shards)}"
        yield violation(f"{shards[-1]}.tar", "key-twice", what, key=key, remedy=BUILD_AGAIN)
