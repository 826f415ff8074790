"""What a pseudo-label run tells people before it begins."""

from collections import Counter
from typing import Any

from pipelines import console
from pipelines.build import ledger_entries
from pipelines.pseudo_label.recipe import Prepared
from pipelines.summary import say_exclusions


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
    plan = describe_plan(prepared)
    if as_json:
        console.print_json(plan)
        return
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in plan.items() if isinstance(value, int)]
    rows += [[f"photos of {source}", f"{count:,}"] for source, count in plan["photos_by_source"].items()]
    for unit, stages in plan["rejected_so_far"].items():
        for stage, reasons in stages.items():
            rows += [[f"{unit}s rejected: {stage}, {reason}", f"{count:,}"] for reason, count in reasons.items()]
    console.table("plan (nothing is written)", ["", "count"], rows)
    say_exclusions(ledger_entries(prepared.lists, prepared.plan.ledger))
