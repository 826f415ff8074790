"""Reads a finished dataset: samples from its tars, labels from its Parquet files, one key without a scan."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xdetr_data.errors import InputError, RecordError
from xdetr_data.manifest import Manifest, ShardEntry
from xdetr_data.photos.photo import Photo
from xdetr_data.record import GroundedImage
from xdetr_data.schema import from_arrow, from_json
from xdetr_data.shards.columns import records_of
from xdetr_data.shards.plan import homes_of_key
from xdetr_data.shards.tar_stream import Member, TarDamage, iter_headers, iter_members, member_key
from xdetr_data.shards.writer import ROWS_PER_GROUP, Sample, shard_name
from xdetr_data.storage import Folder

PHOTO_SUFFIXES = ("jpg", "png", "webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sample that was looked up: its labels, and the stem of the shard that holds its photo."""

    record: GroundedImage
    stem: str


def stems(manifest: Manifest) -> list[str]:
    """Stems of a dataset's shards, in order."""
    return [shard_name(manifest.prefix, entry.shard) for entry in manifest.shards]


def read_samples(folder: Folder, stem: str) -> Iterator[Sample]:
    """Samples of one shard in order, as they were written, one at a time in memory.

    Size and sha256 of a photo are those that its record states; ``validate`` checks them.
    Raises InputError naming the file, and the key where there is one, for anything that is no such shard.
    """
    name = f"{stem}.tar"
    with folder.open(name) as stream:
        try:
            for key, members in group_members(iter_members(stream)):
                yield sample_of(key, members)
        except (TarDamage, RecordError, OSError) as error:
            raise InputError(f"{folder.path(name)}: {error}; see 'xdetr-data validate {folder.url}'") from error


def group_members(members: Iterator[Member]) -> Iterator[tuple[str, list[Member]]]:
    """Neighbouring members of one key; a key that comes back later comes as a group of its own."""
    group: list[Member] = []
    current = ""
    for member in members:
        key, _ = member_key(member.name)
        if group and key != current:
            yield current, group
            group = []
        current = key
        group.append(member)
    if group:
        yield current, group


def sample_of(key: str, members: Sequence[Member]) -> Sample:
    """The sample that these members are; raises TarDamage or RecordError, naming the key, where they are none."""
    data: dict[str, bytes] = {}
    for member in members:
        if member.refused:
            raise TarDamage(f"member {member.name!r} {member.refused}")
        data[member_key(member.name)[1]] = member.data
    if "json" not in data:
        raise TarDamage(f"key {key!r} has no {key}.json")
    try:
        record = from_json(data["json"])
    except RecordError as error:
        raise RecordError(f"key {key!r}: {error}") from error
    suffix = next((suffix for suffix in PHOTO_SUFFIXES if suffix in data), None)
    return Sample(record, None if suffix is None else _photo(record, data[suffix], suffix), data["json"])


def _photo(record: GroundedImage, data: bytes, suffix: str) -> Photo:
    image = record.image
    return Photo(data=data, size_hw=image.size_hw, sha256=image.sha256 or "", suffix=suffix)


def read_batches(
    folder: Folder, stem: str, columns: Sequence[str] | None = None, rows: int = ROWS_PER_GROUP
) -> Iterator[pa.RecordBatch]:
    """Label rows of one shard, ``rows`` at a time; ``columns`` may name nested ones (``image.source``)."""
    name = f"{stem}.parquet"
    try:
        with folder.open(name) as stream, pq.ParquetFile(stream) as parquet:
            yield from parquet.iter_batches(rows, columns=None if columns is None else list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{folder.path(name)}: cannot be read ({error}); build or copy it again") from error


@contextmanager
def intact_labels(folder: Folder, stem: str) -> Iterator[None]:
    """What fails inside, fails because the shard's label rows are not what they should be: raises InputError."""
    try:
        yield
    except (pa.ArrowException, KeyError, UnicodeDecodeError, IndexError) as error:
        message = " ".join(str(error).split())
        raise InputError(
            f"{folder.path(stem)}.parquet: is damaged ({message}); see 'xdetr-data validate {folder.url}'"
        ) from error


def read_records(folder: Folder, stem: str) -> Iterator[GroundedImage]:
    """Labels of one shard in order, without opening its tar."""
    for batch in read_batches(folder, stem):
        try:
            yield from records_of(batch)
        except UnicodeDecodeError as error:
            raise InputError(f"{folder.path(stem)}.parquet: {error}; build or copy it again") from error


def read_keys(folder: Folder, manifest: Manifest, shard: int | None = None) -> list[str]:
    """Keys of all samples, shard by shard, or of one shard."""
    return [
        key
        for stem in (stems(manifest) if shard is None else [shard_name(manifest.prefix, shard)])
        for batch in read_batches(folder, stem, ["key"], rows=1 << 16)
        for key in batch.column(0).to_pylist()
    ]


def find(folder: Folder, manifest: Manifest, key: str) -> Found | None:
    """Looks a key up: first in the shards that its hash names, there only in the row group that can hold it."""
    if not manifest.shards:
        return None
    homes = homes_of_key(key, seed=manifest.seed, layers=manifest.shard_layers)
    for entry in sorted(manifest.shards, key=lambda one: one.shard not in homes):
        if (record := _find_in(folder, manifest, entry, key)) is not None:
            return Found(record=record, stem=shard_name(manifest.prefix, entry.shard))
    return None


def _find_in(folder: Folder, manifest: Manifest, entry: ShardEntry, key: str) -> GroundedImage | None:
    name = f"{shard_name(manifest.prefix, entry.shard)}.parquet"
    try:
        with folder.open(name) as stream, pq.ParquetFile(stream) as parquet:
            paths = [parquet.schema.column(leaf).path for leaf in range(parquet.metadata.num_columns)]
            for group in range(parquet.num_row_groups):
                bounds = parquet.metadata.row_group(group).column(paths.index("key")).statistics
                if bounds is not None and bounds.has_min_max and not bounds.min <= key <= bounds.max:
                    continue
                keys = parquet.read_row_group(group, columns=["key"])["key"]
                position = pc.index(keys, key).as_py()
                if position >= 0:
                    return from_arrow(parquet.read_row_group(group).slice(position, 1))[0]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{folder.path(name)}: cannot be read ({error}); build or copy it again") from error
    return None


def read_photo_of(folder: Folder, found: Found) -> Photo | None:
    """The photo of a sample that was found: goes from header to header of its tar and reads that photo alone.

    None where the shard holds labels only (``--metadata-only``).
    """
    name = f"{found.stem}.tar"
    names = {f"{found.record.key}.{suffix}": suffix for suffix in PHOTO_SUFFIXES}
    with folder.open(name) as stream:
        try:
            for header in iter_headers(stream):
                if header.name in names and header.isreg():
                    stream.seek(header.offset_data)
                    return _photo(found.record, stream.read(header.size), names[header.name])
        except (TarDamage, OSError) as error:
            raise InputError(f"{folder.path(name)}: {error}; see 'xdetr-data validate {folder.url}'") from error
    return None
