"""``xdetr-search index`` and ``remove``: all accounted, the same bytes after kills, photos added and removed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.search import encode
from tests.data.tiny_dataset import jpeg
from tests.pipelines.search.cli import ALL, TOY, answers, done, objects_of, run_search, wrong
from tests.pipelines.tiny import files_of

ROOT = Path(__file__).parents[3]


def indexed(*args: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("index", *args, "--json").stdout)
    return found


def check_account(accounting: dict[str, Any]) -> None:
    for unit, flows in accounting["units"].items():
        lost = sum(count for reasons in flows["rejected"].values() for count in reasons.values())
        assert flows["in"] == flows["out"] + lost, unit


def rejects(index: Path) -> dict[str, str]:
    """Key → reason of everything below ``rejects``."""
    rows = [row for file in sorted(index.glob("part-*/rejects/*.parquet")) for row in pq.read_table(file).to_pylist()]
    return {row["key"]: row["reason"] for row in rows}


def test_a_dataset_and_a_folder_of_its_photos_give_the_same_objects(
    dataset: Path, folder: Path, index: Path, tmp_path: Path
) -> None:
    found = indexed(f"coco={folder}", *ALL, "--out", tmp_path / "index")
    assert found["photos"] == 9
    check_account(found["accounting"])
    ours, theirs = (
        {(row["key"], row["object"]): row for row in objects_of(one)} for one in (tmp_path / "index", index)
    )
    assert len(ours) == found["objects"] > 9
    assert set(ours) == set(theirs)
    for name, row in ours.items():
        assert row["box_xyxy"] == pytest.approx(theirs[name]["box_xyxy"], abs=0.01)
        assert row["vector"] @ theirs[name]["vector"] == pytest.approx(1.0, abs=0.005)


def test_objects_are_the_best_of_their_photo_and_all_others_are_rejects(dataset: Path, tmp_path: Path) -> None:
    found = indexed(dataset, "--ckpt", TOY, "--least-objectness", 0.02, "--objects", 3, "--out", tmp_path / "index")
    check_account(found["accounting"])
    photos: dict[str, list[dict[str, Any]]] = {}
    for row in objects_of(tmp_path / "index"):
        photos.setdefault(row["key"], []).append(row)
    for rows in photos.values():
        assert [row["object"] for row in rows] == list(range(len(rows)))
        assert len(rows) <= 3
        scores = [row["objectness"] for row in rows]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) >= 0.02
    objects = found["accounting"]["units"]["object"]
    assert objects["rejected"]["choose_objects"]["beyond-objects"] > 0
    assert objects["out"] == sum(map(len, photos.values()))


def test_photos_that_cannot_be_read_are_rejects_with_reasons(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(folder, photos)
    (photos / "COCO_train2014_000000000001.jpg").write_bytes(jpeg(1)[:200])
    (photos / "COCO_train2014_000000000002.jpg").write_bytes(b"no photo")
    (photos / "again").mkdir()
    (photos / "again/000000000003.jpg").write_bytes(jpeg(3))
    found = indexed(f"coco={photos}", *ALL, "--limit", 8, "--max-error-rate", 1, "--out", tmp_path / "index")
    check_account(found["accounting"])
    assert found["photos"] == 6
    assert rejects(tmp_path / "index") == {
        "coco_000000000001": "unreadable-photo",
        "coco_000000000002": "unreadable-photo",
        "coco_000000000003": "same-key",
        "coco_000000000009": "beyond-limit",
    }
    ended = run_search("index", f"coco={photos}", *ALL, "--out", tmp_path / "strict")
    assert ended.code == 3
    assert "over --max-error-rate 0.1" in ended.stderr


def test_workers_on_ray_make_the_same_bytes(dataset: Path, index: Path, tmp_path: Path) -> None:
    done("index", dataset, *ALL, "--workers", 2, "--out", tmp_path / "ray")
    assert files_of(tmp_path / "ray") == files_of(index)


def test_a_run_that_was_interrupted_goes_on_only_as_it_began(
    dataset: Path, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = tmp_path / "cut", encode.EncodeWorker.__call__

    def interrupted(self: encode.EncodeWorker, shard: int) -> object:
        if shard == 2:
            raise KeyboardInterrupt
        return real(self, shard)

    with monkeypatch.context() as patch:
        patch.setattr(encode.EncodeWorker, "__call__", interrupted)
        assert run_search("index", dataset, *ALL, "--out", out).code == 130
    assert "has no index.json" in wrong("query", out, "a ball")[1]
    before = {path: path.stat().st_mtime_ns for path in out.glob("part-*/objects-*.parquet")}
    assert len(before) == 2
    assert "say --resume or --overwrite" in wrong("index", dataset, *ALL, "--out", out)[1]
    assert (
        "another model, other photos or options"
        in wrong("index", dataset, *ALL, "--objects", 2, "--out", out, "--resume")[1]
    )
    done("index", dataset, *ALL, "--out", out, "--resume")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files_of(out) == files_of(index)
    assert "already complete" in done("index", dataset, *ALL, "--out", out, "--resume").stderr
    assert "say --add" in wrong("index", dataset, *ALL, "--out", out)[1]


def test_kills_end_in_the_bytes_of_a_run_that_was_left_alone(dataset: Path, index: Path, tmp_path: Path) -> None:
    out = tmp_path / "shot"
    command = [sys.executable, "-m", "pipelines.search.cli", "index", str(dataset), *ALL, "--out", str(out), "--resume"]
    for wanted in ("objects-000000.stats.json", "objects-000001.parquet"):
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            while process.poll() is None and not list(out.glob(f"part-*/{wanted}")):
                time.sleep(0.003)
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    done("index", dataset, *ALL, "--out", out, "--resume")
    assert files_of(out) == files_of(index)


def test_photos_are_added_beside_and_removed_by_name(folder: Path, tmp_path: Path) -> None:
    first, out = tmp_path / "first", tmp_path / "index"
    first.mkdir()
    for path in sorted(folder.iterdir())[:5]:
        shutil.copy(path, first)
    indexed(f"coco={first}", *ALL, "--out", out)
    before = files_of(out / "part-000001")
    added = indexed(f"coco={folder}", *ALL, "--out", out, "--add")
    check_account(added["accounting"])
    assert added["accounting"]["units"]["photo"]["rejected"] == {"plan": {"already-indexed": 5}}
    assert (added["generation"], added["photos"]) == (2, 9)
    assert files_of(out / "part-000001") == before
    assert "nothing to add" in done("index", f"coco={folder}", *ALL, "--out", out, "--add").stderr

    best = answers(out, "a ball", "--top", 1)[0]["key"]
    assert json.loads(done("remove", out, best, "--json").stdout) == {"index": str(out), "generation": 3, "removed": 1}
    assert best not in {one["key"] for one in answers(out, "a ball", "--top", 200)}
    code, line = wrong("remove", out, "coco_000000000008", best)
    assert (code, "nothing was removed" in line) == (1, True)
    assert "coco_000000000008" in {one["key"] for one in answers(out, "a ball", "--top", 200)}
    again = indexed(f"coco={folder}", *ALL, "--out", out, "--add")
    assert (again["generation"], again["accounting"]["units"]["photo"]["out"]) == (4, 1)
    assert answers(out, "a ball", "--top", 1)[0]["key"] == best


def test_an_index_that_was_added_to_finds_what_one_of_all_photos_finds(folder: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    for path in sorted(folder.iterdir())[:4]:
        shutil.copy(path, first)
    one = ("--batch-size", 1)  # other photos in a batch can move last bits
    done("index", f"coco={first}", *ALL, *one, "--out", tmp_path / "grown")
    done("index", f"coco={folder}", *ALL, *one, "--out", tmp_path / "grown", "--add")
    done("index", f"coco={folder}", *ALL, *one, "--out", tmp_path / "whole")
    assert answers(tmp_path / "grown", "a red ball", "--top", 30) == answers(
        tmp_path / "whole", "a red ball", "--top", 30
    )


def test_adding_with_another_model_or_rule_is_refused(index: Path, folder: Path, tmp_path: Path) -> None:
    code, line = wrong("index", f"coco={folder}", "--ckpt", TOY, "--objects", 7, "--out", index, "--add")
    assert (code, "give the same --objects" in line) == (2, True)
    code, line = wrong("index", f"x={folder}", *ALL, "--precision", "bfloat16", "--out", index, "--add")
    assert (code, "vectors of another model" in line) == (2, True)
    assert "no finished index to add to" in wrong("index", f"coco={folder}", *ALL, "--out", tmp_path / "no", "--add")[1]


def test_a_plan_is_printed_and_nothing_written(dataset: Path, tmp_path: Path) -> None:
    ended = done("index", dataset, "--ckpt", "no-model", "--out", tmp_path / "index", "--dry-run", "--json")
    assert json.loads(ended.stdout)["photos"] == 9
    assert json.loads(ended.stdout)["objects_at_most"] == 900
    assert not (tmp_path / "index").exists()


def test_what_cannot_be_is_said_in_one_line(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("here")
    out = ("--out", tmp_path / "index")
    assert "no JPEG, PNG or WebP" in wrong("index", tmp_path / "empty", *ALL, *out)[1]
    assert "there is no such folder" in wrong("index", tmp_path / "no", *ALL, *out)[1]
    assert wrong("index", dataset, *ALL, "--objects", 0, *out)[0] == 2
    assert "choose another --out" in wrong("index", dataset, *ALL, "--out", tmp_path / "mine")[1]
    assert not (tmp_path / "index/index.json").exists()


def test_a_detector_without_a_common_space_is_refused(dataset: Path, tmp_path: Path) -> None:
    from tests.pipelines.labelling.checkpoints import save_dino

    dino = save_dino(tmp_path / "dino")
    assert "is no X-DETR checkpoint" in wrong("index", dataset, "--ckpt", dino, "--out", tmp_path / "index")[1]


def test_a_model_that_says_nan_ends_the_run_and_is_named(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xdetr_model.grounders.xdetr import XDetrGrounder

    real = XDetrGrounder.encode_photos

    def damaged(self: XDetrGrounder, photos: Any) -> Any:
        found = real(self, photos)
        for one in found:
            one.objects[:] = float("nan")
        return found

    monkeypatch.setattr(XDetrGrounder, "encode_photos", damaged)
    line = wrong("index", dataset, *ALL, "--out", tmp_path / "index")[1]
    assert "gives nothing but NaN or infinity" in line
    assert TOY in line


def test_a_damaged_index_is_told_in_one_line(index: Path, tmp_path: Path) -> None:
    shutil.copytree(index, tmp_path / "index")
    [first, *_] = sorted(tmp_path.glob("index/part-000001/photos-*.parquet"))
    first.write_bytes(first.read_bytes()[:100])
    assert "photos-000000.parquet: cannot be read" in wrong("query", tmp_path / "index", "a ball")[1]
    (tmp_path / "index/index.json").write_text("{")
    assert "is no index of this tool" in wrong("query", tmp_path / "index", "a ball")[1]
