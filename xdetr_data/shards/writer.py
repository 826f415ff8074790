"""Writes one shard: a tar of photos and labels, its index, a Parquet file of the labels, rejects, the done-marker."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from xdetr_data.accounting import Tally
from xdetr_data.manifest import ShardEntry
from xdetr_data.photos.photo import Photo
from xdetr_data.record import GroundedImage, Rejected
from xdetr_data.schema import REJECTED_ARROW_SCHEMA, SAMPLE_ARROW_SCHEMA, rejects_to_arrow, to_json
from xdetr_data.shards.columns import table_of
from xdetr_data.shards.groups import groups_per_sample
from xdetr_data.shards.index import Place, encode_index, index_name
from xdetr_data.shards.tar_writer import TarWriter
from xdetr_data.storage import FileEntry, Folder, HashingWriter

ROWS_PER_GROUP = 512


class ShardStats(msgspec.Struct, frozen=True, kw_only=True):
    """The done-marker of a shard. Only the times differ between two runs: ``seconds``, and where a model worked the
    photos that it grounded in a second and the share of the time that it waited for photos. ``padding_share``: of the
    pixels that the model saw. ``machine``: the kind that the model worked on.
    ``groups``: paragraphs of all its samples (``shards.groups``)."""

    shard: int
    rows: int
    files: list[FileEntry]
    accounting: dict[str, Any]
    config_hash: str
    seconds: float
    photos_per_second: float | None = None
    waiting_share: float | None = None
    padding_share: float | None = None
    machine: dict[str, str] | None = None
    groups: int | None = None

    def __post_init__(self) -> None:
        """Raises XdetrDataError where the accounting is none."""
        Tally.from_builtins(self.accounting)

    @property
    def entry(self) -> ShardEntry:
        """The shard as it stands in the manifest."""
        return ShardEntry(shard=self.shard, rows=self.rows, files=self.files, groups=self.groups)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one sample of a tar holds; ``photo`` is None with ``--metadata-only``.

    ``json`` is the record as it stood in a tar that it was read from: what is copied keeps its bytes.
    """

    record: GroundedImage
    photo: Photo | None
    json: bytes | None = field(default=None, compare=False, repr=False)


def shard_name(prefix: str, shard: int) -> str:
    """``mixed-star-train-000000``: the stem of a shard's files."""
    return f"{prefix}-{shard:06d}"


def stats_name(prefix: str, shard: int) -> str:
    """Name of a shard's done-marker."""
    return f"{shard_name(prefix, shard)}.stats.json"


def rejects_name(shard: int) -> str:
    """Name of the rejects of a shard."""
    return f"rejects/{shard:06d}.parquet"


def write_samples(folder: Folder, stem: str, samples: Iterable[Sample]) -> tuple[int, list[FileEntry]]:
    """Writes tar, Parquet and index of a shard from samples in the order of their keys; returns rows and files."""
    places: list[Place] = []
    with ExitStack() as stack:
        names = (f"{stem}.tar", f"{stem}.parquet", index_name(stem))
        sinks = [stack.enter_context(folder.writing(name)) for name in names]
        tar_sink, parquet_sink, index_sink = sinks
        with (
            TarWriter(tar_sink) as tar,
            pq.ParquetWriter(parquet_sink, SAMPLE_ARROW_SCHEMA, compression="zstd") as parquet,
        ):
            pending: list[GroundedImage] = []
            for sample in samples:
                places.append(_write_sample(tar, sample))
                pending.append(sample.record)
                if len(pending) == ROWS_PER_GROUP:
                    parquet.write_table(table_of(pending))
                    pending = []
            if pending:
                parquet.write_table(table_of(pending))
        index_sink.write(encode_index(places))
    return len(places), [entry(name, sink) for name, sink in zip(names, sinks, strict=True)]


def _write_sample(tar: TarWriter, sample: Sample) -> Place:
    """Writes the members in the order of their suffixes, as webdataset does."""
    members = {"json": to_json(sample.record) if sample.json is None else sample.json}
    if sample.photo is not None:
        members[sample.photo.suffix] = sample.photo.data
    key = sample.record.key
    written = {suffix: tar.add(f"{key}.{suffix}", data) for suffix, data in sorted(members.items())}
    return Place(key=key, members=written)


def write_stats(folder: Folder, prefix: str, stats: ShardStats) -> None:
    """Writes a shard's done-marker; call it when every other file of the shard stands."""
    folder.write(stats_name(prefix, stats.shard), msgspec.json.format(msgspec.json.encode(stats), indent=1))


def finish_shard(
    folder: Folder,
    prefix: str,
    shard: int,
    *,
    rows: int,
    files: list[FileEntry],
    tally: Tally,
    config_hash: str,
    started: float,
) -> ShardStats:
    """Writes the done-marker of a shard whose files are written; ``started`` is when, by ``time.monotonic``."""
    stats = ShardStats(
        shard=shard,
        rows=rows,
        files=files,
        accounting=tally.to_builtins(),
        config_hash=config_hash,
        seconds=round(time.monotonic() - started, 3),
        groups=int(groups_per_sample(folder, shard_name(prefix, shard)).sum()),
    )
    write_stats(folder, prefix, stats)
    return stats


def read_stats(folder: Folder, prefix: str, shard: int) -> ShardStats | None:
    """The done-marker of a shard, or None where the shard is not done."""
    name = stats_name(prefix, shard)
    return msgspec.json.decode(folder.read(name), type=ShardStats) if folder.exists(name) else None


def write_table(folder: Folder, name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> FileEntry:
    """Writes a further table of a shard."""
    with folder.writing(name) as sink:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return entry(name, sink)


class RejectsWriter:
    """Writes rejects as they come, in bounded memory."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._buffer: list[Rejected] = []

    def add(self, reject: Rejected) -> None:
        """Adds one reject."""
        self._buffer.append(reject)
        if len(self._buffer) >= 16 * ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Writes what is buffered."""
        self._writer.write_table(rejects_to_arrow(self._buffer))
        self._buffer = []


@contextmanager
def rejects_writer(sink: HashingWriter) -> Iterator[RejectsWriter]:
    """A Parquet file of rejects on ``sink``."""
    with pq.ParquetWriter(sink, REJECTED_ARROW_SCHEMA, compression="zstd") as parquet:
        writer = RejectsWriter(parquet)
        yield writer
        writer.flush()


def write_rejects(folder: Folder, name: str, rejects: Iterable[Rejected]) -> FileEntry:
    """Writes a whole file of rejects."""
    with folder.writing(name) as sink, rejects_writer(sink) as writer:
        for reject in rejects:
            writer.add(reject)
    return entry(name, sink)


def entry(name: str, sink: HashingWriter) -> FileEntry:
    """The entry of a file that was written to its end."""
    return FileEntry(name=name, bytes=sink.size, sha256=sink.sha256)
