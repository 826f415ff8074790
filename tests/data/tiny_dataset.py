"""A finished dataset of two small shards, made by the project's own writer, and the tools to damage it."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from xdetr_data.accounting import Tally
from xdetr_data.addresses.identity import file_identity
from xdetr_data.manifest import Manifest, ShardEntry, read_manifest, write_manifest
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region, Rejected
from xdetr_data.schema import SAMPLE_ARROW_SCHEMA, SCHEMA_VERSION
from xdetr_data.shards.index import encode_index, walk
from xdetr_data.shards.plan import shard_of_key
from xdetr_data.shards.tar_stream import TarDamage, iter_headers
from xdetr_data.shards.writer import (
    Sample,
    ShardStats,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
    write_stats,
)
from xdetr_data.storage import FileEntry, Folder

PREFIX, SEED, SHARDS = "tiny-train", 3, 2
KEYS = [f"coco_{number:012d}" for number in range(1, 9)]
SIZE_HW = (24, 32)
_SOMEONE = Provenance(source="tiny")


def jpeg(number: int, size_hw: tuple[int, int] = SIZE_HW, file_format: str = "JPEG") -> bytes:
    """A noisy photo, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, file_format)
    return sink.getvalue()


def sample(key: str, *, photo: bool = True) -> Sample:
    """Two regions, the second textless, and two queries."""
    found = check_photo(jpeg(int(key[-3:])), key)
    assert isinstance(found, Photo)
    record = GroundedImage(
        key=key,
        image=ImageRef(file_name=f"{key}.jpg", source="coco", size_hw=SIZE_HW, sha256=found.sha256 if photo else None),
        regions=(
            Region(box_xyxy=(1.0, 2.0, 10.5, 20.0), provenance=_SOMEONE),
            Region(box_xyxy=(0.0, 0.0, 32.0, 24.0), provenance=_SOMEONE),
        ),
        queries=(
            Query(
                text="a red man runs.",
                group="p1",
                phrases=(Phrase(spans=((2, 9),), regions=(0,), provenance=_SOMEONE),),
            ),
            Query(text="an outside view.", group="p1"),
        ),
    )
    return Sample(record, found if photo else None)


def build(path: Path, *, metadata_only: bool = False) -> "TinyDataset":
    """Writes the dataset."""
    folder = Folder(str(path))
    entries, tally = [], Tally()
    tally.came_in("photo", len(KEYS))
    for shard in range(SHARDS):
        keys = [key for key in KEYS if shard_of_key(key, seed=SEED, shards=SHARDS) == shard]
        rows, files = write_samples(
            folder, shard_name(PREFIX, shard), [sample(k, photo=not metadata_only) for k in keys]
        )
        tally.went_out("photo", rows)
        drops = [Rejected(key=keys[0], unit="box", stage="merge", reason="twice")]
        tally.came_in("box", len(drops))
        tally.rejected("box", "merge", "twice", len(drops))
        files.append(write_rejects(folder, rejects_name(shard), drops))
        entries.append(ShardEntry(shard=shard, rows=rows, files=files))
    plan_rejects = write_rejects(folder, "rejects/plan.parquet", [])
    write_manifest(
        folder,
        Manifest(
            schema=SCHEMA_VERSION, recipe="tiny", tool_version="0", prefix=PREFIX, split="train", seed=SEED,
            config={"metadata_only": metadata_only}, config_hash="c0ffee", inputs=[], exclusions=[],
            accounting=tally.to_builtins(), rows=len(KEYS), shards=entries, rejects=[plan_rejects],
        ),
    )  # fmt: skip
    dataset = TinyDataset(path)
    dataset.write_done_markers()
    return dataset


@dataclass(frozen=True)
class TinyDataset:
    """A dataset on disk with the tools to damage it. ``forge`` makes checksums fit again, so that contents show."""

    path: Path

    @property
    def folder(self) -> Folder:
        return Folder(str(self.path))

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.folder)

    def file(self, suffix: str, shard: int = 0) -> Path:
        return self.path / f"{shard_name(PREFIX, shard)}{suffix}"

    def keys(self, shard: int = 0) -> list[str]:
        return sorted({name.split(".")[0] for name, _ in self.members(shard)})

    def members(self, shard: int = 0) -> list[tuple[str, bytes]]:
        with tarfile.open(self.file(".tar", shard)) as tar:
            return [(one.name, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]

    def write_members(self, members: Sequence[tuple[str, bytes] | tarfile.TarInfo], shard: int = 0) -> None:
        with tarfile.open(self.file(".tar", shard), "w", format=tarfile.USTAR_FORMAT) as tar:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    tar.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))

    def edit_json(self, edit: Callable[[Any], Any], shard: int = 0) -> None:
        """Changes the JSON of the first sample of a shard, in its tar alone."""
        name = f"{self.keys(shard)[0]}.json"
        self.replace(name, json.dumps(_edited(json.loads(dict(self.members(shard))[name]), edit)).encode(), shard)

    def replace(self, name: str, data: bytes, shard: int = 0) -> None:
        self.write_members([(one, data if one == name else old) for one, old in self.members(shard)], shard)

    def edit_rows(self, edit: Callable[[list[Any]], Any], schema: pa.Schema = SAMPLE_ARROW_SCHEMA) -> None:
        """Changes the rows of the first shard's Parquet file."""
        rows = _edited(pq.read_table(self.file(".parquet")).to_pylist(), edit)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), self.file(".parquet"))

    def edit_manifest(self, edit: Callable[[Any], Any]) -> None:
        path = self.path / "manifest.json"
        path.write_text(json.dumps(_edited(json.loads(path.read_text()), edit)))

    def forge(self, *, indices: bool = True) -> None:
        """Makes the indices, if so wanted, the manifest and the done-markers state what the files are."""
        for shard in range(SHARDS if indices else 0):
            self.index_again(shard)

        def restated(files: list[FileEntry]) -> list[FileEntry]:
            found = []
            for one in files:
                size, sha256 = file_identity(str(self.path / one.name))
                found.append(FileEntry(name=one.name, bytes=size, sha256=sha256))
            return found

        manifest = self.manifest
        shards = [msgspec.structs.replace(one, files=restated(one.files)) for one in manifest.shards]
        write_manifest(
            self.folder, msgspec.structs.replace(manifest, shards=shards, rejects=restated(manifest.rejects))
        )
        self.write_done_markers()

    def index_again(self, shard: int = 0) -> None:
        """Makes an index fit its tar, if that is one, and if there is an index."""
        path = self.file(".idx", shard)
        if path.exists():
            with suppress(TarDamage, FileNotFoundError, UnicodeEncodeError), self.file(".tar", shard).open("rb") as tar:
                path.write_bytes(encode_index(walk(iter_headers(tar))))

    def write_done_markers(self) -> None:
        manifest = self.manifest
        for one in manifest.shards:
            stats = ShardStats(
                shard=one.shard,
                rows=one.rows,
                files=one.files,
                accounting=Tally().to_builtins(),
                config_hash=manifest.config_hash,
                seconds=0,
            )
            write_stats(self.folder, PREFIX, stats)


def _edited(value: Any, edit: Callable[[Any], Any]) -> Any:
    changed = edit(value)
    return value if changed is None else changed


def run_here(task: Callable[[Any, Any], Any], context: Any, items: Sequence[Any]) -> Iterator[Any]:
    """Runs tasks in this process."""
    return (task(context, item) for item in items)
