"""Checks of the files around the samples: bytes and sha256 against the manifest, done-markers, rejects, strays."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.manifest import MANIFEST, Manifest, ShardEntry
from xdetr_data.schema import REJECTED_ARROW_SCHEMA
from xdetr_data.shards.tar_stream import HashingReader
from xdetr_data.shards.writer import ShardStats, stats_name
from xdetr_data.storage import FileEntry, Folder
from xdetr_data.validation.violation import BUILD_AGAIN, COPY_AGAIN, DELETE, Violation, violation

_STRAY_SUFFIXES = (".tar", ".parquet", ".idx", ".stats.json", ".pkl", ".pickle")
_DEPTHS = ("*", "*/*")


class Identity(NamedTuple):
    """Bytes and sha256 of a file."""

    size: int
    sha256: str


def check_files(folder: Folder, files: Sequence[FileEntry], *, known: Mapping[str, Identity]) -> list[Violation]:
    """Compares files with their entries in the manifest; ``known`` are those that were read already."""
    violations = []
    for stated in files:
        if not folder.exists(stated.name):
            violations.append(
                violation(stated.name, "file-missing", "is named in the manifest, but not there", remedy=COPY_AGAIN)
            )
            continue
        try:
            found = known.get(stated.name) or identify(folder, stated.name)
        except (InputError, OSError) as error:
            violations.append(violation(stated.name, "file-unreadable", str(error), remedy=COPY_AGAIN))
            continue
        if found.size != stated.bytes:
            what = f"has {found.size} bytes, but the manifest states {stated.bytes}"
            violations.append(violation(stated.name, "file-size", what, remedy=COPY_AGAIN))
        elif found.sha256 != stated.sha256:
            what = f"has sha256 {found.sha256}, but the manifest states {stated.sha256}"
            violations.append(violation(stated.name, "file-checksum", what, remedy=COPY_AGAIN))
    return violations


def identify(folder: Folder, name: str) -> Identity:
    """Reads a file for its bytes and sha256; raises InputError where it cannot be read."""
    with folder.open(name) as stream:
        reader = HashingReader(stream)
        reader.drain()
    return Identity(reader.size, reader.sha256)


def check_stats(folder: Folder, prefix: str, entry: ShardEntry, config_hash: str) -> list[Violation]:
    """Compares a shard's done-marker with its entry in the manifest."""
    stats = _read_stats(folder, stats_name(prefix, entry.shard))
    return [stats] if isinstance(stats, Violation) else _compare(stats, prefix, entry, config_hash)


def check_trail_stats(folder: Folder, manifest: Manifest) -> list[Violation]:
    """The same of the audit trail, whose done-markers state a configuration of their own, all of them the same one."""
    found = [(entry, _read_stats(folder, stats_name(manifest.trail_prefix, entry.shard))) for entry in manifest.trail]
    hashes = Counter(stats.config_hash for _, stats in found if not isinstance(stats, Violation))
    config_hash = hashes.most_common(1)[0][0] if hashes else ""
    violations: list[Violation] = []
    for entry, stats in found:
        violations += (
            [stats]
            if isinstance(stats, Violation)
            else _compare(stats, manifest.trail_prefix, entry, config_hash, whose="the other shards'")
        )
    return violations


def _read_stats(folder: Folder, name: str) -> ShardStats | Violation:
    if not folder.exists(name):
        return violation(name, "stats-missing", "the shard has no done-marker", remedy=COPY_AGAIN)
    try:
        return msgspec.json.decode(folder.read(name), type=ShardStats)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InputError) as error:
        return violation(name, "stats-unreadable", str(error), remedy=COPY_AGAIN)


def _compare(
    stats: ShardStats, prefix: str, entry: ShardEntry, config_hash: str, *, whose: str = "that of the manifest"
) -> list[Violation]:
    name = stats_name(prefix, entry.shard)
    stated = {
        **{"shard": entry.shard, "rows": entry.rows, "groups": entry.groups, "files": entry.files},
        "config_hash": config_hash,
    }
    return [
        violation(
            name,
            "stats-differ",
            f"its {field} is not {whose if field == 'config_hash' else 'that of the manifest'}",
            remedy=BUILD_AGAIN,
        )
        for field, value in stated.items()
        if getattr(stats, field) != value
    ]


def check_strays(folder: Folder, manifest: Manifest) -> list[Violation]:
    """Files that look like part of the dataset, and would be read with it by a glob, but are none of it."""
    own = {MANIFEST, *(one.name for one in all_files(manifest))}
    own |= {stats_name(manifest.prefix, entry.shard) for entry in manifest.shards}
    own |= {stats_name(manifest.trail_prefix, entry.shard) for entry in manifest.trail}
    names = [name for depth in _DEPTHS for name in folder.names(depth)]
    strays = [
        violation(name, "stray-file", "is not named in the manifest", remedy=DELETE)
        for name in names
        if name.endswith(_STRAY_SUFFIXES) and name not in own and not name.startswith("_work/")
    ]
    if "_work" in names:
        strays.append(violation("_work", "stray-file", "is what an unfinished build leaves", remedy=DELETE))
    return strays


def trail_files(manifest: Manifest) -> list[FileEntry]:
    """The files of the audit trail, without their done-markers."""
    return [one for entry in manifest.trail for one in entry.files]


def all_files(manifest: Manifest) -> list[FileEntry]:
    """The files that a manifest names: of its shards, of the audit trail, and the rejects."""
    entries = [*manifest.shards, *manifest.trail]
    return [*(one for entry in entries for one in entry.files), *manifest.rejects]


def check_rejects(folder: Folder, manifest: Manifest, tally: Tally) -> list[Violation]:
    """Every kept reject must be counted in the accounting under its unit, stage and reason."""
    violations: list[Violation] = []
    found: Counter[tuple[str, str, str]] = Counter()
    names = [one.name for one in all_files(manifest) if one.name.startswith("rejects/") and folder.exists(one.name)]
    for name in names:
        try:
            found.update(_count_rejects(folder, name))
        except (pa.ArrowException, InputError, OSError, ValueError) as error:
            message = " ".join(str(error).split())
            violations.append(violation(name, "rejects-unreadable", message, remedy=COPY_AGAIN))
    for (unit, stage, reason), count in sorted(found.items()):
        if count > tally.count(unit, stage, reason):
            what = f"states {tally.count(unit, stage, reason)} of {unit} rejected by {stage} as {reason}, not {count}"
            violations.append(violation(MANIFEST, "rejects-differ", what, remedy=BUILD_AGAIN))
    return violations


def _count_rejects(folder: Folder, name: str) -> Counter[tuple[str, str, str]]:
    with folder.open(name) as stream, pq.ParquetFile(stream) as parquet:
        if not parquet.schema_arrow.equals(REJECTED_ARROW_SCHEMA):
            raise InputError("its columns are not those of rejects")
        counts: Counter[tuple[str, str, str]] = Counter()
        for batch in parquet.iter_batches(1 << 14, columns=["unit", "stage", "reason"], use_threads=False):
            columns = [batch.column(name).to_pylist() for name in ("unit", "stage", "reason")]
            counts.update(zip(*columns, strict=True))
        return counts
