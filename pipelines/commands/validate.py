"""``xdetr-data validate``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipelines import console, options

if TYPE_CHECKING:
    from xdetr_data.validation.dataset import Report

MAX_PRINTED = 50


@options.command
def validate(
    dataset: options.Dataset,
    workers: options.Workers = -1,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Check everything a training run relies on, and name every violation.

    Manifest, checksums, order and safety of the tars, unique keys, labels against the JSON Schema and the rules of
    the record, photos that decode with the stated size and sha256, Parquet rows equal to the tars' labels, and an
    accounting that balances. Ends with 0 where all is well, and with 4 where it is not.

    **Examples**

    `xdetr-data validate shards/mixed-star`

    `xdetr-data validate s3://bucket/mixed-star --workers 8 --json > violations.json`
    """
    from pipelines.execution import executor
    from xdetr_data.storage import Folder
    from xdetr_data.validation.dataset import Report, load_manifest, shard_bytes, validate_dataset
    from xdetr_data.validation.violation import Violation

    folder = Folder(dataset)
    manifest = load_manifest(folder)
    if isinstance(manifest, Violation):
        report = Report(rows=0, photos=0, shards=0, violations=[manifest])
    else:
        processes = _processes(len(manifest.shards)) if workers == -1 else workers
        with console.progress("validating", sum(map(shard_bytes, manifest.shards)), is_bytes=True) as advance:
            with executor(processes) as run:
                report = validate_dataset(folder, manifest, run, advance)
    return _show(report, dataset, as_json=json)


def _processes(shards: int) -> int:
    """As many as there is work for; what one process can do needs no Ray."""
    return min(options.processes(-1), shards) if shards > 1 else 0


def _show(report: Report, out: str, *, as_json: bool) -> int:
    if as_json:
        console.print_json(
            {
                "out": out,
                "valid": not report.violations,
                "rows": report.rows,
                "photos": report.photos,
                "shards": report.shards,
                "violations": report.violations,
            }
        )
    counts = f"{report.rows:,} samples and {report.photos:,} photos in {report.shards:,} shards"
    if not report.violations:
        console.say(f"{out}: valid: {counts}")
        return options.DONE
    for one in report.violations[:MAX_PRINTED]:
        console.say(str(one))
    if len(report.violations) > MAX_PRINTED:
        console.say(f"… and {len(report.violations) - MAX_PRINTED:,} more; --json prints all")
    rules = Counter(one.rule for one in report.violations)
    summary = ", ".join(f"{count:,} {rule}" for rule, count in rules.most_common())
    console.fail(f"{out}: not valid: {len(report.violations):,} violations in {counts}: {summary}")
    return options.INVALID
