"""``retry-failed`` and ``--add``: what is mended or new comes in, all else keeps its bytes, and the accounts add up."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.growing.again import recipe_of
from pipelines.growing.grow import grow
from tests.pipelines.killing import read_until, running
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.middling import write_middling
from tests.pipelines.tiny import (
    Ended,
    annotation,
    coco_name,
    files_of,
    jpeg,
    manifest_of,
    paragraph,
    records_of,
    reject_counts,
    run_cli,
    to_json,
)
from xdetr_data.accounting import Tally
from xdetr_data.dataset import open_dataset
from xdetr_data.errors import OutputError
from xdetr_data.storage import Folder

GONE = [coco_name(number) for number in (3, 4, 5)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, the whole dataset, and one of which three photos were missing and one was damaged."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "args.json").write_text(json.dumps(write_middling(folder)))
    assert build(folder, "whole").code == 0
    kept = {name: (folder / "photos" / name).read_bytes() for name in (*GONE, coco_name(6))}
    for name in GONE:
        (folder / "photos" / name).unlink()
    (folder / "photos" / coco_name(6)).write_bytes(kept[coco_name(6)][:-500])
    assert build(folder, "poor").code == 0
    for name, data in kept.items():
        (folder / "photos" / name).write_bytes(data)
    return folder


def build(world: Path, out: str, *more: str, workers: int = 0) -> Ended:
    args = json.loads((world / "args.json").read_text())
    return run_cli(*args, f"--out={world}/{out}", f"--workers={workers}", *more)


@pytest.fixture
def poor(world: Path) -> Path:
    """A copy of the dataset that lacks four photos."""
    shutil.rmtree(world / "out", ignore_errors=True)
    shutil.copytree(world / "poor", world / "out")
    return world / "out"


def check(out: Path) -> None:
    Tally.from_builtins(manifest_of(out).accounting).check()
    validated = run_cli("validate", str(out), "--workers=0")
    assert validated.code == 0, validated.stderr + validated.stdout


def shards_of(out: Path) -> dict[str, str]:
    """The sha256 of each shard's tar and Parquet file."""
    return {
        file.name: file.sha256
        for shard in manifest_of(out).shards
        for file in shard.files
        if not file.name.startswith("rejects/")
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_mended_photos_come_in_and_only_their_shards_are_made_again(world: Path, poor: Path, workers: int) -> None:
    before = shards_of(poor)
    keys = {one.key for one in records_of(poor)}
    ended = run_cli("retry-failed", str(poor), f"--workers={workers}", "--max-error-rate=1")
    assert ended.code == 0, ended.stderr
    check(poor)
    assert records_of(poor) == records_of(world / "whole")
    assert len(records_of(poor)) == len(keys) + 4
    whole, now = manifest_of(world / "whole").accounting, manifest_of(poor).accounting
    assert now == whole
    changed = [name for name, sha in shards_of(poor).items() if sha != before[name] and name.endswith(".tar")]
    assert 1 <= len(changed) <= 4 < len(manifest_of(poor).shards)
    assert "4 photos can be used now" in ended.stderr
    assert not (poor / "_work").exists()


def test_a_dry_run_and_one_with_nothing_mended_leave_every_byte(world: Path, poor: Path) -> None:
    before = files_of(poor)
    ended = run_cli("retry-failed", str(poor), "--workers=0", "--dry-run")
    assert "4 photos can be used now" in ended.stderr
    assert files_of(poor) == before
    whole = files_of(world / "whole")
    ended = run_cli("retry-failed", f"{world}/whole", "--workers=0", "--max-error-rate=1")
    assert ended.code == 0
    assert "nothing has been mended" in ended.stderr
    assert files_of(world / "whole") == whole


def test_one_that_is_killed_goes_on_when_it_is_repeated(world: Path, poor: Path) -> None:
    args = ["retry-failed", str(poor), "--workers=0", "--max-error-rate=1"]
    kills = 0
    for phase in ("partitioning", "partitioning", "building shards", "building shards"):
        with running(args) as process:
            read_until(process, phase)
            kills += process.poll() is None
    assert kills
    ended = run_cli(*args)
    assert ended.code == 0, ended.stderr
    check(poor)
    assert records_of(poor) == records_of(world / "whole")
    assert manifest_of(poor).accounting == manifest_of(world / "whole").accounting


def test_new_inputs_come_in_behind_what_is_there(world: Path, poor: Path) -> None:
    shutil.rmtree(poor)
    shutil.copytree(world / "whole", poor)
    before = shards_of(poor)
    more = {"images": [paragraph(n, 900 + n) for n in range(20)], "annotations": [annotation(n, n) for n in range(20)]}
    more["images"].append(paragraph(20, 8, caption="one more of an old photo."))
    (world / "more.json").write_bytes(to_json(more))
    for number in range(20):
        (world / "photos" / coco_name(900 + number)).write_bytes(jpeg(number))
    ended = build(world, "out", f"--mdetr={world}/more.json", "--add")
    assert ended.code == 0, ended.stderr
    check(poor)
    now = shards_of(poor)
    assert len([name for name in before if now[name] != before[name]]) == 3  # tar, Parquet and index of photo 8's shard
    assert len(manifest_of(poor).shards) == len(manifest_of(world / "whole").shards) + 1
    assert build(world, "fresh", f"--mdetr={world}/more.json", "--overwrite").code == 0
    assert records_of(poor) == records_of(world / "fresh")
    assert manifest_of(poor).accounting == manifest_of(world / "fresh").accounting
    again = build(world, "out", f"--mdetr={world}/more.json", "--add")
    assert "nothing is new" in again.stderr


def test_an_input_that_names_photos_as_it_is_read_makes_all_shards_again(world: Path, poor: Path) -> None:
    boxes = {"annotations": [{"id": 1, "image_id": 8, "category_id": 3, "iscrowd": 0, "bbox": [40, 30, 7, 7]}]}
    (world / "boxes.json").write_bytes(to_json(boxes))
    ended = build(world, "out", f"--coco-instances={world}/boxes.json", "--add")
    assert ended.code == 0, ended.stderr
    check(poor)
    assert build(world, "fresh", f"--coco-instances={world}/boxes.json", "--overwrite").code == 0
    assert records_of(poor) == records_of(world / "fresh")


def test_what_another_run_changed_meanwhile_is_refused(world: Path, poor: Path) -> None:
    before = manifest_of(poor)
    assert run_cli("retry-failed", str(poor), "--workers=0", "--max-error-rate=1").code == 0
    after = files_of(poor)
    with pytest.raises(OutputError, match="changed while its photos were looked for; repeat the command"):
        grow(recipe_of(before), Folder(str(poor)), before, may_add=False, workers=0)
    assert {name: data for name, data in files_of(poor).items() if not name.startswith("_work")} == after
    assert run_cli("retry-failed", str(poor), "--workers=0", "--max-error-rate=1").code == 0
    check(poor)


def test_a_damaged_marker_has_its_shard_made_again(world: Path, poor: Path) -> None:
    for marker in sorted(poor.glob("*.stats.json"))[:2]:
        marker.write_bytes(b"{")
    ended = run_cli("retry-failed", str(poor), "--workers=0", "--max-error-rate=1")
    assert ended.code == 0, ended.stderr
    assert "is damaged; its shard is made again" in ended.stderr
    check(poor)
    assert records_of(poor) == records_of(world / "whole")


def refused(ended: Ended, says: str) -> None:
    assert ended.code in (1, 2)
    assert len(ended.errors) == 1
    assert says in ended.errors[0]


def test_what_is_not_the_same_dataset_is_refused_and_left_as_it_is(world: Path, poor: Path, tmp_path: Path) -> None:
    before = files_of(poor)
    refused(build(world, "out", "--add", "--dedupe-iou=0.5"), "other dedupe iou")
    refused(build(world, "out", "--add", "--resume"), "contradict")
    (tmp_path / "other.txt").write_text("1\n")
    refused(build(world, "out", "--add", f"--exclude={tmp_path}/other.txt"), "is not, or not any more")
    photo = world / "photos" / coco_name(8)
    data = photo.read_bytes()
    photo.unlink()
    try:
        refused(build(world, "elsewhere", "--add"), "has no manifest.json")
        missing = run_cli("retry-failed", str(poor), "--workers=0")
    finally:
        photo.write_bytes(data)
    refused(missing, "1 photos of the dataset are not found any more, as coco_000000000008")
    assert files_of(poor) == before


def test_a_changed_input_is_named(world: Path, poor: Path) -> None:
    mdetr = world / "final_mixed_train.json"
    data = mdetr.read_bytes()
    mdetr.write_bytes(data + b"\n")
    try:
        refused(run_cli("retry-failed", str(poor), "--workers=0"), "final_mixed_train.json: is not, or not any more")
    finally:
        mdetr.write_bytes(data)


def test_labelled_photos_stay_and_new_ones_are_labelled_behind(tmp_path: Path) -> None:
    import torch

    torch.set_num_threads(1)
    ckpt = save_toy(tmp_path / "toy")
    names = [f"{number}.jpg" for number in range(8)]
    (tmp_path / "mine").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "mine" / name).write_bytes(jpeg(number))
    (tmp_path / "mine" / names[3]).write_bytes(b"no photo")
    (tmp_path / "captions.csv").write_text("path,caption\n" + "".join(f"{name},A red ball.\n" for name in names))
    args = ["pseudo-label", "photos", f"{tmp_path}/mine", f"--captions={tmp_path}/captions.csv", f"--ckpt={ckpt}",
            "--workers=0", "--max-error-rate=1", "--shard-bytes=3kB"]  # fmt: skip
    (tmp_path / "mine" / names[5]).unlink()
    assert run_cli(*args, f"--out={tmp_path}/out").code == 0
    before = shards_of(tmp_path / "out")
    for number in (3, 5):
        (tmp_path / "mine" / names[number]).write_bytes(jpeg(number))
    ended = run_cli("retry-failed", f"{tmp_path}/out", "--workers=0", "--max-error-rate=1")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    assert len(records_of(tmp_path / "out")) == 8
    assert reject_counts(tmp_path / "out") == {}
    now = shards_of(tmp_path / "out")
    assert 0 < len([name for name in before if now[name] == before[name]]) < len(before)
    assert run_cli(*args, f"--out={tmp_path}/fresh").code == 0
    grown, fresh = records_of(tmp_path / "out"), records_of(tmp_path / "fresh")
    assert [one.image for one in grown] == [one.image for one in fresh]  # scores are of other batches, to the last bits
    scores = [[one.queries[0].phrases[0].score for one in records] for records in (grown, fresh)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    dataset = open_dataset(str(tmp_path / "out"))
    assert [dataset[one.key].record for one in grown] == grown
