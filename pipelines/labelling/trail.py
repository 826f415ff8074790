"""The audit trail: what a grounder said of every photo of a shard, and the samples chosen from it without a model."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipelines.engine.outcome import Ledger
from pipelines.labelling.add_labels import label_record
from pipelines.labelling.class_list import ClassPrompts
from pipelines.labelling.label import label_photo
from pipelines.labelling.label_classes import label_classes
from pipelines.labelling.options import LabelOptions
from xdetr_data.errors import InputError
from xdetr_data.photos.photo import BadPhoto, Photo, read_photo
from xdetr_data.record import Rejected
from xdetr_data.shards.grounded import GROUNDED_ARROW_SCHEMA, GroundedPhoto, grounded_from_arrow, grounded_to_arrow
from xdetr_data.shards.reader import read_batches, read_samples
from xdetr_data.shards.writer import ROWS_PER_GROUP, Sample, entry, rejects_writer, shard_name
from xdetr_data.storage import FileEntry, Folder

TRAIL_PREFIX = "grounded/photos"
ROWS_AT_A_TIME = 256  # a photo's candidates are hundreds of values

ReadPhoto = Callable[[GroundedPhoto], Photo]


def read_grounded(out: Folder, shard: int) -> Iterator[GroundedPhoto]:
    """The audit trail of a shard, in the order of the keys; raises InputError where it is damaged."""
    for batch in read_batches(out, shard_name(TRAIL_PREFIX, shard), rows=ROWS_AT_A_TIME):
        yield from grounded_from_arrow(batch)


def write_trail(
    out: Folder, stem: str, photos: Iterable[GroundedPhoto], rejects: Iterable[Rejected]
) -> tuple[int, list[FileEntry]]:
    """Writes a shard's audit trail and, once all its photos are there, its rejects; how many rows, and both files."""
    rows = 0
    name = f"{stem}.parquet"
    with out.writing(name) as sink, pq.ParquetWriter(sink, GROUNDED_ARROW_SCHEMA, compression="zstd") as writer:
        pending: list[GroundedPhoto] = []
        for photo in photos:
            pending.append(photo)
            rows += 1
            if len(pending) == ROWS_PER_GROUP:
                writer.write_table(grounded_to_arrow(pending))
                pending = []
        writer.write_table(grounded_to_arrow(pending))
    rejects_name = f"{stem}.rejects.parquet"
    with out.writing(rejects_name) as rejects_sink, rejects_writer(rejects_sink) as lines:
        for one in rejects:
            lines.add(one)
    return rows, [entry(name, sink), entry(rejects_name, rejects_sink)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailSamples:
    """Samples whose labels a rule chooses from the trail of some teachers.

    ``photos_from`` is a finished dataset (and the prefix of its shards) whose tars hold the photos, or None where they
    are read from their own files. Where ``classes`` are given, the phrases of a photo are their prompts.
    """

    out: Folder
    rule: LabelOptions
    teachers: tuple[str, ...]
    photos_from: tuple[Folder, str] | None = None
    classes: tuple[ClassPrompts, ...] = ()

    def __call__(self, shard: int, ledger: Ledger) -> Iterator[Sample]:
        """Samples of a shard in the order of their keys; what was rejected before is among its rejects."""
        for batch in read_batches(self.out, f"{shard_name(TRAIL_PREFIX, shard)}.rejects"):
            ledger.rejects += [Rejected(**row) for row in batch.to_pylist()]
        photo_of = _from_file if self.photos_from is None else _from_tar(*self.photos_from, shard)
        for grounded in read_grounded(self.out, shard):
            if self.classes:
                outcome = label_classes(grounded, self.classes, self.rule, self.teachers)
            elif grounded.record is not None:
                outcome = label_record(grounded, self.rule, self.teachers)
            else:
                outcome = label_photo(grounded, self.rule, self.teachers)
            ledger.enter(outcome)
            assert outcome.record is not None
            yield Sample(outcome.record, photo_of(grounded))


def _from_tar(dataset: Folder, prefix: str, shard: int) -> ReadPhoto:
    """Reads photos in their order from the tar of an earlier dataset."""
    remedy = f"see 'xdetr-data validate {dataset.url}'"
    earlier = read_samples(dataset, shard_name(prefix, shard))

    def from_tar(grounded: GroundedPhoto) -> Photo:
        for sample in earlier:
            if sample.record.key == grounded.key and sample.photo is not None:
                if hashlib.sha256(sample.photo.data).hexdigest() != grounded.image.sha256:
                    raise InputError(f"{grounded.key}: its photo in the tar is not the one that was grounded; {remedy}")
                return sample.photo
        raise InputError(f"{grounded.key}: is in the audit trail, but not in the tar; {remedy}")

    return from_tar


def _from_file(grounded: GroundedPhoto) -> Photo:
    size = -1 if grounded.bytes is None else grounded.bytes
    photo = read_photo(grounded.address, offset=grounded.offset, size=size)
    if isinstance(photo, BadPhoto):
        raise InputError(f"{photo.detail}: could be read when it was grounded; is the disk still there?")
    if photo.sha256 != grounded.image.sha256:
        raise InputError(f"{grounded.address}: changed while the run was going on; start again with --overwrite")
    return photo
