"""What every recipe tells people when it is done: what became of everything that went in."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipelines import console, options
from pipelines.engine.run import Prepared
from xdetr_data.manifest import ExclusionEntry, Manifest
from xdetr_data.sources.exclusion_list import VG_COPIES
from xdetr_data.sources.places import NoPhotos, Roots

PHOTOS_PER_SECOND = 300  # of one process: docs/benchmarks/validate.md, since both read, hash and decode every photo

DOUBTFUL = "doubtful-"  # what a note's name begins with that should not be missed

_POLICY_STAGES = ("exclude_images", "exclude_look_alikes", "limit")


def describe_plan(prepared: Prepared, workers: int) -> dict[str, Any]:
    """Counts, bytes and an estimate of a run that has not begun; how fast a model is, is known after the first
    shard."""
    plan, recipe = prepared.plan, prepared.recipe
    photos = plan.photos.num_rows
    places = recipe.photos
    missing = plan.photos["address"].null_count if isinstance(places, Roots) else 0
    by_source = dict(sorted(Counter(plan.photos["source"].to_pylist()).items()))
    described: dict[str, Any] = {"photos": photos, "photos_by_source": by_source}
    if not (isinstance(places, Roots) and places.must_be_there):  # otherwise a missing one is rejected already
        described["photos_missing"] = missing
    units = dict.fromkeys(kind.unit for source in recipe.sources for kind in source.kinds)
    described |= {f"{console.plural(unit)}_read": plan.tally.count(unit, "in") for unit in units}
    described |= {
        "rejected_so_far": {unit: plan.tally.rejects(unit) for unit in plan.tally.units()},
        "shards": plan.shards,
        "photo_bytes": plan.photo_bytes,
        "label_bytes": plan.label_bytes,
        "scratch_bytes": plan.label_bytes // 3,
    }
    if recipe.seconds is not None:
        seconds = sum(share * plan.tally.count(unit, "in") for unit, share in recipe.seconds.items())
        seconds += 0 if isinstance(places, NoPhotos) else (photos - missing) / PHOTOS_PER_SECOND
        described["estimated_minutes"] = round(seconds / max(1, workers) / 60, 1)
    if prepared.models:
        described["models"] = prepared.models
    described["excluded"] = {one.path: one.hits for one in prepared.exclusions}
    return described | {"config_hash": prepared.digest}


def print_plan(prepared: Prepared, workers: int, *, as_json: bool) -> None:
    """Shows what a run would do; nothing has been written."""
    plan = describe_plan(prepared, workers)
    if as_json:
        console.print_json(plan)
        return
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in plan.items() if isinstance(value, int | float)]
    rows += [[f"photos of {source}", f"{count:,}"] for source, count in plan["photos_by_source"].items()]
    for unit, stages in plan["rejected_so_far"].items():
        for stage, reasons in stages.items():
            rows += [
                [f"{console.plural(unit)} rejected: {stage}, {reason}", f"{count:,}"]
                for reason, count in reasons.items()
            ]
    console.table("plan (nothing is written)", ["", "count"], rows)
    say_exclusions(prepared.exclusions)


def say_exclusions(ledger: Sequence[ExclusionEntry]) -> None:
    """Shows how many photos each ``--exclude`` list hit, and warns where that looks wrong.

    A list of one of several sources may well hit no photo: train and test files need not overlap.
    """
    for one in ledger:
        is_told = len(one.looked_for) > 1 and sum(map(bool, one.looked_for.values())) == 1
        hits = ", ".join(f"{count:,} {source} photos" for source, count in sorted(one.hits.items())) or "no photo"
        sought = ", ".join(f"{count:,} in {source}" for source, count in sorted(one.looked_for.items()))
        console.say(f"excluded by {one.path} ({one.ids:,} ids{sought and f'; looked for {sought}'}): {hits}")
        if not one.hits and not is_told and one.format != VG_COPIES:
            console.warn(f"{one.path} hit no photo of the inputs; is it the right list, or does it need SOURCE=FILE?")
        if len(one.hits) > 1 and one.format != VG_COPIES:
            console.warn(
                f"{one.path} hit photos of several sources; "
                f"if its bare numbers mean one, say --exclude SOURCE={one.path}"
            )
    is_of_coco = any(one.looked_for.get("coco") and "vg" in one.looked_for for one in ledger)
    if is_of_coco and all(one.format != VG_COPIES for one in ledger):
        console.warn(
            "half of Visual Genome's photos are COCO photos under other numbers: copies of excluded ones are still in; "
            "give Visual Genome's image_data.json with --exclude, too, and they are left out"
        )


def error_rate(manifest: Manifest) -> float:
    """Share of the photos that were wanted and lost to errors; exclusion and --limit are no errors."""
    photos = manifest.accounting["units"].get("photo", {"in": 0, "rejected": {}})
    by_stage = {stage: sum(reasons.values()) for stage, reasons in photos["rejected"].items()}
    policy = sum(by_stage.get(stage, 0) for stage in _POLICY_STAGES)
    wanted = photos["in"] - policy
    return (sum(by_stage.values()) - policy) / wanted if wanted else 0.0


def finish(manifest: Manifest, out: str, *, max_error_rate: float, as_json: bool, strict: bool = False) -> int:
    """Shows the account; the exit code of a run that is done, which ``strict`` wants every input to count for."""
    print_summary(manifest, out, as_json=as_json)
    if error_rate(manifest) > max_error_rate:
        lost = f"{error_rate(manifest):.1%} of the photos were lost to errors"
        console.warn(f"{lost}, over --max-error-rate {max_error_rate}; see {out}/rejects/")
        return options.OVER_ERROR_RATE
    is_silent = bool(manifest.warnings) or any(not one.hits for one in manifest.exclusions if one.format != VG_COPIES)
    return options.OVER_ERROR_RATE if strict and is_silent else options.DONE


def print_summary(manifest: Manifest, out: str, *, as_json: bool) -> None:
    """Shows what became of everything that went in."""
    console.accounting_table(manifest.accounting)
    say_exclusions(manifest.exclusions)
    for line in manifest.warnings:
        console.warn(line)
    for what, count in manifest.accounting["notes"].items():
        if count and what.startswith(DOUBTFUL):
            console.warn(f"{count:,} {what.replace('-', ' ')}; was a file cut? They are in the dataset as they are")
    console.say(f"{manifest.rows:,} samples in {len(manifest.shards)} shards: {out}")
    console.say(f"next: xdetr-data validate {out}   ·   xdetr-data stats {out}")
    if as_json:
        console.print_json(
            {"out": out, "rows": manifest.rows, "shards": len(manifest.shards), "accounting": manifest.accounting}
        )
