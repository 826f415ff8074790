"""Output folders that are in the way, disks that fill up, and runs that do not fit what was begun."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from fsspec.implementations.local import LocalFileOpener

from tests.pipelines.tiny import COCO, MDETR, Ended, World, files_of, jpeg, manifest_of, run_cli, usual_args


def build(folder: Path, *more: str) -> Ended:
    return run_cli(*usual_args(folder), *more)


def the_error(ended: Ended) -> str:
    assert ended.code == 1, ended.stderr
    (line,) = ended.errors
    return line


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    return tmp_path


@pytest.fixture
def built(world: Path) -> Path:
    assert build(world).code == 0
    return world


@contextmanager
def full_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The disk takes so many writes, flushes and syncs, and then is full."""
    done = [0]

    def filling(name: str, owner: object) -> None:
        real = getattr(owner, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            done[0] += 1
            if done[0] > calls:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        patch.setattr(owner, name, wrapped)

    with monkeypatch.context() as patch:
        filling("write", LocalFileOpener)
        filling("fsync", os)
        filling("replace", os)
        filling("makedirs", os)
        yield done


def test_a_disk_that_fills_up_at_any_moment_is_one_line_and_the_run_can_go_on(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_after(10**9, monkeypatch) as calls:
        assert build(world).code == 0
    whole, steps = files_of(world / "out"), calls[0]
    assert steps > 60
    for step in [*range(0, steps, 4), steps - 1]:
        assert build(world, "--overwrite", "--limit=1").code == 0
        with full_after(step, monkeypatch):
            line = the_error(build(world, "--overwrite"))
        assert "cannot be written (No space left on device); make room" in line
        assert str(world / "out") in line
        assert not list(world.glob("out/**/.*tmp-*"))
        again = build(world, "--resume") if step > 20 else build(world, "--overwrite")
        if again.code == 1:  # it filled up before the earlier dataset was gone: --resume must not mix the two
            assert "another configuration" in the_error(again)
            again = build(world, "--overwrite")
        assert again.code == 0, again.stderr
        assert files_of(world / "out") == whole


@pytest.mark.parametrize("what", ["a file", "an empty file", "a link to nothing", "a pipe"])
def test_something_else_in_place_of_the_folder_is_one_line(world: Path, what: str) -> None:
    out = world / "out"
    {
        "a file": lambda: out.write_text("my notes"),
        "an empty file": out.touch,
        "a link to nothing": lambda: out.symlink_to(world / "gone" / "far"),
        "a pipe": lambda: os.mkfifo(out),
    }[what]()
    for how in ("--workers=0", "--resume", "--overwrite"):
        if what == "a link to nothing" and how != "--workers=0":
            continue  # the first run made the folder that the link names
        ended = build(world, how)
        if what == "a link to nothing":
            assert ended.code in (0, 1)
        else:
            assert str(out) in the_error(ended)
    assert what != "a file" or out.read_text() == "my notes"


@pytest.mark.parametrize("how", ["--workers=0", "--resume", "--overwrite"])
@pytest.mark.parametrize("name", ["notes.txt", "photos/1.jpg", ".hidden", "manifest.json", "_work/notes.txt"])
def test_files_of_other_programs_are_never_touched(world: Path, name: str, how: str) -> None:
    path = world / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"name": "another program"}')
    assert "holds files that are no dataset of this tool; choose another --out" in the_error(build(world, how))
    assert files_of(world / "out") == {name: b'{"name": "another program"}'}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_line(world: Path) -> None:
    (world / "out").mkdir(mode=0o500)
    assert "cannot be written (Permission denied)" in the_error(build(world))


def test_a_folder_on_a_read_only_device_is_one_line(world: Path) -> None:
    ended = run_cli(*[arg for arg in usual_args(world) if "--out" not in arg], "--out=/proc/xdetr")
    assert "/proc/xdetr" in the_error(ended)


@pytest.mark.parametrize("address", ["s4://bucket/out", "zip://a::b", "/dev/null", "/dev/null/out", "x" * 5000])
def test_an_address_that_cannot_be_written_is_one_line(world: Path, address: str) -> None:
    ended = run_cli(*[arg for arg in usual_args(world) if "--out" not in arg], f"--out={address}")
    the_error(ended)


def test_out_with_glob_signs_is_that_folder_and_is_refused_when_full(world: Path) -> None:
    args = [arg if "--out" not in arg else f"--out={world}/o[1]*?" for arg in usual_args(world)]
    assert run_cli(*args).code == 0
    assert (world / "o[1]*?" / "manifest.json").exists()
    assert "holds a finished dataset" in the_error(run_cli(*args))
    before = files_of(world / "o[1]*?")
    (world / "o[1]*?" / ".x.tmp-000000000000").touch()
    assert run_cli(*args, "--resume").code == 0
    assert files_of(world / "o[1]*?") == before


def test_an_empty_folder_is_as_good_as_none(world: Path) -> None:
    (world / "out").mkdir()
    assert build(world).code == 0


def test_a_finished_dataset_is_refused_kept_or_replaced_as_told(built: Path) -> None:
    before = files_of(built / "out")
    assert "holds a finished dataset; say --resume or --overwrite" in the_error(build(built))
    resumed = build(built, "--resume")
    assert resumed.code == 0
    assert "already complete" in resumed.stderr
    assert files_of(built / "out") == before
    assert build(built, "--overwrite").code == 0
    assert files_of(built / "out") == before


def test_overwriting_removes_the_files_of_a_dataset_with_more_shards(world: Path) -> None:
    assert build(world, "--shard-bytes=2kB").code == 0
    assert len(list((world / "out").glob("*.tar"))) > 1
    assert build(world, "--overwrite").code == 0
    named = {one.name for shard in manifest_of(world / "out").shards for one in shard.files}
    named |= {one.name for one in manifest_of(world / "out").rejects}
    assert {
        name for name in files_of(world / "out") if not name.endswith((".stats.json", "manifest.json", "README.md"))
    } == named


def test_overwriting_with_inputs_that_cannot_be_used_keeps_the_earlier_dataset(built: Path) -> None:
    before = files_of(built / "out")
    (built / MDETR).write_bytes(b"")
    assert "is empty" in the_error(build(built, "--overwrite"))
    assert files_of(built / "out") == before


def _other_photo(folder: Path) -> None:
    (folder / "photos" / "COCO_train2014_000000000002.jpg").write_bytes(jpeg(2) + b"longer")


CHANGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "annotations": (lambda folder: (folder / MDETR).write_bytes(World().mdetr_json() + b"\n"), ()),
    "boxes": (lambda folder: (folder / COCO).write_bytes(World().coco_json() + b"\n"), ()),
    "photo": (_other_photo, ()),
    "photo-missing": (lambda folder: (folder / "photos" / "COCO_train2014_000000000002.jpg").unlink(), ()),
    "no-split": (lambda _: None, ("--no-split",)),
    "dedupe-iou": (lambda _: None, ("--dedupe-iou=0.5",)),
    "merge-iou": (lambda _: None, ("--merge-iou=coco=0.9",)),
    "seed": (lambda _: None, ("--seed=1",)),
    "limit": (lambda _: None, ("--limit=1",)),
    "shard-bytes": (lambda _: None, ("--shard-bytes=2kB",)),
    "crowd": (lambda _: None, ("--crowd=keep",)),
    "metadata-only": (lambda _: None, ("--metadata-only",)),
    "split": (lambda _: None, ("--split=val",)),
    "exclusion": (lambda folder: (folder / "ids.txt").write_text("77\n"), ("--exclude=FOLDER/ids.txt",)),
}


@pytest.mark.parametrize("state", ["finished", "unfinished"])
@pytest.mark.parametrize("what", CHANGES)
def test_resuming_with_other_inputs_or_options_is_refused_and_changes_nothing(
    built: Path, what: str, state: str
) -> None:
    if state == "unfinished":
        _unfinish(built / "out")
    before = files_of(built / "out")
    change, args = CHANGES[what]
    change(built)
    line = the_error(build(built, "--resume", *[arg.replace("FOLDER", str(built)) for arg in args]))
    assert "was begun with another configuration, other inputs or another version" in line
    assert "--overwrite" in line
    assert files_of(built / "out") == before


def _unfinish(out: Path) -> None:
    """What a kill just before the manifest leaves of a run, but for its spills."""
    manifest = json.loads((out / "manifest.json").read_bytes())
    (out / "manifest.json").unlink()
    (out / "_work").mkdir()
    (out / "_work" / "run.json").write_text(json.dumps({"config_hash": manifest["config_hash"]}))


def test_the_same_inputs_at_another_place_may_resume(built: Path) -> None:
    _unfinish(built / "out")
    for name in (MDETR, COCO):
        (built / "moved").mkdir(exist_ok=True)
        (built / name).rename(built / "moved" / name)
    args = [arg.replace(str(built / "final"), str(built / "moved" / "final")) for arg in usual_args(built)]
    args = [arg.replace(str(built / "instances"), str(built / "moved" / "instances")) for arg in args]
    assert run_cli(*args, "--resume").code == 0


@pytest.mark.parametrize("damage", ["removed", "shorter", "empty"])
@pytest.mark.parametrize("state", ["finished", "unfinished"])
@pytest.mark.parametrize("name", ["*.tar", "*-000000.parquet", "*.stats.json", "rejects/000000.parquet", "ambiguous/*"])
def test_resuming_makes_again_what_was_removed_or_cut(built: Path, name: str, state: str, damage: str) -> None:
    before = files_of(built / "out")
    (path,) = (built / "out").glob(name)
    if state == "unfinished":
        _unfinish(built / "out")
    elif name == "*.stats.json":
        pytest.skip("a finished dataset stands without its done-markers")
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3] if damage == "shorter" else b"")
    assert build(built, "--resume").code == 0
    assert files_of(built / "out") == before


def test_resuming_a_finished_dataset_removes_what_a_kill_behind_its_manifest_left(built: Path) -> None:
    before = files_of(built / "out")
    hash_of_it = manifest_of(built / "out").config_hash
    (built / "out" / "_work").mkdir()
    (built / "out" / "_work" / "run.json").write_text(json.dumps({"config_hash": hash_of_it}))
    for name in ("_work/spill-00000.arrow", "_work/.x.tmp-000000000000", "rejects/.x.tmp-000000000000"):
        (built / "out" / name).touch()
    assert build(built, "--resume").code == 0
    assert files_of(built / "out") == before
    assert not (built / "out" / "_work").exists()


def test_a_done_marker_of_another_configuration_marks_nothing(built: Path) -> None:
    before = files_of(built / "out")
    _unfinish(built / "out")
    (stats,) = (built / "out").glob("*.stats.json")
    stats.write_bytes(msgspec.json.encode(json.loads(stats.read_bytes()) | {"config_hash": "another", "rows": 7}))
    assert build(built, "--resume").code == 0
    assert files_of(built / "out") == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"config_hash": 7}', b"\xff\xfe"])
def test_a_damaged_claim_is_one_line_and_can_be_overwritten(built: Path, content: bytes) -> None:
    before = files_of(built / "out")
    _unfinish(built / "out")
    (built / "out" / "_work" / "run.json").write_bytes(content)
    assert "another configuration" in the_error(build(built, "--resume"))
    assert build(built, "--overwrite").code == 0
    assert files_of(built / "out") == before


def test_the_accounts_of_a_run_that_do_not_balance_are_refused(built: Path) -> None:
    _unfinish(built / "out")
    (stats,) = (built / "out").glob("*.stats.json")
    changed = json.loads(stats.read_bytes())
    changed["accounting"]["units"]["box"]["out"] += 1
    stats.write_bytes(msgspec.json.encode(changed))
    assert "the accounting does not balance (box: 4 in, but 5 out + 0 rejected)" in the_error(build(built, "--resume"))
    assert not (built / "out" / "manifest.json").exists()
