"""What every recipe tells people when it is done: what became of everything that went in."""

from collections.abc import Sequence
from typing import Any

from pipelines import console, options
from xdetr_data.manifest import ExclusionEntry, Manifest

_POLICY_STAGES = ("exclude_images", "limit")


def show_plan(plan: dict[str, Any], ledger: Sequence[ExclusionEntry], *, as_json: bool) -> None:
    """Shows what a run would do; nothing has been written. Keys that a plan may have besides plain numbers:
    ``photos_by_source``, and ``rejected_so_far`` by unit, stage and reason."""
    if as_json:
        console.print_json(plan)
        return
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in plan.items() if isinstance(value, int | float)]
    rows += [[f"photos of {source}", f"{count:,}"] for source, count in plan.get("photos_by_source", {}).items()]
    for unit, stages in plan["rejected_so_far"].items():
        for stage, reasons in stages.items():
            rows += [[f"{unit}s rejected: {stage}, {reason}", f"{count:,}"] for reason, count in reasons.items()]
    console.table("plan (nothing is written)", ["", "count"], rows)
    say_exclusions(ledger)


def say_exclusions(ledger: Sequence[ExclusionEntry]) -> None:
    """Shows how many photos each ``--exclude`` list hit, and warns where that looks wrong."""
    for one in ledger:
        hits = ", ".join(f"{count:,} {source} photos" for source, count in sorted(one.hits.items())) or "no photo"
        console.say(f"excluded by {one.path} ({one.ids:,} ids): {hits}")
        if not one.hits:
            console.warn(f"{one.path} hit no photo of the inputs; is it the right list, or does it need SOURCE=FILE?")
        if len(one.hits) > 1:
            console.warn(
                f"{one.path} hit photos of several sources; "
                f"if its bare numbers mean one, say --exclude SOURCE={one.path}"
            )


def error_rate(manifest: Manifest) -> float:
    """Share of the photos that were wanted and lost to errors; exclusion and --limit are no errors."""
    photos = manifest.accounting["units"].get("photo", {"in": 0, "rejected": {}})
    by_stage = {stage: sum(reasons.values()) for stage, reasons in photos["rejected"].items()}
    policy = sum(by_stage.get(stage, 0) for stage in _POLICY_STAGES)
    wanted = photos["in"] - policy
    return (sum(by_stage.values()) - policy) / wanted if wanted else 0.0


def finish(manifest: Manifest, out: str, *, max_error_rate: float, as_json: bool) -> int:
    """Shows the account; the exit code of a run that is done."""
    print_summary(manifest, out, as_json=as_json)
    if error_rate(manifest) > max_error_rate:
        lost = f"{error_rate(manifest):.1%} of the photos were lost to errors"
        console.warn(f"{lost}, over --max-error-rate {max_error_rate}; see {out}/rejects/")
        return options.OVER_ERROR_RATE
    return options.DONE


def print_summary(manifest: Manifest, out: str, *, as_json: bool) -> None:
    """Shows what became of everything that went in."""
    console.accounting_table(manifest.accounting)
    say_exclusions(manifest.exclusions)
    console.say(f"{manifest.rows:,} samples in {len(manifest.shards)} shards: {out}")
    console.say(f"next: xdetr-data validate {out}   ·   xdetr-data stats {out}")
    if as_json:
        console.print_json(
            {"out": out, "rows": manifest.rows, "shards": len(manifest.shards), "accounting": manifest.accounting}
        )
