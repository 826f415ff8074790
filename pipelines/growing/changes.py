"""What has changed since a dataset was finished: in which shards, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import console
from pipelines.engine.plan import InputPlan, Plan
from pipelines.engine.run import Prepared
from pipelines.execution import Executor
from pipelines.folder import has_files
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.photos.photo import BadPhoto, read_photo
from xdetr_data.shards.plan import Kept
from xdetr_data.shards.reader import read_batches, read_keys
from xdetr_data.shards.writer import rejects_name
from xdetr_data.sources.places import NoPhotos
from xdetr_data.storage import Folder

MENDABLE = frozenset({"missing-photo", "ambiguous-photo", "unreadable-photo", "photo-too-large"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed.

    Attributes:
        shards: those that are made again.
        mended: photos that were rejected there and can be used now.
        new: photos that are in no shard yet.
        new_shards: how many shards these make.
        waiting: photos that still cannot be used.
    """

    shards: frozenset[int]
    mended: int
    new: int
    new_shards: int
    waiting: int

    @property
    def is_nothing(self) -> bool:
        """Whether the dataset is as it would be made now."""
        return not self.shards and not self.new_shards


def rejected_in(out: Folder, before: Manifest) -> list[dict[str, str]]:
    """Of each shard the keys of the photos that were rejected in it, with the reasons."""
    return [_rejected(out, shard) for shard in range(len(before.shards))]


def kept_of(out: Folder, before: Manifest, rejected: Sequence[Mapping[str, str]]) -> Kept:
    """Where the photos of a finished dataset are, those that were ``rejected`` in their shard among them."""
    samples = [read_keys(out, before, shard) for shard in range(len(before.shards))]
    others = [sorted(ones.keys() - set(keys)) for ones, keys in zip(rejected, samples, strict=True)]
    every = [*samples, *others]
    shards = np.tile(np.arange(len(samples), dtype=np.int32), 2)
    return Kept(
        keys=pa.array([key for keys in every for key in keys], pa.string()),
        shard=np.repeat(shards, [len(keys) for keys in every]),
        is_sample=np.arange(sum(map(len, every))) < sum(map(len, samples)),
        layers=before.shard_layers,
    )


def _rejected(out: Folder, shard: int) -> dict[str, str]:
    batches = read_batches(out, rejects_name(shard).removesuffix(".parquet"), ["key", "unit", "reason"])
    return {row["key"]: row["reason"] for batch in batches for row in batch.to_pylist() if row["unit"] == "photo"}


def find_changes(
    out: Folder,
    before: Manifest,
    rejected: Sequence[Mapping[str, str]],
    prepared: Prepared,
    is_new_source: Sequence[bool],
    run: Executor,
) -> Changes:
    """What has changed since ``before``, which ``prepared.recipe.kept`` is of.

    Raises InputError where a photo of the dataset is gone, which only a new build may drop.
    """
    plan, kept, has_photos = prepared.plan, prepared.recipe.kept, not isinstance(prepared.recipe.photos, NoPhotos)
    assert kept is not None
    keys = plan.photos["key"].combine_chunks()
    is_new = pc.index_in(keys, kept.keys).is_null().to_numpy(zero_copy_only=False)
    at = pc.index_in(kept.keys, keys)
    is_gone = at.is_null().to_numpy(zero_copy_only=False)
    is_lost = is_gone | (
        pc.is_null(pc.take(plan.photos["address"].combine_chunks(), at)).to_numpy(zero_copy_only=False) & has_photos
    )
    lost = np.flatnonzero(is_lost & kept.is_sample)
    if len(lost):
        raise InputError(
            f"{len(lost):,} photos of the dataset are not found any more, as {kept.keys[lost[0]]}; bring them back, or "
            "build again"
        )
    shards = set(kept.shard[is_gone].tolist())
    shards |= {entry.shard for entry in before.shards if not has_files(out, entry.files)}
    for one, new in zip(plan.inputs, is_new_source, strict=True):
        if new:
            shards |= _told_of(one, plan, kept.shards)
    mendable = {key: shard for shard, ones in enumerate(rejected) for key, why in ones.items() if why in MENDABLE}
    mended = _mended(plan, mendable, run)
    return Changes(
        shards=frozenset(shards | {mendable[key] for key in mended}),
        mended=len(mended),
        new=int(is_new.sum()),
        new_shards=plan.shards - kept.shards,
        waiting=len(mendable) - len(mended) + plan.tally.rejects("photo").get("plan", {}).get("missing-photo", 0),
    )


def _told_of(one: InputPlan, plan: Plan, shards: int) -> set[int]:
    """Shards of which a new input may speak: those of the photos that it names, or all where its elements name photos
    only as they are read."""
    if any(not kind.introduces and kind.hangs_on is None for kind in one.source.kinds):
        return set(range(shards))
    rows = np.unique(one.photo_of_row[one.photo_of_row >= 0])
    return {shard for shard in np.unique(plan.shard[rows]).tolist() if shard < shards}


def _mended(plan: Plan, rejected: Mapping[str, int], run: Executor) -> list[str]:
    """Keys of the rejected photos that can be read now."""
    if not rejected:
        return []
    is_asked = pc.is_in(plan.photos["key"], pa.array(list(rejected), pa.string()))
    asked = plan.photos.filter(is_asked).select(["key", "address", "offset", "bytes"]).to_pylist()
    found: list[str] = []
    with console.progress("reading rejected photos", len(asked)) as advance:
        for key, is_mended in run(_is_mended, None, asked):
            found += [key] * is_mended
            advance(1)
    return sorted(found)


def _is_mended(_: None, about: dict[str, Any]) -> tuple[str, bool]:
    if about["address"] is None:
        return about["key"], False
    photo = read_photo(about["address"], offset=about["offset"], size=about["bytes"])
    return about["key"], not isinstance(photo, BadPhoto)
