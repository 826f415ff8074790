"""``pseudo-label locnar --boxes`` with COCO's instances, through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.tiny import Ended, jpeg, manifest_of, records_of, reject_counts, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.record import Region

GOOD = {"id": 1, "image_id": 7, "bbox": [2, 3, 10, 12]}
CROWD = {"id": 2, "image_id": 7, "bbox": [0, 0, 20, 20], "iscrowd": 1}
BAD: list[dict[str, Any]] = [
    {"id": 3, "image_id": 7, "bbox": [2, 3, 0, 12]},
    {"id": 4, "image_id": 7, "bbox": [9000, 3, 10, 12]},
    {"id": 5, "image_id": 7, "bbox": "none"},
    {"id": 1, "image_id": 7, "bbox": [5, 5, 9, 9]},
    {"id": 6, "image_id": 99, "bbox": [5, 5, 9, 9]},
]


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_toy(tmp_path_factory.mktemp("toy"))


def label(folder: Path, ckpt: Path, document: dict[str, Any], *args: str) -> Ended:
    """A photo of COCO with a narrative, and a file of boxes."""
    (folder / "photos").mkdir()
    (folder / "photos" / "000000000007.jpg").write_bytes(jpeg(1))
    told = {"dataset_id": "mscoco_train2017", "image_id": "7", "annotator_id": 1, "caption": "There is a red ball."}
    (folder / "told.jsonl").write_text(json.dumps(told) + "\n")
    (folder / "instances.json").write_text(json.dumps(document))
    return run_cli(
        *("pseudo-label", "locnar", f"--ckpt={ckpt}", f"--narratives={folder}/told.jsonl", "--workers=0"),
        *(f"--images=coco={folder}/photos", f"--boxes={folder}/instances.json", f"--out={folder}/out", *args),
    )


def added(folder: Path) -> list[Region]:
    Tally.from_builtins(manifest_of(folder / "out").accounting).check()
    assert run_cli("validate", str(folder / "out"), "--workers=0").code == 0
    (record,) = records_of(folder / "out")
    return [one for one in record.regions if one.provenance.source == "instances"]


def document(*boxes: dict[str, Any]) -> dict[str, Any]:
    return {"images": [{"id": 7, "file_name": "000000000007.jpg"}], "annotations": list(boxes)}


def test_cocos_boxes_join_and_bad_ones_are_rejects(ckpt: Path, tmp_path: Path) -> None:
    ended = label(tmp_path, ckpt, document(GOOD, CROWD, *BAD), "--dedupe-iou=1")
    assert ended.code in (0, 3), ended.stderr
    found = [(one.box_xyxy, one.is_crowd, one.provenance.annotation_id) for one in added(tmp_path)]
    assert found == [((2.0, 3.0, 12.0, 15.0), False, "1"), ((0.0, 0.0, 20.0, 20.0), True, "2")]
    counts = {reason: number for (unit, reason), number in reject_counts(tmp_path / "out").items() if unit == "box"}
    assert counts == dict.fromkeys(
        ["degenerate-box", "box-outside-photo", "unreadable-box", "duplicate-annotation-id", "box-of-unknown-image"], 1
    )


def test_crowds_can_be_dropped(ckpt: Path, tmp_path: Path) -> None:
    assert label(tmp_path, ckpt, document(GOOD, CROWD), "--dedupe-iou=1", "--group-of=drop").code in (0, 3)
    assert [one.provenance.annotation_id for one in added(tmp_path)] == ["1"]
    assert reject_counts(tmp_path / "out")["box", "crowd-box"] == 1


def test_a_json_that_holds_no_boxes_is_one_line(ckpt: Path, tmp_path: Path) -> None:
    ended = label(tmp_path, ckpt, document({"id": 1, "image_id": 7, "caption": "A ball."}))
    assert (ended.code, len(ended.errors)) == (1, 1), ended.stderr
    assert "no 'bbox'" in ended.errors[0]
