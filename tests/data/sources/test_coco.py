"""COCO's instances: boxes without their polygons, and files that only look like instances."""

import json
from pathlib import Path
from typing import Any

import pytest

from xdetr_data.errors import InputError
from xdetr_data.sources.coco import CocoBox, parse_box, read_chunks
from xdetr_data.sources.framing.files import Unreadable

BOX = {
    "id": 5,
    "image_id": 9,
    "category_id": 1,
    "bbox": [1, 2.5, 3, 4],
    "area": 7.1,
    "iscrowd": 0,
    "segmentation": [[1]],
}


def data(record: object) -> bytes:
    return json.dumps(record).encode()


def test_a_box_keeps_its_id_its_photo_and_its_sides() -> None:
    assert parse_box(data(BOX)) == CocoBox(id=5, image_id=9, bbox=(1.0, 2.5, 3.0, 4.0), iscrowd=0)


@pytest.mark.parametrize("segmentation", [None, [], {"counts": [1, 2], "size": [3, 4]}, {"counts": "abc"}])
def test_polygons_and_run_lengths_are_not_looked_at(segmentation: Any) -> None:
    assert parse_box(data(BOX | {"segmentation": segmentation})) == parse_box(data(BOX))


def test_a_box_without_crowd_flag_is_no_crowd() -> None:
    box = parse_box(data({key: value for key, value in BOX.items() if key != "iscrowd"}))
    assert isinstance(box, CocoBox)
    assert not box.iscrowd


@pytest.mark.parametrize(
    "change", [{"bbox": [1, 2, 3]}, {"bbox": None}, {"image_id": 1.5}, {"id": 1.5}, {"iscrowd": "0"}]
)
def test_a_box_that_is_none_is_unreadable_and_says_where(change: dict[str, Any]) -> None:
    found = parse_box(data(BOX | change))
    assert isinstance(found, Unreadable)
    assert next(iter(change)) in found.problem


def test_only_annotations_are_read(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(data({"images": [{"id": 9}] * 3, "annotations": [BOX] * 2, "categories": [{"id": 1}]}))
    assert [(chunk.name, chunk.count) for chunk in read_chunks(str(path))] == [("annotations", 2)]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (BOX | {"tokens_positive": [[0, 1]]}, "this is an MDETR file; give it with --mdetr"),
        ({"id": 1, "image_id": 2, "caption": "a dog"}, "annotations have no 'bbox': this is no instances file"),
        ({"image_id": 2, "file_name": "2.png", "segments_info": []}, "annotations have no 'bbox'"),
    ],
)
def test_a_file_of_another_kind_is_refused(record: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(data({"annotations": [record]}))
    with pytest.raises(InputError, match=f"given.json: .*{says}"):
        list(read_chunks(str(path)))


@pytest.mark.parametrize("first", [None, 7, {}, []])
def test_a_damaged_first_record_is_that_records_problem_not_the_files(first: Any, tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(data({"annotations": [first, BOX]}))
    assert [chunk.count for chunk in read_chunks(str(path))] == [2]
