"""``rethreshold``: labels chosen again from a dataset's audit trail; equals a fresh run with those options."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import msgspec

from pipelines import console
from pipelines.engine.done import UNREADABLE, run_shards
from pipelines.engine.shards import ShardContext, build_shard
from pipelines.execution import executor
from pipelines.folder import (
    Existing,
    check_not_itself,
    choice_hash,
    claim_output,
    copy_file,
    finish_output,
    open_output,
)
from pipelines.labelling.class_list import ClassPrompts
from pipelines.labelling.options import LabelOptions, check_contrasts
from pipelines.labelling.teachers import check_consensus, teachers_of
from pipelines.labelling.trail import TRAIL_PREFIX, TrailSamples
from pipelines.lock import locked
from pipelines.status import telling_status
from xdetr_data.accounting import Tally
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest, read_manifest
from xdetr_data.shards.writer import ShardStats, read_stats, stats_name
from xdetr_data.storage import Folder


def rethreshold(
    dataset: Folder, out: Folder, changes: Mapping[str, Any], *, workers: int, existing: Existing
) -> Manifest:
    """Writes the dataset that a fresh run with ``changes`` would write; ``dataset`` stays as it is.

    Raises InputError where ``dataset`` is no finished one of ``pseudo-label``, ConfigError for options out of range.
    """
    earlier = read_manifest(dataset)
    if earlier.trail_prefix != TRAIL_PREFIX:
        raise InputError(
            f"{dataset.url}: was made by '{earlier.recipe}', which keeps no candidates to choose from again"
        )
    check_not_itself(dataset, out)
    labels = msgspec.structs.replace(_labels(dataset, earlier), **changes)
    teachers = trail_teachers(earlier)
    check_consensus(labels.consensus, teachers)
    classes = _classes(dataset, earlier)
    check_contrasts(labels, earlier.config.get("model", {}).get("contrasts", 0), has_classes=bool(classes))
    trails = [_stats(dataset, TRAIL_PREFIX, one.shard) for one in earlier.shards]
    old = [_stats(dataset, earlier.prefix, one.shard) for one in earlier.shards]
    digest = choice_hash(trails[0].config_hash, msgspec.to_builtins(labels))
    open_output(out, existing)
    with executor(workers) as run, locked(out), ExitStack() as claimed:
        if (finished := claim_output(out, digest, existing)) is not None:
            return finished
        claimed.enter_context(telling_status(out))
        _copy_trail(dataset, out, earlier, trails)
        samples = TrailSamples(
            out=out,
            rule=labels,
            teachers=teachers,
            photos_from=(dataset, earlier.prefix),
            classes=classes,
        )
        context = ShardContext(out=out, prefix=earlier.prefix, config_hash=digest, samples=samples, tables={})
        new = run_shards(
            out,
            earlier.prefix,
            digest,
            lambda missing: run(build_shard, context, missing),
            title="choosing labels",
            photos=[one.rows for one in trails],
        )
        manifest = msgspec.structs.replace(
            earlier,
            config=earlier.config | {"labels": msgspec.to_builtins(labels)},
            config_hash=digest,
            accounting=_account(earlier, old, new),
            rows=sum(one.rows for one in new),
            shards=[one.entry for one in new],
        )
        finish_output(out, manifest)
        return manifest


def trail_teachers(manifest: Manifest) -> tuple[str, ...]:
    """The names of the teachers of a trail, in the order of their numbers in it."""
    ckpt = manifest.config["ckpt"]
    return tuple(one.name for one in teachers_of([ckpt] if isinstance(ckpt, str) else ckpt))


def _labels(dataset: Folder, earlier: Manifest) -> LabelOptions:
    try:
        labels = msgspec.convert(earlier.config.get("labels"), dict[str, Any])
        return msgspec.convert({"box_order": ()} | labels, LabelOptions)  # 0.1.0 had no order
    except msgspec.ValidationError as error:
        problem = f"its manifest has other options than this version's ({error})"
        raise InputError(f"{dataset.url}: {problem}; label again with 'pseudo-label'") from error


def _classes(dataset: Folder, earlier: Manifest) -> tuple[ClassPrompts, ...]:
    try:
        return msgspec.convert(earlier.config.get("prompts", ()), tuple[ClassPrompts, ...])
    except msgspec.ValidationError as error:
        raise InputError(f"{dataset.url}: its manifest's classes are none ({error}); label again") from error


def _stats(dataset: Folder, prefix: str, shard: int) -> ShardStats:
    """The done-marker of a shard of a finished dataset."""
    try:
        stats = read_stats(dataset, prefix, shard)
    except UNREADABLE:
        stats = None
    if stats is None:
        place = dataset.path(stats_name(prefix, shard))
        raise InputError(f"{place}: is missing or damaged; see 'xdetr-data validate {dataset.url}'")
    return stats


def _copy_trail(dataset: Folder, out: Folder, earlier: Manifest, trails: list[ShardStats]) -> None:
    """Copies the audit trail and the rejects of the steps before it, as they are, each shard's done-marker last.

    Raises InputError for a file that is not the one that the dataset was finished with.
    """
    groups = [(trail.files, [stats_name(TRAIL_PREFIX, trail.shard)]) for trail in trails] + [(earlier.rejects, [])]
    with console.progress("copying the audit trail", len(groups)) as advance:
        for files, unsigned in groups:
            sha256 = {file.name: file.sha256 for file in files}
            for name in [*sha256, *unsigned]:
                if not out.exists(name):
                    copy_file(dataset, out, name, sha256.get(name))
            advance(1)


def _account(earlier: Manifest, old: list[ShardStats], new: list[ShardStats]) -> dict[str, Any]:
    """The earlier account with the old choices taken out and the new ones put in."""
    tally = Tally.from_builtins(earlier.accounting)
    for one in old:
        tally.subtract(Tally.from_builtins(one.accounting))
    for one in new:
        tally.add(Tally.from_builtins(one.accounting))
    tally.check()
    return tally.to_builtins()
