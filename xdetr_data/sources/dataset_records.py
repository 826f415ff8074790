"""A finished dataset as an input: each shard's records, and the photos in its tar beside them, joined by key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from xdetr_data.errors import RecordError
from xdetr_data.photos.ids import photo_id, photo_name
from xdetr_data.record import GroundedImage
from xdetr_data.schema import from_json, to_json
from xdetr_data.shards.index import Place, index_name
from xdetr_data.shards.places import read_places
from xdetr_data.shards.reader import PHOTO_SUFFIXES, read_records
from xdetr_data.sources.framing.files import ArrayChunk, ChunkRange, Unreadable
from xdetr_data.sources.framing.lines import LINES, split_lines
from xdetr_data.sources.protocol import FoundPhoto, Heads, Kind, PhotoSource, Problem, Source
from xdetr_data.storage import split_address

_RECORDS_AT_A_TIME = 1024
_NO_PHOTO = Problem("missing-photo", "the tar holds no photo of this key")


def parse_dataset_record(data: bytes) -> GroundedImage | Unreadable:
    """A record from its JSON bytes."""
    try:
        return from_json(data)
    except RecordError as error:
        return Unreadable(problem=str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecords(Source):
    """The records of a shard, from its Parquet file."""

    role = "dataset"
    kinds = (Kind(unit="record", array=LINES, selects=True, stray="no-photo", lists_strays=True),)

    def chunks(self) -> Iterator[ArrayChunk]:
        """The records in order, as JSON lines."""
        folder, name = split_address(self.path)
        lines: list[bytes] = []
        first = 0
        for record in read_records(folder, name.removesuffix(".parquet")):
            lines.append(to_json(record) + b"\n")
            if len(lines) == _RECORDS_AT_A_TIME:
                yield _chunk(lines, first)
                lines, first = [], first + len(lines)
        if lines:
            yield _chunk(lines, first)

    def chunks_again(self, ranges: Sequence[ChunkRange]) -> Iterator[ArrayChunk]:
        """A Parquet file is read again as a whole."""
        wanted = {one.first_row for one in ranges}
        return (chunk for chunk in self.chunks() if chunk.first_row in wanted)

    def heads(self, chunk: ArrayChunk) -> Heads:
        """The photo of each record, by its key."""
        keys = [from_json(line).key for line in split_lines(chunk.data)]
        return Heads(row=chunk.first_row + np.arange(len(keys)), photo=pa.array(map(_name, keys), pa.string()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPhotos(PhotoSource):
    """The photos of a shard's tar, with the keys that they have there."""

    path: str

    def photos(self) -> Iterator[FoundPhoto]:
        """The photos in the order of their keys."""
        folder, name = split_address(self.path)
        stem = name.removesuffix(".tar")
        places = {place.key: place for place in read_places(folder, stem, has_index=folder.exists(index_name(stem)))}
        for record in read_records(folder, stem):
            offset, size = _extent(places.get(record.key))
            yield FoundPhoto(
                id=photo_id(record.image.source, record.image.file_name),
                names=(_name(record.key),),
                offset=offset,
                size=size,
                problem=None if size else _NO_PHOTO,
                source=record.image.source,
                key=record.key,
            )


def _name(key: str) -> str:
    return photo_name("record", key)


def _extent(place: Place | None) -> tuple[int, int]:
    members = {} if place is None else place.members
    return next((members[suffix] for suffix in PHOTO_SUFFIXES if suffix in members), (0, 0))


def _chunk(lines: Sequence[bytes], first: int) -> ArrayChunk:
    return ArrayChunk(name=LINES, offset=first, first_row=first, count=len(lines), data=b"".join(lines))
