"""An input that gives nothing to the dataset is told of: what its first element is, and what may help."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.tiny import World, coco_box, coco_name, jpeg, manifest_of, run_cli, usual_args


def _of_another_split(world: World) -> None:
    world.coco = json.dumps(
        {"images": [{"id": 77, "file_name": coco_name(77)}], "annotations": [coco_box(1, 77)]}
    ).encode()


def _of_ids_that_are_words(world: World) -> None:
    world.coco = json.dumps({"images": [], "annotations": [coco_box(1, 77, image_id="seventy")]}).encode()


def _of_no_element(world: World) -> None:
    world.coco = b'{"images": [], "annotations": []}'


def _whose_annotations_hang_on_nothing(world: World) -> None:
    for one in world.annotations:
        one["image_id"] += 1000


def _whose_boxes_are_all_bad(world: World) -> None:
    for one in world.boxes:
        one["bbox"] = [5000, 5000, 3, 3]


SILENT: dict[str, tuple[Callable[[World], None], str]] = {
    "of another split": (_of_another_split, "instances_train2014: none .*unit box .*coco/77.*of another split"),
    "ids that are words": (_of_ids_that_are_words, "instances_train2014: none .*unit box .*coco/seventy"),
    "no element": (_of_no_element, "instances_train2014: holds nothing"),
    "annotations of no paragraph": (
        _whose_annotations_hang_on_nothing,
        "final_mixed_train: none .*annotation.*hangs on no",
    ),
    "bad boxes": (_whose_boxes_are_all_bad, "instances_train2014: none .*unit box .*see rejects"),
}


@pytest.mark.parametrize("kind", SILENT)
def test_it_is_a_warning_an_entry_of_the_manifest_and_an_exit_code_where_wanted(kind: str, tmp_path: Path) -> None:
    change, says = SILENT[kind]
    world = World()
    change(world)
    world.write(tmp_path)
    ended = run_cli(*usual_args(tmp_path))
    assert ended.code == 0, ended.stderr
    (line,) = manifest_of(tmp_path / "out").warnings
    assert f"warning: {line}" in ended.stderr
    assert re.search(says, line), line
    assert run_cli(*usual_args(tmp_path), "--resume", "--strict").code == 3


def test_what_every_input_gave_is_in_the_manifest_and_nothing_is_said_of_it(tmp_path: Path) -> None:
    World().write(tmp_path)
    ended = run_cli(*usual_args(tmp_path), "--strict")
    assert ended.code == 0, ended.stderr
    manifest = manifest_of(tmp_path / "out")
    assert manifest.warnings == []
    assert manifest.accounting["inputs"] == {
        "final_mixed_train": {"annotation": 8, "paragraph": 4, "photo": 2},
        "instances_train2014": {"box": 4, "photo": 2},
    }


def test_what_a_limit_leaves_out_is_no_surprise(tmp_path: Path) -> None:
    world = World()
    world.boxes = [one for one in world.boxes if one["image_id"] == 2]
    world.write(tmp_path)
    assert run_cli(*usual_args(tmp_path), "--limit=1", "--strict").code == 0


def test_a_root_and_a_list_that_nothing_needs_count_too(tmp_path: Path) -> None:
    World().write(tmp_path)
    ended = run_cli(*usual_args(tmp_path), f"--image-root=vg={tmp_path}/photos", "--strict")
    assert ended.code == 3
    assert "--image-root vg=…: no input names a photo of vg" in ended.stderr
    (tmp_path / "none.txt").write_text("77\n")
    args = (*usual_args(tmp_path), "--overwrite", f"--exclude={tmp_path}/none.txt")
    assert run_cli(*args).code == 0
    ended = run_cli(*args, "--strict")
    assert ended.code == 3
    assert "(1 ids; looked for 1 in coco): no photo" in ended.stderr


def test_of_several_roots_one_without_a_photo_is_told(tmp_path: Path) -> None:
    World().write(tmp_path)
    (tmp_path / "more").mkdir()
    ended = run_cli(*usual_args(tmp_path), f"--image-root=coco={tmp_path}/more", "--strict")
    assert ended.code == 3
    (line,) = manifest_of(tmp_path / "out").warnings
    assert line == f"--image-root coco={tmp_path}/more: no photo of the dataset is below it; is it the right one?"
    (tmp_path / "more" / coco_name(2)).write_bytes((tmp_path / "photos" / coco_name(2)).read_bytes())
    (tmp_path / "photos" / coco_name(2)).unlink()
    both = (*usual_args(tmp_path), "--overwrite", f"--image-root=coco={tmp_path}/more", "--strict")
    assert run_cli(*both).code == 0
    assert run_cli(*both, "--limit=1").code == 0


def test_files_that_may_be_masks_or_photos_of_others_are_told(tmp_path: Path) -> None:
    world = World()
    mask = jpeg(1, mode="P", format="PNG")
    world.photos = {coco_name(1).replace(".jpg", ".png"): mask, "2.jpg": world.photos[coco_name(2)]}
    world.write(tmp_path)
    assert run_cli(*usual_args(tmp_path), "--strict").code == 3
    masks, others = manifest_of(tmp_path / "out").warnings
    assert masks.startswith("1 photos that the inputs call JPEGs are PNGs, as ")
    assert masks.endswith("COCO_train2014_000000000001.png; are they masks?")
    assert others.startswith("1 photos of coco have bare numbers for names, as ")
    assert others.endswith("/2.jpg; are they of another collection?")


def test_a_run_that_excludes_coco_photos_speaks_of_visual_genomes_copies_of_them(tmp_path: Path) -> None:
    world = World()
    world.photos["vg/7.jpg"] = world.photos[coco_name(1)]
    world.images.append(world.images[0] | {"id": 70, "file_name": "7.jpg", "data_source": "vg"})
    world.write(tmp_path)
    (tmp_path / "refs.p").write_bytes(pickle.dumps([{"image_id": 1, "split": "val"}]))
    (tmp_path / "image_data.json").write_text(json.dumps([{"image_id": 7, "coco_id": 1}]))
    args = (*usual_args(tmp_path), f"--image-root=vg={tmp_path}/photos/vg", f"--exclude={tmp_path}/refs.p")
    ended = run_cli(*args)
    assert "give Visual Genome's image_data.json with --exclude" in ended.stderr
    assert manifest_of(tmp_path / "out").rows == 2
    ended = run_cli(*args, f"--exclude={tmp_path}/image_data.json", "--overwrite")
    assert "Visual Genome" not in ended.stderr
    assert manifest_of(tmp_path / "out").rows == 1


def test_a_run_without_any_photo_names_the_first_that_was_lost(tmp_path: Path) -> None:
    world = World()
    for one in world.images:
        one.pop("data_source")
        one["file_name"], one["dataset_name"] = "x.jpg", "mine"
    world.write(tmp_path)
    ended = run_cli(*usual_args(tmp_path))
    assert ended.code == 1
    assert "first final_mixed_train#images[0]: data_source None, dataset_name 'mine' tell" in ended.errors[0]
    assert '"data_source": "coco"' in ended.errors[0]
