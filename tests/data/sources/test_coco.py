"""COCO's instances: boxes without their polygons, and files that only look like instances."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from xdetr_data.errors import InputError
from xdetr_data.sources.coco import CocoBox, CocoInstances, parse_box, read_chunks
from xdetr_data.sources.coco_images import photos_of_images
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.protocol import Problem

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


def photos(tmp_path: Path, *images: dict[str, Any]) -> Mapping[str, str | Problem]:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    path.write_bytes(data({"images": images, "annotations": [BOX]}))
    found = photos_of_images(str(path))
    assert found is not None
    return found


def test_an_image_id_means_the_photo_that_its_file_name_says(tmp_path: Path) -> None:
    found = photos(
        tmp_path,
        {"id": 1, "file_name": "COCO_train2014_000000000025.jpg"},
        {"id": "0002", "file_name": "000000000001.jpg"},
        {"id": "a-7", "file_name": "cam1/ball.jpg"},
        {"id": 3, "coco_url": "http://images.cocodataset.org/train2017/000000391895.jpg"},
        {"id": 5, "file_name": "../x.jpg"},
        {"file_name": "without an id"},
    )
    assert isinstance(problem := found["5"], Problem)
    assert problem.reason == "unsafe-file-name"
    assert {key: value for key, value in found.items() if isinstance(value, str)} == {
        "1": "coco/25",
        "2": "coco/1",
        "a-7": "coco/cam1/ball",
        "3": "coco/391895",
    }


def test_ids_without_a_name_are_numbers_where_no_name_says_otherwise(tmp_path: Path) -> None:
    named = {"id": 9, "file_name": "COCO_train2014_000000000009.jpg"}
    assert photos(tmp_path, named, {"id": 4}) == {"9": "coco/9", "4": "coco/4"}
    counted = photos(tmp_path, named | {"id": 1}, {"id": 4}, {"id": 5, "file_name": ""})
    assert counted["1"] == "coco/9"
    for key in "45":
        assert isinstance(problem := counted[key], Problem)
        assert "has no file_name, and ids of this file are not the numbers" in problem.detail


def test_a_number_that_two_paths_have_is_no_photo(tmp_path: Path) -> None:
    cameras = [{"id": 7 + at, "file_name": f"cam{at}/0001.jpg"} for at in (1, 2)]
    found = photos(tmp_path, *cameras, {"id": 10, "file_name": "cam1/0002.jpg"})
    assert isinstance(found["8"], Problem)
    assert isinstance(found["9"], Problem)
    assert found["10"] == "coco/2"


def test_an_id_whose_name_is_that_of_the_image_of_this_number_means_no_photo(tmp_path: Path) -> None:
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (1, 2)]
    found = photos(tmp_path, images[0], images[1] | {"file_name": "000000000001.jpg"})
    assert found["1"] == "coco/1"
    assert isinstance(found["2"], Problem)
    counted = [{"id": number, "file_name": "000000000025.jpg"} for number in (1, 2)]  # one photo in two parts
    assert set(photos(tmp_path, *counted).values()) == {"coco/25"}


def test_images_that_cannot_be_read_leave_no_id_to_be_taken_for_a_number(tmp_path: Path) -> None:
    assert photos(tmp_path, {"id": 1.5, "file_name": "000000000025.jpg"}) == {}


def test_an_id_of_two_photos_means_none(tmp_path: Path) -> None:
    names = ["000000000001.jpg", "000000000002.jpg"]
    found = photos(tmp_path, *({"id": 7, "file_name": name} for name in names))["7"]
    assert isinstance(found, Problem)
    assert found.reason == "ambiguous-image-id"
    url = "http://x.org/train2017/000000000002.jpg"
    assert isinstance(photos(tmp_path, {"id": 7, "file_name": names[0], "coco_url": url})["7"], Problem)
    assert photos(tmp_path, {"id": 7, "coco_url": f"{url}?width=640"}) == {"7": "coco/2"}
    same = photos(tmp_path, {"id": 7, "file_name": names[1], "coco_url": url}, {"id": 7, "file_name": names[1]})
    assert same == {"7": "coco/2"}


def test_images_may_stand_behind_the_annotations_or_be_missing(tmp_path: Path) -> None:
    (tmp_path / "behind.json").write_bytes(data({"annotations": [BOX], "images": [{"id": 9, "file_name": "8.jpg"}]}))
    assert photos_of_images(str(tmp_path / "behind.json")) == {"9": "coco/8"}
    (tmp_path / "none.json").write_bytes(data({"annotations": [BOX]}))
    assert photos_of_images(str(tmp_path / "none.json")) is None
    (chunk,) = read_chunks(str(tmp_path / "none.json"))
    heads = CocoInstances(path=str(tmp_path / "none.json")).heads(chunk)
    assert heads.photo is not None
    assert heads.photo.to_pylist() == ["coco/9"]


def test_a_box_of_an_image_that_the_file_does_not_list_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    boxes = [BOX | {"image_id": one} for one in (1, "1", "01", 2, "two", 1.5)]
    path.write_bytes(data({"images": [{"id": 1, "file_name": "000000000025.jpg"}], "annotations": boxes}))
    (chunk,) = read_chunks(str(path))
    heads = CocoInstances(path=str(path)).heads(chunk)
    assert heads.photo is not None
    assert heads.photo.to_pylist() == ["coco/25"] * 3 + [None] * 3
    assert [heads.problems[row].reason for row in (3, 4, 5)] == ["box-of-unknown-image"] * 2 + ["unreadable-box"]
