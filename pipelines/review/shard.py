"""One shard of a reviewed dataset: copied as it is where nothing was decided about it, otherwise written anew."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from pipelines.folder import copy_file
from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.manifest import ShardEntry
from xdetr_data.record import Rejected
from xdetr_data.reviewing.decisions import Decision
from xdetr_data.shards.index import index_name
from xdetr_data.shards.reader import read_batches, read_samples
from xdetr_data.shards.writer import (
    Sample,
    ShardStats,
    finish_shard,
    rejects_name,
    shard_name,
    write_rejects,
    write_samples,
)
from xdetr_data.stages.apply_review import STAGE, apply_review
from xdetr_data.storage import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewContext:
    """What every shard of the run shares: the parent and its shards, and the decisions by shard and key."""

    dataset: Folder
    out: Folder
    prefix: str
    config_hash: str
    shards: list[ShardEntry]
    decisions: dict[int, dict[str, list[Decision]]]


def review_shard(context: ReviewContext, shard: int) -> ShardStats:
    """Writes the files of one shard, its done-marker last."""
    started = time.monotonic()
    tally = Tally()
    rejects: list[Rejected] = []
    parent = next(one for one in context.shards if one.shard == shard)
    stem = shard_name(context.prefix, shard)
    _count(context.dataset, stem, tally, came_in=True)
    decisions = context.decisions.get(shard, {})
    labels = [one for one in parent.files if one.name in (f"{stem}.tar", f"{stem}.parquet", index_name(stem))]
    others = [one for one in parent.files if one not in labels and one.name != rejects_name(shard)]
    for file in others if decisions else [*labels, *others]:
        copy_file(context.dataset, context.out, file.name, file.sha256)
    rows, files = parent.rows, labels
    if decisions:
        samples = _samples(context, shard, dict(decisions), tally, rejects)
        rows, files = write_samples(context.out, stem, samples)
    for one in rejects:
        tally.rejected(one.unit, one.stage, one.reason)
    tally.came_in("photo", parent.rows)
    tally.went_out("photo", rows)
    _count(context.out, stem, tally, came_in=False)
    files = [*files, *others, write_rejects(context.out, rejects_name(shard), rejects)]
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


def _count(folder: Folder, stem: str, tally: Tally, *, came_in: bool) -> None:
    """Counts what a shard's Parquet file holds, whatever anybody says went in or out: boxes, phrases, and labels."""
    count = tally.came_in if came_in else tally.went_out
    for batch in read_batches(folder, stem, ["regions", "queries"]):
        phrases = pc.struct_field(pc.list_flatten(batch.column("queries")), "phrases")
        regions = pc.struct_field(pc.list_flatten(phrases), "regions")
        count("box", len(pc.list_flatten(batch.column("regions"))))
        count("phrase", len(regions))
        count("label", len(pc.list_flatten(regions)))


def _samples(
    context: ReviewContext, shard: int, decisions: dict[str, list[Decision]], tally: Tally, rejects: list[Rejected]
) -> Iterator[Sample]:
    """The parent's samples, those that something was decided about with the decisions."""
    for sample in read_samples(context.dataset, shard_name(context.prefix, shard)):
        _check_photo(context, sample)
        wanted = decisions.pop(sample.record.key, [])
        if not wanted:
            yield sample
            continue
        fitting, strangers = _fitting(sample, wanted)
        rejects += strangers
        review = apply_review(sample.record, fitting)
        rejects += review.rejects
        tally.went_out("decision", review.applied)
        tally.came_in("phrase", review.phrases_made)
        tally.came_in("box", review.regions_made)
        tally.note("phrases-made-by-review", review.phrases_made)
        tally.note("boxes-made-by-review", review.regions_made)
        tally.note("photos-changed-by-review", int(review.record != sample.record))
        yield Sample(review.record, sample.photo) if review.record != sample.record else sample
    for ones in decisions.values():
        rejects += [_stranger(one, "no-such-sample", "the dataset has no sample of this key") for one in ones]


def _fitting(sample: Sample, decisions: Sequence[Decision]) -> tuple[list[Decision], list[Rejected]]:
    """Decisions about the labels that the sample holds now, and rejects of those about other ones."""
    sha256 = hashlib.sha256(sample.json or b"").hexdigest()
    fitting = [one for one in decisions if one.sample_sha256 == sha256]
    others = [one for one in decisions if one.sample_sha256 != sha256]
    why = "the sample's labels are not those that were reviewed"
    return fitting, [_stranger(one, "sample-changed", why) for one in others]


def _stranger(one: Decision, reason: str, why: str) -> Rejected:
    detail = f"{one.action} of {one.text!r}: {why}"
    return Rejected(key=one.key, unit="decision", stage=STAGE, reason=reason, detail=detail, input_ref=one.place)


def _check_photo(context: ReviewContext, sample: Sample) -> None:
    """Raises InputError for a photo that is not the one that the labels are of."""
    if sample.photo is not None and hashlib.sha256(sample.photo.data).hexdigest() != sample.record.image.sha256:
        raise InputError(
            f"{sample.record.key}: its photo in the tar is not the one that was labelled; "
            f"see 'xdetr-data validate {context.dataset.url}'"
        )
