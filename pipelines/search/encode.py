"""A shard of photos through the model: their best objects as vectors, in Parquet; every photo and object accounted."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.labelling.answers import NO_ANSWER, check_answers
from pipelines.labelling.grounding import LoadGrounder, Precision
from pipelines.labelling.models import model_errors
from pipelines.machine import this_machine
from pipelines.search.layout import OBJECTS, PHOTO_SCHEMA, PHOTOS, Keep, object_schema
from pipelines.search.photos import PhotoAt, Shard
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.photos.photo import BadPhoto, Photo, read_photo
from xdetr_data.record import Rejected
from xdetr_data.shards.writer import ShardStats, entry, rejects_name, shard_name, write_rejects, write_stats
from xdetr_data.storage import FileEntry, Folder

READ_AHEAD_THREADS = 2
ROWS_PER_GROUP = 1 << 14
_BATCHES = 4  # in a window of photos that are read at once
READ, ENCODE, CHOOSE = "read_photo", "encode", "choose_objects"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelToLoad:
    """Which model, and how it runs. ``load`` is a function of a module: it travels to other processes."""

    ckpt: str
    device: str
    precision: Precision
    batch_size: int
    load: LoadGrounder

    def encoder(self) -> Any:
        """The checkpoint as an ``XDetrGrounder``; raises InputError for one whose texts and objects share no space."""
        from xdetr_model.grounders.xdetr import XDetrGrounder

        found = self.load(self.ckpt, device=self.device, precision=self.precision, batch_size=self.batch_size)
        if not isinstance(found, XDetrGrounder):
            raise InputError(
                f"--ckpt {self.ckpt}: is no X-DETR checkpoint; a search needs objects and texts as vectors of one "
                "space, which zero-shot detectors do not give"
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeContext:
    """What every shard of a part shares."""

    out: Folder
    shards: Sequence[Shard]
    keep: Keep
    model: ModelToLoad
    config_hash: str


def make_worker(context: EncodeContext) -> "EncodeWorker":
    """Loads the model, once a process."""
    return EncodeWorker(context, context.model.encoder())


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A photo's objects, or why there are none."""

    at: PhotoAt
    photo: Photo | BadPhoto
    found: Any = None


class EncodeWorker:
    """Encodes shards, one after the other; what is in a batch depends on the shard's photos alone."""

    def __init__(self, context: EncodeContext, encoder: Any) -> None:
        self._context = context
        self._encoder = encoder
        self._answered = self._unanswered = 0  # photos, of all shards so far

    def __call__(self, shard: int) -> ShardStats:
        """Writes the files of one shard, its done-marker last."""
        started, context = time.monotonic(), self._context
        tally = Tally()
        rejects: list[Rejected] = []
        photos: list[dict[str, Any]] = []
        tables: list[pa.Table] = []
        schema = object_schema(self._encoder.dim)
        with model_errors(context.model.ckpt):
            for one in self._encoded(context.shards[shard]):
                if isinstance(one.photo, BadPhoto):
                    rejects.append(_reject(one.at.key, READ, one.photo))
                    tally.rejected("photo", READ, one.photo.reason)
                    continue
                if (problem := _no_answer(one.found)) is not None:
                    rejects.append(_reject(one.at.key, ENCODE, problem))
                    tally.rejected("photo", ENCODE, NO_ANSWER)
                    continue
                rows = choose_objects(one.found, context.keep, tally)
                tables.append(_objects(one.at.key, one.found, rows, schema))
                photos.append(_photo_row(one.at, one.photo, len(rows)))
                tally.went_out("photo")
        self._answered += len(photos)
        self._unanswered += tally.count("photo", ENCODE, NO_ANSWER)
        check_answers(self._answered, self._unanswered, context.model.ckpt, context.model.precision)
        objects = pa.concat_tables(tables) if tables else schema.empty_table()
        files = [
            self._write(f"{shard_name(OBJECTS, shard)}.parquet", objects),
            self._write(f"{shard_name(PHOTOS, shard)}.parquet", pa.Table.from_pylist(photos, schema=PHOTO_SCHEMA)),
        ]
        files.append(write_rejects(context.out, rejects_name(shard), rejects))
        stats = ShardStats(
            shard=shard,
            rows=len(photos),
            files=files,
            accounting=tally.to_builtins(),
            config_hash=context.config_hash,
            seconds=round(time.monotonic() - started, 3),
            machine=this_machine(context.model.device),
        )
        write_stats(context.out, OBJECTS, stats)
        return stats

    def _write(self, name: str, table: pa.Table) -> FileEntry:
        with self._context.out.writing(name) as sink:
            pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_PER_GROUP)
        return entry(name, sink)

    def _encoded(self, photos: Shard) -> Iterator[_Encoded]:
        """Photos in their order, windows of them read ahead; batches within a window hold photos of like shape."""
        size = self._context.model.batch_size
        window = size * _BATCHES
        with ThreadPoolExecutor(READ_AHEAD_THREADS) as threads:
            coming = threads.map(self._prepare, photos[:window])
            for begin in range(0, len(photos), window):
                ready = list(coming)
                coming = threads.map(self._prepare, photos[begin + window : begin + 2 * window])
                yield from self._window(ready, size)

    def _prepare(self, at: PhotoAt) -> _Encoded:
        photo = read_photo(at.address, offset=at.offset, size=at.bytes)
        if isinstance(photo, BadPhoto):
            return _Encoded(at, photo)
        try:
            return _Encoded(at, photo, self._encoder.prepare(decode_photo(photo.data)))
        except ValueError as error:
            return _Encoded(at, BadPhoto(reason="unreadable-photo", detail=f"{at.address}: {error}"))

    def _window(self, ready: list[_Encoded], size: int) -> list[_Encoded]:
        able = [number for number, one in enumerate(ready) if isinstance(one.photo, Photo)]
        able.sort(key=lambda number: (_shape(ready[number]), number))
        for begin in range(0, len(able), size):
            batch = able[begin : begin + size]
            found = self._encoder.encode_photos([ready[number].found for number in batch])
            for number, objects in zip(batch, found, strict=True):
                ready[number] = _Encoded(ready[number].at, ready[number].photo, objects)
        return ready


def _no_answer(found: Any) -> BadPhoto | None:
    """Why a photo has no answer: nothing that the model says of it is a finite number."""
    finite = np.isfinite(found.objects).all(1) & np.isfinite(found.boxes_xyxy).all(1) & np.isfinite(found.objectness)
    if finite.any():
        return None
    return BadPhoto(reason=NO_ANSWER, detail=f"all of its {len(finite)} objects are NaN or infinite")


def choose_objects(found: Any, keep: Keep, tally: Tally) -> NDArray[np.int64]:
    """Which objects of a photo are kept, best objectness first, equal ones in the model's order; counts all.

    ``found``: its ``objects [Q, d]``, ``boxes_xyxy [Q, 4]`` and ``objectness [Q]``.
    """
    boxes, score = found.boxes_xyxy, found.objectness
    finite = np.isfinite(boxes).all(1) & np.isfinite(score) & np.isfinite(found.objects).all(1)
    shrunk = boxes.astype(np.float32)  # as they are kept
    with np.errstate(invalid="ignore"):
        has_area = (shrunk[:, 2:] > shrunk[:, :2]).all(1)
        above = score >= keep.least_objectness
    able = np.flatnonzero(finite & has_area & above)
    rows: NDArray[np.int64] = able[np.argsort(-score[able], kind="stable")][: keep.objects]
    tally.came_in("object", len(score))
    tally.went_out("object", len(rows))
    for reason, count in (
        ("not-finite", (~finite).sum()),
        ("box-without-area", (finite & ~has_area).sum()),
        ("below-objectness", (finite & has_area & ~above).sum()),
        ("beyond-objects", len(able) - len(rows)),
    ):
        if count:
            tally.rejected("object", CHOOSE, reason, int(count))
    return rows


def _objects(key: str, found: Any, rows: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    vectors = found.objects[rows].astype(np.float16).reshape(-1)
    boxes = found.boxes_xyxy[rows].astype(np.float32).reshape(-1)
    columns = [
        pa.array([key] * len(rows), pa.string()),
        pa.array(np.arange(len(rows), dtype=np.int32)),
        pa.FixedSizeListArray.from_arrays(pa.array(boxes), type=schema.field("box_xyxy").type),
        pa.array(found.objectness[rows].astype(np.float32)),
        pa.FixedSizeListArray.from_arrays(pa.array(vectors), type=schema.field("vector").type),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _photo_row(at: PhotoAt, photo: Photo, objects: int) -> dict[str, Any]:
    about = {
        "key": at.key, "source": at.source, "file_name": at.file_name, "address": at.address, "offset": at.offset,
        "bytes": len(photo.data), "sha256": photo.sha256, "objects": objects,
    }  # fmt: skip
    return about | {"height": photo.size_hw[0], "width": photo.size_hw[1]}


def _reject(key: str, stage: str, bad: BadPhoto) -> Rejected:
    return Rejected(key=key, unit="photo", stage=stage, reason=bad.reason, detail=bad.detail)


def _shape(one: _Encoded) -> tuple[int, int]:
    assert isinstance(one.photo, Photo)
    height, width = one.photo.size_hw
    return (round(100 * width / height), width * height)


def check_keep(keep: Keep) -> None:
    """Raises ConfigError for a number out of its range."""
    if keep.objects < 1:
        raise ConfigError(f"--objects {keep.objects} must be at least 1")
    if not 0 <= keep.least_objectness <= 1:
        raise ConfigError(f"--least-objectness {keep.least_objectness} must be between 0 and 1")
