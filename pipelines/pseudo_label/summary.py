"""What a pseudo-label run tells people before it begins."""

from collections import Counter
from typing import Any

from pipelines.build import ledger_entries
from pipelines.pseudo_label.recipe import Prepared
from pipelines.summary import show_plan


def describe_plan(prepared: Prepared) -> dict[str, Any]:
    """Counts and bytes of a run that has not begun; how long the model takes is known after the first shard."""
    plan = prepared.plan
    return {
        "photos": plan.photos.num_rows,
        "photos_by_source": dict(sorted(Counter(plan.photos["source"].to_pylist()).items())),
        "narratives_read": plan.tally.count("narrative", "in"),
        "boxes_read": plan.tally.count("box", "in"),
        "rejected_so_far": {unit: plan.tally.rejects(unit) for unit in plan.tally.units()},
        "shards": plan.shards,
        "photo_bytes": plan.photo_bytes,
        "label_bytes": plan.label_bytes,
        "models": prepared.models,
        "excluded": {one.path: one.hits for one in ledger_entries(prepared.lists, prepared.plan.ledger)},
        "config_hash": prepared.digest,
    }


def print_plan(prepared: Prepared, *, as_json: bool) -> None:
    """Shows a plan; nothing has been written."""
    show_plan(describe_plan(prepared), ledger_entries(prepared.lists, prepared.plan.ledger), as_json=as_json)
