"""What a captions build tells people before it begins."""

from typing import Any

from pipelines.captions.recipe import Prepared
from pipelines.summary import show_plan

# What one process does in a second: docs/benchmarks/validate.md, since both read, hash and decode every photo.
PHOTOS_PER_SECOND = 300


def describe_plan(prepared: Prepared, workers: int) -> dict[str, Any]:
    """Counts, bytes and an estimate of a build that has not begun."""
    plan = prepared.plan
    return {
        "photos": plan.photos.num_rows,
        "captions_read": plan.tally.count("caption", "in"),
        "rejected_so_far": {unit: plan.tally.rejects(unit) for unit in plan.tally.units()},
        "shards": plan.shards,
        "photo_bytes": plan.photo_bytes,
        "label_bytes": plan.label_bytes,
        "estimated_minutes": round(plan.photos.num_rows / PHOTOS_PER_SECOND / max(1, workers) / 60, 1),
        "config_hash": prepared.digest,
    }


def print_plan(prepared: Prepared, workers: int, *, as_json: bool) -> None:
    """Shows a plan; nothing has been written."""
    show_plan(describe_plan(prepared, workers), [], as_json=as_json)
