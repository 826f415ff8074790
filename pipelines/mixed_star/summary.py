"""What a mixed* build tells people before it begins."""

from collections import Counter
from typing import Any

from pipelines.build import ledger_entries
from pipelines.mixed_star.recipe import Prepared
from pipelines.summary import show_plan

# What one process does in a second, rounded down from docs/benchmarks.md: `make bench` for the labels, and for the
# photos docs/benchmarks/validate.md, since both read, hash and decode every photo.
ANNOTATIONS_PER_SECOND = 12_000
PHOTOS_PER_SECOND = 300


def describe_plan(prepared: Prepared, workers: int) -> dict[str, Any]:
    """Counts, bytes and an estimate of a build that has not begun."""
    plan, config = prepared.plan, prepared.config
    photos = plan.photos.num_rows
    missing = 0 if config.metadata_only else plan.photos["address"].null_count
    seconds = plan.tally.count("annotation", "in") / ANNOTATIONS_PER_SECOND
    seconds += 0 if config.metadata_only else (photos - missing) / PHOTOS_PER_SECOND
    return {
        "photos": photos,
        "photos_by_source": dict(sorted(Counter(plan.photos["source"].to_pylist()).items())),
        "photos_missing": missing,
        "paragraphs_read": plan.tally.count("paragraph", "in"),
        "annotations_read": plan.tally.count("annotation", "in"),
        "boxes_read": plan.tally.count("box", "in"),
        "rejected_so_far": {unit: plan.tally.rejects(unit) for unit in plan.tally.units()},
        "shards": plan.shards,
        "photo_bytes": plan.photo_bytes,
        "label_bytes": plan.label_bytes,
        "scratch_bytes": plan.label_bytes // 3,
        "estimated_minutes": round(seconds / max(1, workers) / 60, 1),
        "excluded": {one.path: one.hits for one in ledger_entries(prepared.lists, prepared.plan.ledger)},
        "config_hash": prepared.digest,
    }


def print_plan(prepared: Prepared, workers: int, *, as_json: bool) -> None:
    """Shows a plan; nothing has been written."""
    show_plan(describe_plan(prepared, workers), ledger_entries(prepared.lists, prepared.plan.ledger), as_json=as_json)
