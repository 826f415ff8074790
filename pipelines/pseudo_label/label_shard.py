"""The step that needs no model: one shard's labels are chosen from its audit trail, and its tar is written."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.execution import no_cycle_collector
from pipelines.job import finish_shard
from pipelines.outcome import Outcome
from pipelines.pseudo_label.ground_shard import GROUND_PREFIX
from pipelines.pseudo_label.label import LabelRule, label_photo
from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.grounded import GroundedPhoto, grounded_from_arrow
from xdetr_data.photos import BadPhoto, Photo, read_photo
from xdetr_data.record import Rejected
from xdetr_data.shards.reader import read_batches, read_samples
from xdetr_data.shards.writer import (
    Sample,
    ShardStats,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
)
from xdetr_data.storage import Folder

ReadPhoto = Callable[[GroundedPhoto], Photo]

ROWS_AT_A_TIME = 256  # a photo's candidates are hundreds of values


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelContext:
    """What every shard of the run shares; ``photos_from`` is a finished dataset whose tars hold the photos, or None
    where they are read from their own files."""

    out: Folder
    prefix: str
    config_hash: str
    rule: LabelRule
    photos_from: Folder | None


def label_shard(context: LabelContext, shard: int) -> ShardStats:
    """Writes the files of one shard, its done-marker last."""
    started = time.monotonic()
    tally = Tally()
    rejects = list(_earlier_rejects(context.out, shard))
    stem = shard_name(context.prefix, shard)
    with no_cycle_collector():
        rows, files = write_samples(context.out, stem, _samples(context, shard, tally, rejects))
    files.append(write_rejects(context.out, rejects_name(shard), rejects))
    return finish_shard(
        context.out,
        context.prefix,
        shard,
        rows=rows,
        files=files,
        tally=tally,
        config_hash=context.config_hash,
        started=started,
    )


def read_grounded(out: Folder, shard: int) -> Iterator[GroundedPhoto]:
    """The audit trail of a shard, in the order of the keys; raises InputError where it is damaged."""
    for batch in read_batches(out, shard_name(GROUND_PREFIX, shard), rows=ROWS_AT_A_TIME):
        yield from grounded_from_arrow(batch)


def _earlier_rejects(out: Folder, shard: int) -> Iterator[Rejected]:
    for batch in read_batches(out, f"{shard_name(GROUND_PREFIX, shard)}.rejects"):
        for row in batch.to_pylist():
            yield Rejected(**row)


def _samples(context: LabelContext, shard: int, tally: Tally, rejects: list[Rejected]) -> Iterator[Sample]:
    photo_of = _photos(context, shard)
    for grounded in read_grounded(context.out, shard):
        outcome: Outcome = label_photo(grounded, context.rule)
        outcome.count_into(tally)
        rejects += outcome.rejects
        assert outcome.record is not None
        yield Sample(outcome.record, photo_of(grounded))


def _photos(context: LabelContext, shard: int) -> ReadPhoto:
    """Where the photos come from: their files, or in the same order the tar of an earlier dataset."""
    if context.photos_from is None:
        return _from_file
    remedy = f"see 'xdetr-data validate {context.photos_from.url}'"
    earlier = read_samples(context.photos_from, shard_name(context.prefix, shard))

    def from_tar(grounded: GroundedPhoto) -> Photo:
        for sample in earlier:
            if sample.record.key == grounded.key and sample.photo is not None:
                if hashlib.sha256(sample.photo.data).hexdigest() != grounded.image.sha256:
                    raise InputError(f"{grounded.key}: its photo in the tar is not the one that was grounded; {remedy}")
                return sample.photo
        raise InputError(f"{grounded.key}: is in the audit trail, but not in the tar; {remedy}")

    return from_tar


def _from_file(grounded: GroundedPhoto) -> Photo:
    photo = read_photo(grounded.address)
    if isinstance(photo, BadPhoto):
        raise InputError(f"{photo.detail}: could be read when it was grounded; is the disk still there?")
    if photo.sha256 != grounded.image.sha256:
        raise InputError(f"{grounded.address}: changed while the run was going on; start again with --overwrite")
    return photo
