"""What a model said of a dataset, kept as Parquet by shard: figures come from it, now or later, without the model.

``PRED/predictions.json`` is written last: which task, model and dataset, and every file. A shard's file is there as a
whole or not at all, so a run goes on with the shards that are missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage
from xdetr_data.shards.reader import read_records, stems
from xdetr_data.shards.writer import FileEntry, entry
from xdetr_data.storage import Folder
from xdetr_data.validation.files import check_files
from xdetr_data.validation.violation import Violation

VERSION = 1
MANIFEST, RUN = "predictions.json", "run.json"
_ROWS = 4096
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("phrase", pa.int32()),  # which of what the photo was asked for; see the task
        ("fit", pa.string()),
        ("scores", pa.list_(pa.float32())),
        ("boxes_xyxy", pa.list_(pa.float32())),  # four for each score, in pixels
    ]
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What decides predictions: all of it is the same after a resume, or there is none."""

    task: str
    ckpt: str
    fingerprint: str
    dataset: str
    config_hash: str
    keep: int
    version: int = VERSION

    def is_answered_by(self, kept: "Asked") -> bool:
        """Whether kept predictions are of the same model on the same dataset; where the model was is no matter."""
        return msgspec.structs.replace(kept, ckpt=self.ckpt) == self


class PredictionsManifest(msgspec.Struct, frozen=True, kw_only=True):
    """``predictions.json``."""

    asked: Asked
    tool_version: str
    photos: int
    files: list[FileEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Boxes ``[K, 4]`` of one phrase, best first, and their scores ``[K]``, float32 as they are kept."""

    boxes_xyxy: NDArray[np.float64]
    scores: NDArray[np.float64]
    fit: str = "whole"


NOTHING = Answer(boxes_xyxy=np.zeros((0, 4)), scores=np.zeros(0))


def file_name(stem: str) -> str:
    """The file of a shard of the dataset."""
    return f"{stem}.predictions.parquet"


def write_shard(out: Folder, stem: str, photos: Iterable[tuple[str, Mapping[int, Answer]]]) -> FileEntry:
    """Writes what was said of a shard's photos: key, and answers by number of the phrase."""
    name = file_name(stem)
    with out.writing(name) as sink, pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
        rows: list[tuple[str, int, Answer]] = []
        for key, answers in photos:
            rows += [(key, number, one) for number, one in sorted(answers.items())]
            if len(rows) >= _ROWS:
                writer.write_table(_table(rows))
                rows = []
        writer.write_table(_table(rows))
    return entry(name, sink)


def _table(rows: list[tuple[str, int, Answer]]) -> pa.Table:
    offsets = np.concatenate([[0], np.cumsum([len(one.scores) for _, _, one in rows])]).astype(np.int32)
    scores = np.concatenate([np.zeros(0), *(one.scores for _, _, one in rows)]).astype(np.float32)
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes_xyxy for _, _, one in rows)]).astype(np.float32)
    columns = [
        pa.array([key for key, _, _ in rows], pa.string()),
        pa.array([number for _, number, _ in rows], pa.int32()),
        pa.array([one.fit for _, _, one in rows], pa.string()),
        pa.ListArray.from_arrays(offsets, pa.array(scores)),
        pa.ListArray.from_arrays(offsets * 4, pa.array(boxes.reshape(-1))),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def read_predictions(out: Folder) -> PredictionsManifest:
    """The manifest of finished predictions; raises InputError where there are none."""
    if not out.exists(MANIFEST):
        raise InputError(
            f"{out.url}: holds no finished predictions; make them with 'xdetr-eval TASK --ckpt … --data …'"
        )
    try:
        found = msgspec.json.decode(out.read(MANIFEST), type=PredictionsManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{out.path(MANIFEST)}: is no list of predictions ({error}); predict again, with --overwrite"
        ) from error
    if found.asked.version != VERSION:
        raise InputError(
            f"{out.path(MANIFEST)}: is of version {found.asked.version}, this tool reads {VERSION}; predict again, "
            f"with --overwrite, or read it with the version that wrote it ({found.tool_version})"
        )
    return found


def changed_files(out: Folder, manifest: PredictionsManifest) -> list[Violation]:
    """Files that are gone, or of which a byte is not as it was written."""
    return check_files(out, manifest.files, known={})


def check_predictions(out: Folder, manifest: PredictionsManifest) -> None:
    """Raises InputError where a file is not as it was written: no figure comes from such predictions."""
    if changed := changed_files(out, manifest):
        raise InputError(
            f"{out.path(changed[0].file)}: {changed[0].what} ({len(changed)} such); say the command that predicted "
            "it again: what was changed is predicted anew"
        )


def read_answers(out: Folder, stem: str) -> dict[str, dict[int, Answer]]:
    """What was said of a shard's photos, by key and number of the phrase. Raises InputError for a damaged file."""
    name = file_name(stem)
    found: dict[str, dict[int, Answer]] = {}
    try:
        with out.open(name) as stream, pq.ParquetFile(stream) as parquet:
            if not parquet.schema_arrow.equals(SCHEMA):
                raise pa.ArrowInvalid("its columns are others than those of predictions")
            for batch in parquet.iter_batches(_ROWS):
                for row in _rows(batch):
                    found.setdefault(row[0], {})[row[1]] = row[2]
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{out.path(name)}: cannot be read ({error}); say the command that predicted it again, with --overwrite"
        ) from error
    return found


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[str, int, Answer]]:
    scores, boxes = batch["scores"], batch["boxes_xyxy"]
    ends = scores.offsets.to_numpy()
    if any(column.null_count for column in batch) or not np.array_equal(boxes.offsets.to_numpy(), 4 * ends):
        raise pa.ArrowInvalid("a row has no four numbers of a box for each score")
    flat_scores = scores.values.to_numpy(zero_copy_only=False).astype(np.float64)
    flat_boxes = boxes.values.to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, 4)
    names = zip(batch["key"].to_pylist(), batch["phrase"].to_pylist(), batch["fit"].to_pylist(), strict=True)
    for (key, number, fit), begin, end in zip(names, ends, ends[1:], strict=False):
        yield key, number, Answer(boxes_xyxy=flat_boxes[begin:end], scores=flat_scores[begin:end], fit=fit)


def answered(
    dataset: Folder, manifest: Manifest, predictions: Folder
) -> Iterator[tuple[GroundedImage, Mapping[int, Answer]]]:
    """Every photo's record with what was said of it, in the order of the shards.

    A photo that was asked for nothing, or for which nothing was found, has no answers.
    """
    for stem in stems(manifest):
        answers = read_answers(predictions, stem)
        for record in read_records(dataset, stem):
            yield record, answers.get(record.key, {})
