"""A dataset as a repository of the Hugging Face hub: Parquet files with photos in them, and a card. Nothing is lost.

The features are those that ``datasets`` derives from the shards' own schema, with the photo as its ``Image``. The same
dataset gives the same bytes; nothing is sent anywhere.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.dataset_card import dataset_card, hub_split
from pipelines.exporting.run import ACCOUNT, Account
from xdetr_data.errors import ConfigError
from xdetr_data.manifest import Manifest
from xdetr_data.schema import SAMPLE_ARROW_SCHEMA, to_json
from xdetr_data.shards.reader import read_samples, stems
from xdetr_data.shards.writer import Sample
from xdetr_data.storage import Folder

Photos = Literal["embed", "files", "leave"]
CARD = "README.md"
ROWS_PER_GROUP = 100  # the hub's viewer reads a group at a time
PHOTO_FILE = "file_name"  # by which datasets' ImageFolder finds a photo
NAME_THERE = "photo_name"  # what is called file_name in the record, where that word is taken
_ABOUT = ("file_name", "source", "height", "width", "sha256")


def export_hub(
    dataset: Folder, manifest: Manifest, out: Folder, *, photos: Photos, progress: Callable[[int], None]
) -> Account:
    """Writes ``data/<split>-*.parquet``, a file for each shard, the card, and the account last.

    With ``photos="files"`` it is an ImageFolder: ``data/<split>/<key>.jpg`` and one ``metadata.parquet`` beside them.
    Raises ConfigError where photos are wanted and the dataset has none.
    """
    if photos != "leave" and manifest.config.get("metadata_only") is True:
        raise ConfigError(f"{dataset.url}: has no photos; say --photos leave")
    names = stems(manifest)
    if photos == "files":
        every = (sample for stem in names for sample in read_samples(dataset, stem))
        files = [_write_folder(out, f"data/{hub_split(manifest)}", every, progress)]
    else:
        files = [f"data/{hub_split(manifest)}-{number:05d}-of-{len(names):05d}.parquet" for number in range(len(names))]
        for name, stem in zip(files, names, strict=True):
            rows = (_row(sample, photos) for sample in read_samples(dataset, stem))
            _write_rows(out, name, rows, hub_schema(photos), progress)
    out.write(CARD, dataset_card(manifest, is_repository=True, has_files=photos == "files").encode())
    account = Account(
        format="hf",
        dataset=manifest.config_hash,
        photos_in=manifest.rows,
        photos_out=manifest.rows,
        lines=manifest.rows,
        lost={},
        files=[*files, CARD],
        licences=sorted({one.licence for one in manifest.inputs if one.licence}),
    )
    out.write(ACCOUNT, msgspec.json.format(msgspec.json.encode(account), indent=1))
    return account


def _write_rows(
    out: Folder, name: str, rows: Iterator[dict[str, Any]], schema: pa.Schema, progress: Callable[[int], None]
) -> None:
    with out.writing(name) as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            progress(len(group))


def _write_folder(out: Folder, folder: str, samples: Iterator[Sample], progress: Callable[[int], None]) -> str:
    """Writes the photos and their metadata; the metadata's name."""
    fields = {NAME_THERE if name == "file_name" else name: kind for name, kind in _fields()}

    def rows() -> Iterator[dict[str, Any]]:
        for sample in samples:
            assert sample.photo is not None
            file = f"{sample.record.key}.{sample.photo.suffix}"
            out.put(f"{folder}/{file}", sample.photo.data, replace=True)
            row = _row(sample, "leave")
            yield row | {NAME_THERE: row["file_name"], PHOTO_FILE: file}

    name = f"{folder}/metadata.parquet"
    _write_rows(out, name, rows(), pa.schema([*{PHOTO_FILE: pa.string(), **fields}.items()]), progress)
    return name


def hub_schema(photos: Photos) -> pa.Schema:
    """The columns with their features: what a sample says, and its photo as ``image``."""
    from datasets import Features, Image

    fields = dict(_fields())
    features = Features.from_arrow_schema(pa.schema(list(fields.items())))
    if photos == "embed":
        features = Features({"image": Image(), **features})
    return features.arrow_schema


def _fields() -> Iterator[tuple[str, pa.DataType]]:
    about = SAMPLE_ARROW_SCHEMA.field("image").type
    yield "key", pa.string()
    yield from ((name, about.field(name).type) for name in _ABOUT)
    yield from ((name, SAMPLE_ARROW_SCHEMA.field(name).type) for name in ("regions", "queries"))


def _row(sample: Sample, photos: Photos) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(to_json(sample.record))
    row = {"key": said["key"], **said["image"], "regions": said["regions"], "queries": said["queries"]}
    if photos == "embed":
        assert sample.photo is not None
        row["image"] = {"bytes": sample.photo.data, "path": f"{said['key']}.{sample.photo.suffix}"}
    return row
