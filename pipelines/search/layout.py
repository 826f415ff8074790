"""An index on disk: what its files hold, and which of them count.

``INDEX/index.json`` is the index: it names the model, and the parts that count. A part is what one run of ``index``
made of its photos, never changed afterwards::

    part-000001/objects-000000.parquet    a row for each object, by key and objectness, with its vector
    part-000001/photos-000000.parquet     a row for each photo, ordered by key, and where its bytes are
    part-000001/rejects/000000.parquet
    part-000001/objects-000000.stats.json done-marker of the shard
    part-000001/vectors.faiss             all vectors of the part in one piece, to be mapped into memory
    part-000001/probe.faiss               a part of many objects: compressed vectors in lists (``structure.py``)

Photos are added as a further part and removed by name (``removed-000003.parquet``); either way a new ``index.json``
takes the place of the old one in one step, with the next ``generation``.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from xdetr_data.errors import InputError
from xdetr_data.manifest import InputEntry, ShardEntry
from xdetr_data.storage import FileEntry, Folder

INDEX, VERSION = "index.json", 1
OBJECTS, PHOTOS = "objects", "photos"  # prefixes of a shard's files
VECTORS, PROBE = "vectors.faiss", "probe.faiss"

PHOTO_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("source", pa.string()),
        ("file_name", pa.string()),
        ("address", pa.string()),
        ("offset", pa.int64()),  # of the photo's bytes in a container; null where the file is the photo
        ("bytes", pa.int64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("sha256", pa.string()),
        ("objects", pa.int32()),  # how many rows of the objects' file are this photo's
    ]
)
REMOVED_SCHEMA = pa.schema([("part", pa.string()), ("key", pa.string())])


def object_schema(dim: int) -> pa.Schema:
    """Of the objects' files; ``object`` counts a photo's objects from 0, best objectness first."""
    return pa.schema(
        [
            ("key", pa.string()),
            ("object", pa.int32()),
            ("box_xyxy", pa.list_(pa.float32(), 4)),  # in pixels of the photo
            ("objectness", pa.float32()),
            ("vector", pa.list_(pa.float16(), dim)),
        ]
    )


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Which model gave the vectors: only its own texts can be searched for among them."""

    ckpt: str
    fingerprint: str
    precision: str
    dim: int


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a photo are kept: those of at least ``least_objectness``, of them the best ``objects``."""

    objects: int
    least_objectness: float


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one run made. ``probes`` is how many lists of ``probe.faiss`` a query looks at, 0 where there is none."""

    name: str
    config_hash: str
    inputs: list[InputEntry]
    photos: int
    objects: int
    accounting: dict[str, Any]
    shards: list[ShardEntry]
    files: list[FileEntry]
    machines: list[dict[str, str]] = []
    probes: int = 0


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """``index.json``. ``removed`` is the file of what was removed, none where nothing was."""

    generation: int
    tool_version: str
    model: Model
    keep: Keep
    parts: list[Part]
    removed: FileEntry | None = None
    index_version: int = VERSION


def read_index(folder: Folder) -> Index:
    """The index as it counts now; raises InputError where there is none."""
    if not folder.exists(INDEX):
        raise InputError(
            f"{folder.url}: has no {INDEX}: no index, or its run is not finished; make it with 'xdetr-search index "
            f"PHOTOS --ckpt CKPT --out {folder.url}', or go on with --resume"
        )
    try:
        index = msgspec.json.decode(folder.read(INDEX), type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{folder.path(INDEX)}: is no index of this tool ({error}); index the photos again") from error
    if index.index_version != VERSION:
        raise InputError(
            f"{folder.path(INDEX)}: is of version {index.index_version}, this tool reads {VERSION}; "
            f"read it with the version that wrote it ({index.tool_version})"
        )
    return index


def write_index(folder: Folder, index: Index) -> None:
    """Puts the index in the place of the one before."""
    folder.write(INDEX, msgspec.json.format(msgspec.json.encode(index, order="deterministic"), indent=1))


def part_folder(folder: Folder, name: str) -> Folder:
    """The folder of a part."""
    return Folder(f"{folder.url.rstrip('/')}/{name}")


def read_rows(folder: Folder, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file of an index; raises InputError for one that is missing or damaged."""
    try:
        with folder.open(name) as stream:
            return pq.read_table(stream, columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{folder.path(name)}: cannot be read ({' '.join(str(error).split())}); copy the index again, or make it "
            "again with --resume"
        ) from error
