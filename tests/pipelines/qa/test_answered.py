"""What a search found, in FiftyOne."""

import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.search.answers import Answer, Answers, Found
from tests.pipelines.qa.shown import HEIGHT, WIDTH, key_of, write_shown
from tests.pipelines.tiny import run_cli


def write(path: Path, *queries: Found) -> Path:
    made = Answers(index="i", generation=1, fingerprint="f", where=None, is_exact=True, queries=list(queries))
    path.write_bytes(msgspec.json.encode(made))
    return path


def answer(rank: int, key: str) -> Answer:
    return Answer(
        rank=rank, score=1.0 / (rank + 1), key=key, object=rank, box_xyxy=(WIDTH / 4, 0, WIDTH / 2, HEIGHT),
        objectness=0.9, source="coco", file_name="x.jpg", height=HEIGHT, width=WIDTH,
    )  # fmt: skip


def test_answers_are_a_field_and_a_view_and_those_before_go(fo: Any, tmp_path: Path) -> None:
    name = f"t{uuid.uuid4().hex}"
    data = write_shown(tmp_path / "data", photos=4)
    first = write(
        tmp_path / "a.json",
        Found(
            kind="text", query="a red ball", answers=[answer(1, key_of(2)), answer(2, key_of(0)), answer(3, "other")]
        ),
        Found(kind="like", query=f"{key_of(2)}:1", answers=[answer(1, key_of(2))]),
    )
    second = write(tmp_path / "b.json", Found(kind="text", query="a lamp", answers=[answer(1, key_of(1))]))
    try:
        ended = run_cli("qa", str(data), "--no-app", f"--name={name}", f"--answers={first}")
        assert ended.code == 0, ended.stderr
        assert "3 answers in the field answers" in ended.stderr
        assert "1 photos with answers are not in this dataset" in ended.stderr
        dataset = fo.load_dataset(name)
        view = dataset.load_saved_view("answers")
        assert sorted(view.values("key")) == sorted([key_of(0), key_of(2)])
        boxes = view.match(fo.ViewField("key") == key_of(2)).first().answers.detections
        assert [(one.label, one.rank, one.confidence) for one in boxes] == [
            ("a red ball", 1, pytest.approx(0.5)), (f"{key_of(2)}:1", 1, pytest.approx(0.5)),
        ]  # fmt: skip
        assert boxes[0].bounding_box == pytest.approx([0.25, 0, 0.25, 1])
        again = run_cli("qa", str(data), "--no-app", f"--name={name}", f"--answers={second}")
        assert again.code == 0, again.stderr
        assert fo.load_dataset(name).load_saved_view("answers").values("key") == [key_of(1)]
    finally:
        if fo.dataset_exists(name):
            fo.delete_dataset(name)


def test_what_is_no_file_of_answers_is_one_line(tmp_path: Path) -> None:
    data = write_shown(tmp_path / "data", photos=2)
    (tmp_path / "x.json").write_text("[1]")
    for path in (tmp_path / "x.json", tmp_path / "none.json"):
        ended = run_cli("qa", str(data), "--no-app", f"--answers={path}")
        assert ended.code == 1
        assert len(ended.errors) == 1
        assert str(path) in ended.errors[0]
