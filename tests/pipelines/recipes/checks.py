"""What the dataset of every recipe must hold, whatever its files look like."""

from pathlib import Path
from typing import Protocol

import pytest

from tests.pipelines.tiny import Ended, files_of, manifest_of, run_cli
from xdetr_data.shards import writer
from xdetr_data.shards.writer import ShardStats
from xdetr_data.storage import Folder

SMALL = "--shard-bytes=3KB"


class Build(Protocol):
    """A test's own build of the files in a folder."""

    def __call__(self, folder: Path, /, *more: str, out: str = ...) -> Ended: ...


def check(out: Path) -> None:
    """The account balances and ``validate`` finds nothing."""
    for unit, flows in manifest_of(out).accounting["units"].items():
        lost = sum(count for reasons in flows["rejected"].values() for count in reasons.values())
        assert flows["in"] == flows["out"] + lost, unit
    ended = run_cli("validate", str(out), "--workers=0")
    assert ended.code == 0, ended.stderr
    assert ": valid: " in ended.stderr.replace("\n", " ")


def check_interruption(build: Build, folder: Path, monkeypatch: pytest.MonkeyPatch, *, other: str) -> None:
    """Interrupted in its third shard, a build goes on only as it began, and ends with the bytes of a whole one.

    ``other``: a flag that makes another configuration.
    """
    assert build(folder, SMALL, out="whole").code == 0
    assert len(manifest_of(folder / "whole").shards) > 3
    write_stats = writer.write_stats

    def interrupt(out: Folder, prefix: str, stats: ShardStats) -> None:
        if stats.shard == 2:
            raise KeyboardInterrupt
        write_stats(out, prefix, stats)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "write_stats", interrupt)
        assert build(folder, SMALL).code == 130
    assert not (folder / "out" / "manifest.json").exists()
    assert build(folder, SMALL).code == 1
    assert "another configuration" in build(folder, SMALL, "--resume", other).errors[0]
    assert build(folder, SMALL, "--resume").code == 0
    assert files_of(folder / "out") == files_of(folder / "whole")
