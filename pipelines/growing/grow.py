"""A finished dataset, grown: its shards that are as they were are marked as the new run's, and the run makes the rest.

A growth that was stopped leaves the manifest that it began with in ``BEFORE``; repeated, it goes on.
"""

import dataclasses
from typing import Any

import msgspec

from pipelines import console
from pipelines.engine.done import UNREADABLE
from pipelines.engine.recipe import Recipe
from pipelines.engine.run import Prepared, make, prepare
from pipelines.execution import executor
from pipelines.folder import RUN, WORK, claim_output
from pipelines.growing.again import recipe_of
from pipelines.growing.changes import Changes, find_changes, kept_of, rejected_in
from pipelines.growing.same import check_same
from pipelines.lock import locked
from xdetr_data.errors import InputError, OutputError
from xdetr_data.manifest import MANIFEST, Manifest, read_manifest
from xdetr_data.shards.writer import ShardStats, read_stats, stats_name, write_stats
from xdetr_data.storage import Folder

BEFORE = f"{WORK}/before.json"


def before_growth(out: Folder) -> Manifest:
    """The manifest of a finished dataset, or the one that a growth began with which was stopped.

    Raises InputError where there is neither.
    """
    if out.exists(MANIFEST) or not out.exists(BEFORE):
        return read_manifest(out)
    try:
        return msgspec.json.decode(out.read(BEFORE), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{out.path(BEFORE)}: is damaged ({error}); build the dataset again") from error


def retry_failed(address: str, **how: Any) -> Manifest:
    """Grows a finished dataset by photos that have been mended (``grow``), with the options that it was made with."""
    out = Folder(address)
    before = before_growth(out)
    return grow(recipe_of(before), out, before, may_add=False, **how)


def add(recipe: Recipe, address: str, **how: Any) -> Manifest:
    """Grows a finished dataset by inputs and photos that came since (``grow``)."""
    out = Folder(address)
    return grow(recipe, out, before_growth(out), may_add=True, **how)


def grow(
    recipe: Recipe,
    out: Folder,
    before: Manifest,
    *,
    may_add: bool,
    workers: int,
    gpus: int = 0,
    other_machine: bool = False,
    dry_run: bool = False,
) -> Manifest:
    """Makes of a finished dataset the one that is made now, and keeps what did not change.

    With ``may_add`` the recipe may have more inputs; with ``dry_run`` only says what would be done. Raises
    XdetrDataError in one line.
    """
    if recipe.model is not None:
        recipe.model.check(workers, gpus)
    rejected = rejected_in(out, before)
    with executor(workers) as run:
        prepared = prepare(dataclasses.replace(recipe, kept=kept_of(out, before, rejected)), run)
        is_new = check_same(before, prepared, may_add=may_add)
        changes = find_changes(out, before, rejected, prepared, is_new, run)
        _say(changes, len(before.shards))
        if dry_run or (changes.is_nothing and not out.exists(RUN) and not any(is_new)):
            return before
        with locked(out):
            if before_growth(out) != before:
                raise OutputError(f"{out.url}: changed while its photos were looked for; repeat the command")
            _begin(out, before, prepared, changes)
            return make(prepared, out, run, gpus, other_machine)


def _say(changes: Changes, shards: int) -> None:
    if changes.is_nothing:
        console.say("nothing has been mended and nothing is new")
    else:
        console.say(
            f"{changes.mended:,} photos can be used now that were rejected, {changes.new:,} are new: "
            f"{len(changes.shards):,} of {shards:,} shards are made again, {changes.new_shards:,} more beside them"
        )
    if changes.waiting:
        console.say(f"{changes.waiting:,} photos still cannot be used; see rejects/")


def _begin(out: Folder, before: Manifest, prepared: Prepared, changes: Changes) -> None:
    """Takes the dataset back to an unfinished one of the new configuration, of which the unchanged shards are done."""
    if out.exists(MANIFEST):
        out.write(BEFORE, out.read(MANIFEST))
    for name in (MANIFEST, RUN):  # first: a dataset that claims to be finished has no markers of another run
        out.remove(name)
    claim_output(out, prepared.digest, "resume")
    unchanged = [shard for shard in range(len(before.shards)) if shard not in changes.shards]
    kinds = [(before.prefix, prepared.digest)]
    kinds += [(before.trail_prefix, prepared.base_digest)] if before.trail_prefix else []
    for prefix, digest in kinds:
        for stats in (_marker(out, prefix, shard) for shard in unchanged):
            if stats is not None:
                write_stats(out, prefix, msgspec.structs.replace(stats, config_hash=digest))


def _marker(out: Folder, prefix: str, shard: int) -> ShardStats | None:
    """The done-marker of a shard; of one that is damaged or gone none, so that its shard is made again."""
    try:
        return read_stats(out, prefix, shard)
    except UNREADABLE:
        console.warn(f"{stats_name(prefix, shard)}: is damaged; its shard is made again")
        return None
