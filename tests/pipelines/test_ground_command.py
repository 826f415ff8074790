"""``xdetr-data ground``, with the bundled checkpoint on photos of a toy world."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.pipelines.tiny import Ended, run_cli
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.toyworld.truth import PhotoTruth, read_truth


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "world"
    ended = run_cli("toyworld", "--photos", "60", "--seed", "7", "--workers", "0", "--out", str(folder))
    assert ended.code == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def folder(world: Path) -> Path:
    return next(path for path in (world / "photos").iterdir() if any(path.rglob("*.jpg")))


@pytest.fixture(scope="module")
def photo(folder: Path) -> str:
    return str(next(iter(sorted(folder.rglob("*.jpg")))))


def found(*args: str) -> list[dict[str, Any]]:
    ended = run_cli("ground", *args, "--json")
    assert ended.code == 0, ended.stderr
    photos: list[dict[str, Any]] = json.loads(ended.stdout)["photos"]
    return photos


def line(ended: Ended) -> str:
    [error] = ended.errors
    return error


def truths(world: Path) -> dict[str, PhotoTruth]:
    """Truths by the last part of their photos' names."""
    every = [one for path in sorted((world / "truth").glob("*.jsonl")) for one in read_truth(path)]
    return {one.file_name.rpartition("/")[2]: one for one in every}


def test_most_phrases_of_a_world_get_the_box_of_their_object(world: Path) -> None:
    right = asked = 0
    files = {path.name: path for path in (world / "photos").rglob("*.jpg")}
    for name, truth in list(truths(world).items())[:12]:
        phrases = {
            text.text[begin:end]: truth.boxes_xyxy(one)
            for text in truth.texts
            for one in text.phrases
            for begin, end in [one.span]
            if len(truth.boxes_xyxy(one)) == 1
        }
        if not phrases or name not in files:
            continue
        [photo] = found(str(files[name]), *list(phrases)[:4], "--boxes", "1")
        for answer in photo["phrases"]:
            asked += 1
            overlaps = iou_matrix_xyxy(answer["boxes_xyxy"], np.array(phrases[answer["phrase"]]))
            right += bool((overlaps >= 0.5).any())
    assert asked >= 10
    assert right / asked > 0.6


def test_words_say_how_many_boxes_a_phrase_may_have(photo: str) -> None:
    [one] = found(photo, "the circle", "two circles", "three squares")
    counts = [len(answer["boxes_xyxy"]) for answer in one["phrases"]]
    assert counts[0] == 1
    assert 1 <= counts[1] <= 2
    assert 1 <= counts[2] <= 3
    [one] = found(photo, "three squares", "--boxes", "1")
    assert len(one["phrases"][0]["boxes_xyxy"]) == 1


def test_a_threshold_that_nothing_reaches_leaves_a_reason(photo: str) -> None:
    [one] = found(photo, "the circle", "--score-threshold", "2")
    assert one["phrases"][0] == {
        "phrase": "the circle", "boxes_xyxy": [], "scores": [], "reason": "below-threshold",
    }  # fmt: skip


def test_boxes_lie_on_the_photo_and_scores_fall(photo: str) -> None:
    [one] = found(photo, "shapes")
    [answer] = one["phrases"]
    boxes = np.array(answer["boxes_xyxy"])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [one["width"], one["height"]]).all()
    assert answer["scores"] == sorted(answer["scores"], reverse=True)


def test_a_picture_is_drawn_and_the_table_says_the_boxes(photo: str, tmp_path: Path) -> None:
    ended = run_cli("ground", photo, "the circle", "--out", str(tmp_path / "x.png"))
    assert ended.code == 0, ended.stderr
    assert "the circle" in ended.stderr
    assert "knows the drawn shapes" in ended.stderr
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] == 1400


def test_a_folder_gives_every_photo_and_counts_the_unreadable(photo: str, tmp_path: Path) -> None:
    inputs = tmp_path / "mine" / "deep"
    inputs.mkdir(parents=True)
    (inputs / "a.jpg").write_bytes(Path(photo).read_bytes())
    (inputs / "b.JPG").write_bytes(b"no photo")
    (inputs / "notes.txt").write_text("not a photo, by its name")
    ended = run_cli("ground", str(tmp_path / "mine"), "the circle", "--out", str(tmp_path / "drawn"), "--json")
    assert ended.code == 0, ended.stderr
    assert [one["photo"] for one in json.loads(ended.stdout)["photos"]] == ["deep/a.jpg"]
    assert "unreadable-photo" in ended.stderr
    assert "2 photos: 1 grounded, 1 unreadable" in ended.stderr
    assert (tmp_path / "drawn" / "deep" / "a.jpg.png").is_file()


def test_what_cannot_be_done_is_one_line(photo: str, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    (tmp_path / "empty").mkdir()
    for args, code, words in [
        ((str(tmp_path / "none.jpg"), "a circle"), 1, "missing-photo"),
        ((str(tmp_path / "text.jpg"), "a circle"), 1, "unreadable-photo"),
        ((str(tmp_path / "empty"), "a circle"), 1, "no photo below this folder"),
        ((photo, "a circle", "--out", str(tmp_path / "x.gif")), 2, "must end in .png"),
        ((photo, " "), 2, "a phrase is empty"),
        ((photo,), 2, "PHRASE"),
        ((photo, "a circle", "--ckpt", str(tmp_path / "empty")), 1, "--ckpt"),
    ]:
        ended = run_cli("ground", *args)
        assert ended.code == code, (args, ended.stderr)
        assert words in line(ended)
