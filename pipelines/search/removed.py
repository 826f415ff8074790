"""Photos that were removed from an index: named in a file, left out of every search; parts stay as they are."""

from collections.abc import Iterator, Sequence

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.search.layout import PHOTOS, REMOVED_SCHEMA, Index, Part, part_folder, read_index, read_rows, write_index
from xdetr_data.errors import InputError
from xdetr_data.manifest import tool_version
from xdetr_data.shards.writer import entry, shard_name
from xdetr_data.storage import Folder

Removed = frozenset[tuple[str, str]]  # part and key


def read_removed(folder: Folder, index: Index) -> Removed:
    """What does not count any more."""
    if index.removed is None:
        return frozenset()
    table = read_rows(folder, index.removed.name)
    return frozenset(zip(table["part"].to_pylist(), table["key"].to_pylist(), strict=True))


def part_photos(folder: Folder, part: Part, columns: Sequence[str] | None = None) -> pa.Table:
    """The photos of a part, shard by shard."""
    place = part_folder(folder, part.name)
    names = (f"{shard_name(PHOTOS, shard.shard)}.parquet" for shard in part.shards)
    return pa.concat_tables([read_rows(place, name, columns) for name in names])


def alive_keys(folder: Folder, index: Index) -> frozenset[str]:
    """Keys of all photos that count."""
    return frozenset(key for _, key in _alive(folder, index))


def _alive(folder: Folder, index: Index) -> Iterator[tuple[str, str]]:
    removed = read_removed(folder, index)
    for part in index.parts:
        for key in part_photos(folder, part, ["key"])["key"].to_pylist():
            if (part.name, key) not in removed:
                yield part.name, key


def remove_photos(folder: Folder, keys: Sequence[str]) -> Index:
    """A new generation of the index without these photos; raises InputError where one is not in it."""
    index = read_index(folder)
    part_of = {key: part for part, key in _alive(folder, index)}
    if unknown := sorted(set(keys) - set(part_of)):
        more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        raise InputError(f"{folder.url}: has no photo {unknown[0]!r}{more}; nothing was removed")
    removed = sorted(read_removed(folder, index) | {(part_of[key], key) for key in keys})
    generation = index.generation + 1
    name = f"removed-{generation:06d}.parquet"
    columns = [pa.array([one[place] for one in removed], pa.string()) for place in (0, 1)]
    with folder.writing(name) as sink:
        pq.write_table(pa.Table.from_arrays(columns, schema=REMOVED_SCHEMA), sink, compression="zstd")
    after = msgspec.structs.replace(
        index, generation=generation, tool_version=tool_version(), removed=entry(name, sink)
    )
    write_index(folder, after)
    if index.removed is not None:
        folder.remove(index.removed.name)
    return after
