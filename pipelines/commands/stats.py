"""``xdetr-data stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import console, options

if TYPE_CHECKING:
    from xdetr_data.statistics.collect import Statistics
    from xdetr_data.statistics.distributions import Binned, Histogram


@options.command
def stats(
    dataset: options.Dataset,
    no_save: Annotated[bool, typer.Option("--no-save", help="Do not write OUT/statistics.json.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Count what a dataset holds: photos, queries, phrases, regions, words, box sizes, shards.

    Reads the labels' Parquet files, not the tars. Shows the distributions (on stderr; `--json` prints
    them on stdout), and saves them as `OUT/statistics.json`.

    **Examples**

    `xdetr-data stats shards/mixed-star`

    `xdetr-data stats s3://bucket/mixed-star --no-save --json`
    """
    from xdetr_data.manifest import read_manifest
    from xdetr_data.statistics.collect import STATISTICS, collect_statistics, write_statistics
    from xdetr_data.storage import Folder

    folder = Folder(dataset)
    manifest = read_manifest(folder)
    with console.progress("counting", manifest.rows) as advance:
        found = collect_statistics(folder, manifest, advance)
    _print(found)
    if not no_save:
        write_statistics(folder, found)
        console.say(f"saved: {folder.path(STATISTICS)}")
    if json:
        console.print_json(found)
    return options.DONE


def _print(found: Statistics) -> None:
    from xdetr_data.statistics.collect import distributions

    totals = ("photos", "queries", "phrases", "regions", "textless_regions", "crowd_regions", "exhaustive_queries")
    wholes = {"textless_regions": "regions", "crowd_regions": "regions", "exhaustive_queries": "queries"}
    rows = []
    for name in totals:
        whole = getattr(found, wholes[name]) if name in wholes else 0
        rows.append([_words(name), f"{getattr(found, name):,}", f"{getattr(found, name) / whole:.1%}" if whole else ""])
    console.table("totals", ["", "count", "share"], rows)
    for name in ("photos_by_source", "regions_by_source", "phrases_by_source"):
        console.table(_words(name), ["source", "count", "share"], _shares(getattr(found, name)))
    columns = ["", "count", "mean", "min", "median", "95 %", "max"]
    console.table("distributions", columns, [_line(name, one) for name, one in distributions(found)])
    for name in ("box_area", "phrase_score"):
        if getattr(found, name).count:
            _print_bins(name, getattr(found, name))
    console.accounting_table(found.accounting)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shares(counts: dict[str, int]) -> list[list[str]]:
    total = sum(counts.values())
    return [[name, f"{count:,}", f"{count / total:.1%}"] for name, count in counts.items()]


def _line(name: str, one: Histogram) -> list[str]:
    unit = _megabytes if name == "shard_bytes" else "{:,}".format
    mean = "–" if one.mean is None else unit(round(one.mean, 2))
    quantiles = ["–" if value is None else unit(value) for value in (one.min, one.median, one.p95, one.max)]
    return [name.replace("_per_", " / ").replace("_", " "), f"{one.count:,}", mean, *quantiles]


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


def _print_bins(name: str, one: Binned) -> None:
    title = {"box_area": "box area, share of the photo", "phrase_score": "phrase score"}[name]
    rows = [
        [
            f"{f'{low:g} to {high:g}':<16}{'█' * round(30 * count / max(one.counts))}",
            f"{count:,}",
            f"{count / one.count:.1%}",
        ]
        for low, high, count in zip(one.edges, one.edges[1:], one.counts, strict=False)
    ]
    console.table(f"{title} (mean {one.mean:.3f})", ["", "count", "share"], rows)
