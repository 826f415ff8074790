"""What all builders of datasets share: options, names of inputs, the ledger, and the manifest at the end."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pipelines.job import PartitionDone, add_up
from pipelines.machine import machines_of
from xdetr_data.accounting import Tally
from xdetr_data.errors import ConfigError, InputError
from xdetr_data.manifest import ExclusionEntry, InputEntry, Manifest, ShardEntry, tool_version, write_manifest
from xdetr_data.readers.exclusions import ExclusionList
from xdetr_data.record import Rejected
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.writer import ShardStats, write_rejects
from xdetr_data.stages.exclude_images import Ledger
from xdetr_data.storage import Folder

_ENDINGS = (".json", ".jsonl", ".csv", ".tsv")


class BuildConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of every builder."""

    seed: int = 0
    limit: int | None = None
    shard_bytes: int = 512_000_000
    split: str = "train"

    def check_build(self) -> None:
        """Raises ConfigError for an option out of its range."""
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit {self.limit} must be at least 1")
        if self.shard_bytes < 1:
            raise ConfigError(f"--shard-bytes {self.shard_bytes} must be positive")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"--seed {self.seed} must be between 0 and 2**63")
        if not self.split.isidentifier():
            raise ConfigError(f"--split {self.split!r} must be a plain word such as train or val")


def input_label(path: str) -> str:
    """What the records call an input: its file name without folders and endings."""
    name = path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".gz")
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending)


def check_labels(paths: Iterable[str]) -> None:
    """Raises ConfigError where two inputs would have one name in the records."""
    for label, count in Counter(map(input_label, paths)).items():
        if count > 1:
            raise ConfigError(
                f"{count} inputs are called {label!r}, so that no label could say where it came from; rename one"
            )


def check_not_empty(photos: int, tally: Tally, *, task: str, nothing: str, remedy: str) -> None:
    """Raises InputError where the plan has no photo: how many were rejected why, or that there was ``nothing``."""
    if photos:
        return
    rejected = (
        f"{count:,} {unit}s {reason}"
        for unit in tally.units()
        for reasons in tally.rejects(unit).values()
        for reason, count in reasons.items()
    )
    why = ", ".join(rejected)
    raise InputError(f"no photo is left to {task} ({f'rejected: {why}' if why else nothing}); {remedy}")


def ledger_entries(lists: Sequence[ExclusionList], ledger: Ledger) -> list[ExclusionEntry]:
    """The excluded-photo ledger: a line for each ``--exclude`` list."""
    return [ExclusionEntry(path=one.path, format=one.format, ids=one.size, hits=ledger.hits[one.path]) for one in lists]


def shard_entries(shards: Sequence[ShardStats]) -> list[ShardEntry]:
    """Done-markers as the manifest's entries."""
    return [ShardEntry(shard=one.shard, rows=one.rows, files=one.files) for one in shards]


def finish_build(
    out: Folder,
    *,
    recipe: str,
    config: BuildConfig,
    prefix: str,
    digest: str,
    inputs: list[InputEntry],
    exclusions: list[ExclusionEntry],
    tally: Tally,
    rejects: Sequence[Rejected],
    partitions: Sequence[PartitionDone],
    shards: Sequence[ShardStats],
    models: dict[str, str] | None = None,
    trail_prefix: str = "",
    trail: Sequence[ShardStats] = (),
) -> Manifest:
    """Adds up the accounts, refuses to finish where they do not balance, and writes the manifest.

    ``tally`` and ``rejects`` are the plan's; ``models`` are fingerprints of what labelled; ``trail`` are the shards
    that labels were chosen from.
    """
    accounting = add_up(tally, [*partitions, *trail, *shards])
    plan_rejects = write_rejects(out, "rejects/plan.parquet", rejects)
    options: dict[str, Any] = msgspec.to_builtins(config)
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        recipe=recipe,
        tool_version=tool_version(),
        prefix=prefix,
        split=config.split,
        seed=config.seed,
        config=options if models is None else options | {"models": models},
        config_hash=digest,
        inputs=inputs,
        exclusions=exclusions,
        accounting=accounting,
        rows=sum(one.rows for one in shards),
        shards=shard_entries(shards),
        rejects=[plan_rejects, *(one.rejects for one in partitions)],
        trail_prefix=trail_prefix,
        trail=shard_entries(trail),
        machines=machines_of(trail),
    )
    write_manifest(out, manifest)
    return manifest
