"""``review apply`` as a table of contents: parent, decisions, shards, manifest."""

from contextlib import ExitStack
from typing import Any

from pipelines import console
from pipelines.engine.done import add_up, run_shards
from pipelines.execution import executor
from pipelines.folder import (
    Existing,
    check_not_itself,
    claim_output,
    config_hash,
    finish_output,
    open_output,
)
from pipelines.lock import locked
from pipelines.review.shard import ReviewContext, review_shard
from pipelines.status import telling_status
from xdetr_data.accounting import Tally
from xdetr_data.addresses.identity import file_identity
from xdetr_data.errors import InputError
from xdetr_data.manifest import (
    MANIFEST,
    InputEntry,
    Manifest,
    read_manifest,
    tool_version,
)
from xdetr_data.reviewing.decisions import Decision, Reviewed, by_key, read_decisions
from xdetr_data.schema import SCHEMA_VERSION
from xdetr_data.shards.plan import homes_of_key
from xdetr_data.shards.reader import find
from xdetr_data.shards.writer import shard_name
from xdetr_data.storage import Folder

RECIPE = "review apply"
APPLY_VERSION = 1  # raise it where the same decisions now make other bytes


def apply_decisions(dataset: Folder, review: str, out: Folder, *, workers: int, existing: Existing) -> Manifest:
    """Writes the dataset with the decisions of a file; ``dataset`` stays as it is.

    Raises InputError where the decisions are about another dataset, or a file is missing or damaged.
    """
    parent = read_manifest(dataset)
    check_not_itself(dataset, out)
    inputs = [_identify("dataset", dataset.path(MANIFEST)), _identify("review", review)]
    folder, _, name = review.rpartition("/")
    reviewed, decisions = read_decisions(Folder(folder or "."), name)
    check_same(dataset, parent, review, reviewed)
    config = _config(parent, reviewed)
    digest = config_hash([RECIPE, APPLY_VERSION, parent.config_hash], inputs, "")
    open_output(out, existing)
    with executor(workers) as run, locked(out), ExitStack() as claimed:
        if (finished := claim_output(out, digest, existing)) is not None:
            return finished
        claimed.enter_context(telling_status(out))
        context = ReviewContext(
            dataset=dataset,
            out=out,
            prefix=parent.prefix,
            config_hash=digest,
            shards=parent.shards,
            decisions=_by_shard(dataset, parent, decisions),
        )
        done = run_shards(
            out,
            parent.prefix,
            digest,
            lambda missing: run(review_shard, context, missing),
            title="applying the review",
            photos=[one.rows for one in parent.shards],
        )
        plan = Tally()
        plan.came_in("decision", len(decisions))
        manifest = Manifest(
            schema=SCHEMA_VERSION,
            recipe=RECIPE,
            tool_version=tool_version(),
            prefix=parent.prefix,
            split=parent.split,
            seed=parent.seed,
            config=config,
            config_hash=digest,
            inputs=[*inputs, *parent.inputs],
            exclusions=parent.exclusions,
            accounting=add_up(plan, done),
            rows=sum(one.rows for one in done),
            shards=[one.entry for one in done],
            rejects=[],
            machines=parent.machines,
            layers=parent.layers,
        )
        finish_output(out, manifest)
        return manifest


def _identify(role: str, path: str) -> InputEntry:
    size, sha256 = file_identity(path)
    return InputEntry(role=role, path=path, bytes=size, sha256=sha256)


def check_same(dataset: Folder, parent: Manifest, review: str, reviewed: Reviewed) -> None:
    """Raises InputError where decisions are about another dataset."""
    if reviewed.config_hash != parent.config_hash:
        raise InputError(
            f"{review}: holds decisions about another dataset ({reviewed.name!r}, configuration "
            f"{reviewed.config_hash[:12]}) than {dataset.url} ({parent.config_hash[:12]}); name the dataset that "
            "'xdetr-data qa' opened"
        )


def _config(parent: Manifest, reviewed: Reviewed) -> dict[str, Any]:
    """The parent's options are the labels' history; whether there are photos is what validation asks."""
    return {
        "reviewed": reviewed.name,
        "metadata_only": parent.config.get("metadata_only") is True,
        "parent": {
            "recipe": parent.recipe,
            "tool_version": parent.tool_version,
            "config": parent.config,
            "config_hash": parent.config_hash,
        },
    }


def _by_shard(dataset: Folder, parent: Manifest, decisions: list[Decision]) -> dict[int, dict[str, list[Decision]]]:
    if decisions and not parent.shards:
        raise InputError("the dataset has no shards, so that no decision can be about it")
    result: dict[int, dict[str, list[Decision]]] = {}
    for key, ones in by_key(decisions).items():
        result.setdefault(_home(dataset, parent, key), {})[key] = ones
    console.say(f"{len(decisions):,} decisions about {sum(map(len, result.values())):,} photos in {len(result)} shards")
    return result


def _home(dataset: Folder, parent: Manifest, key: str) -> int:
    """The shard that has a key; of one that no shard has, the one that would."""
    homes = homes_of_key(key, seed=parent.seed, layers=parent.shard_layers)
    if len(homes) == 1:
        return homes[0]
    found = find(dataset, parent, key)
    return next(
        (home for home in homes if found is not None and found.stem == shard_name(parent.prefix, home)), homes[0]
    )
