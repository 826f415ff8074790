"""Import, decide in FiftyOne, export, apply: exactly what was decided changes."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from tests.pipelines.qa.shown import HEIGHT, WIDTH, key_of, record, write_shown
from tests.pipelines.review.test_apply_command import members
from tests.pipelines.tiny import Ended, files_of, records_of, run_cli
from xdetr_data.record import GroundedImage
from xdetr_data.reviewing.decisions import Decision, Reviewed, read_decisions, write_decisions
from xdetr_data.spans import span_text
from xdetr_data.storage import Folder

PHOTOS = 24


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shown(tmp_path_factory.mktemp("reviewed") / "out", PHOTOS)


@pytest.fixture
def shown(fo: Any, out: Path) -> Iterator[Any]:
    """The dataset, freshly imported, of which every test decides for itself."""
    name = f"r{uuid.uuid4().hex}"
    ended = run_cli("qa", str(out), "--no-app", f"--name={name}")
    assert ended.code == 0, ended.stderr
    yield fo.load_dataset(name)
    fo.delete_dataset(name)


def sample(fo: Any, shown: Any, number: int) -> Any:
    return shown.one(fo.ViewField("key") == key_of(number))


def export(shown: Any, to: Path, *args: str) -> Ended:
    shown.save()
    return run_cli("review", "export", f"--dataset={shown.name}", f"--out={to}", *args)


def apply(out: Path, review: Path, to: Path) -> Ended:
    return run_cli("review", "apply", str(out), f"--review={review}", f"--out={to}", "--workers=0")


def labels(one: GroundedImage) -> list[tuple[str, str, tuple[float, ...]]]:
    """Every phrase's box, as sentence, words and box."""
    return [
        (query.text, span_text(phrase.spans, query.text), one.regions[index].box_xyxy)
        for query in one.queries
        for phrase in query.phrases
        for index in phrase.regions
    ]


def test_nothing_decided_is_nothing_exported_and_nothing_changed(shown: Any, out: Path, tmp_path: Path) -> None:
    ended = export(shown, tmp_path / "review.parquet", "--json")
    assert json.loads(ended.stdout)["decisions"] == {}
    assert apply(out, tmp_path / "review.parquet", tmp_path / "new").code == 0
    before, after = files_of(out), files_of(tmp_path / "new")
    shards = [name for name in before if name.endswith((".tar", ".parquet"))]
    assert [name for name in shards if before[name] != after[name]] == []


def test_ten_labels_are_tagged_and_exactly_these_change(fo: Any, shown: Any, out: Path, tmp_path: Path) -> None:
    tagged = []
    for number in range(10):
        one = sample(fo, shown, number)
        label = one.phrases.detections[number % 3]
        label.tags.append("reject" if number % 2 else "wrong-box")
        tagged.append((one.key, label.query, label.label))
        one.save()
    untouched = files_of(out)
    ended = export(shown, tmp_path / "review.parquet", "--json")
    assert json.loads(ended.stdout)["decisions"] == {"reject": 5, "wrong-box": 5}
    assert apply(out, tmp_path / "review.parquet", tmp_path / "new").code == 0
    assert files_of(out) == untouched
    gone = [
        (before.key, *label[:2])
        for before, after in zip(records_of(out), records_of(tmp_path / "new"), strict=True)
        for label in labels(before)
        if label not in labels(after)
    ]
    added = [
        label
        for before, after in zip(records_of(out), records_of(tmp_path / "new"), strict=True)
        for label in labels(after)
        if label not in labels(before)
    ]
    assert sorted(gone) == sorted(tagged)
    assert added == []
    same = 0
    for path in sorted(out.glob("*.tar")):
        old, new = members(path), members(tmp_path / "new" / path.name)
        assert list(old) == list(new)
        changed = {name.partition(".")[0] for name in old if old[name] != new[name]}
        assert changed <= {key_of(number) for number in range(10)}
        same += len(old) - len(changed)
    assert same == 2 * PHOTOS - 10
    assert run_cli("validate", str(tmp_path / "new"), "--workers=0").code == 0


def test_edits_and_deletions_in_the_app_are_decisions(fo: Any, shown: Any, out: Path, tmp_path: Path) -> None:
    one = sample(fo, shown, 3)
    ball, *_ = one.phrases.detections
    ball.bounding_box = [10 / WIDTH, 6 / HEIGHT, 20 / WIDTH, 12 / HEIGHT]
    one.phrases.detections[1].label = "blue boxes"
    one.regions.detections.append(fo.Detection(label="drawn", bounding_box=[0, 0, 0.5, 0.5]))
    one.unboxed.classifications[0].tags.append(" Reject ")
    one.save()
    other = sample(fo, shown, 5)
    del other.regions.detections[0]
    other.save()
    assert export(shown, tmp_path / "review.parquet").code == 0
    _, decisions = read_decisions(Folder(str(tmp_path)), "review.parquet")
    assert [(one.key, one.place, one.action, one.label) for one in decisions] == [
        (key_of(3), "", "new-label", None),
        (key_of(3), "queries[0].phrases[0].regions[0]", "edit-box", None),
        (key_of(3), "queries[0].phrases[1].regions[1]", "edit-label", "blue boxes"),
        (key_of(3), "queries[1].phrases[1]", "reject", None),
        (key_of(5), "regions[3]", "reject", None),
    ]
    assert apply(out, tmp_path / "review.parquet", tmp_path / "new").code == 0
    after = {one.key: one for one in records_of(tmp_path / "new")}
    assert [(words, box) for _, words, box in labels(after[key_of(3)])] == [
        ("red ball", pytest.approx((10, 6, 30, 18))),
        ("two blue boxes", record(3).regions[2].box_xyxy),
        ("blue boxes", record(3).regions[1].box_xyxy),
        ("The ball", record(3).regions[0].box_xyxy),
    ]
    assert len(after[key_of(5)].regions) == 3


def test_rounding_of_a_box_on_its_way_is_no_edit_and_a_third_of_a_pixel_is(fo: Any, shown: Any, tmp_path: Path) -> None:
    import numpy as np

    for one in shown.iter_samples(autosave=True):
        for label in one.phrases.detections:
            label.bounding_box = [float(np.float32(side)) for side in label.bounding_box]
    one = sample(fo, shown, 2)
    one.phrases.detections[0].bounding_box[0] += 0.34 / WIDTH
    one.save()
    export(shown, tmp_path / "review.parquet")
    _, decisions = read_decisions(Folder(str(tmp_path)), "review.parquet")
    assert [(one.key, one.action) for one in decisions] == [(key_of(2), "edit-box")]


def test_the_same_decisions_are_the_same_bytes_and_a_photo_s_own_tag_decides_nothing(
    fo: Any, shown: Any, tmp_path: Path
) -> None:
    one = sample(fo, shown, 4)
    one.tags.append("reject")
    one.phrases.detections[1].tags.append("wrong_box")
    one.save()
    ended = export(shown, tmp_path / "a.parquet")
    assert "1 photos carry a reviewer's tag themselves, which decides nothing" in ended.stderr
    export(shown, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(read_decisions(Folder(str(tmp_path)), "a.parquet")[1]) == 1


def test_what_finds_a_label_again_cannot_be_edited(fo: Any, shown: Any) -> None:
    one = sample(fo, shown, 4)
    one.phrases.detections[0].place = "queries[9]"
    with pytest.raises(ValueError, match="read-only field"):
        one.save()
    one.reload(hard=True)


def test_a_dataset_that_is_none_of_ours_is_told(fo: Any, tmp_path: Path) -> None:
    args = ["review", "export", f"--out={tmp_path / 'review.parquet'}"]
    assert "FiftyOne has no dataset 'nobody'; it has:" in run_cli(*args, "--dataset=nobody").errors[0]
    fo.Dataset("somebody")
    assert "was not made by 'xdetr-data qa'" in run_cli(*args, "--dataset=somebody").errors[0]
    fo.delete_dataset("somebody")
    assert run_cli("review", "export", "--dataset=somebody", f"--out={tmp_path / 'review.csv'}").code == 2


def test_a_label_that_is_right_stays_as_it_is_and_is_counted(fo: Any, shown: Any, out: Path, tmp_path: Path) -> None:
    files = []
    for reviewer, tags in (("ada", ("right", "Right", "wrong box")), ("grace", ("right", "reject", "wrong-box"))):
        for number, tag in enumerate(tags):
            one = sample(fo, shown, number)
            one.phrases.detections[0].tags = [tag]
            one.save()
        files.append(tmp_path / f"{reviewer}.parquet")
        assert export(shown, files[-1], f"--reviewer={reviewer}").code == 0
    _, decisions = read_decisions(Folder(str(tmp_path)), "ada.parquet")
    assert {one.reviewer for one in decisions} == {"ada"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one.decided_at or "") for one in decisions)
    assert sorted(one.action for one in decisions) == ["right", "right", "wrong-box"]
    args = ["review", "summary", str(out), *(f"--review={path}" for path in files)]
    found = json.loads(run_cli(*args, "--json").stdout)
    assert found["precision"] | {"low": 0, "high": 0} == {
        "of": "all labels with a verdict", "right": 1, "labels": 2, "share": 0.5, "low": 0, "high": 0,
    }  # fmt: skip
    assert found["disputed"] == 1
    [pair] = found["agreement"]
    assert (pair["one"], pair["other"], pair["labels"]) == ("ada", "grace", 3)
    assert pair["kappa"] == pytest.approx(0.4)
    assert found["photos_seen"] == 3
    assert found["left"] == found["labels"] - 2
    ended = run_cli(*args)
    assert "50.0%" in ended.stderr + ended.stdout
    assert "right to as many reviewers" in ended.stderr
    only_right = tmp_path / "right.parquet"
    for number in range(3):
        one = sample(fo, shown, number)
        one.phrases.detections[0].tags = ["right"]
        one.save()
    assert export(shown, only_right).code == 0
    assert apply(out, only_right, tmp_path / "same").code == 0
    tars = {path.name: path.read_bytes() for path in out.glob("*.tar")}
    assert tars
    assert {path.name: path.read_bytes() for path in (tmp_path / "same").glob("*.tar")} == tars


def test_a_tag_that_is_no_verdict_is_named(fo: Any, shown: Any, tmp_path: Path) -> None:
    for number, tag in enumerate(("rejct", "look again", "Wrong_Box")):
        one = sample(fo, shown, number)
        one.phrases.detections[0].tags = [tag]
        one.save()
    ended = export(shown, tmp_path / "review.parquet")
    assert "1 labels have the tag 'rejct', which decides nothing; is reject meant?" in ended.stderr
    assert "'look again', which decides nothing; verdicts are right, reject, wrong-box" in ended.stderr
    assert "Wrong_Box" not in ended.stderr


def test_decisions_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    one = Decision(
        key="a", sample_sha256="0", query=0, phrase=0, region=0, action="reject", text="ball", reviewer="ada"
    )
    about = Reviewed(name="x", config_hash="h")
    write_decisions(Folder(str(tmp_path)), "new.parquet", about, [one])
    table = pq.read_table(tmp_path / "new.parquet").drop_columns(["reviewer", "decided_at"])
    pq.write_table(table, tmp_path / "old.parquet")
    assert read_decisions(Folder(str(tmp_path)), "old.parquet") == (about, [replace(one, reviewer="")])
    assert read_decisions(Folder(str(tmp_path)), "new.parquet") == (about, [one])


def test_decisions_are_found_in_a_database_that_counts_wrongly(
    fo: Any, shown: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash MongoDB's count of a collection may be anything, and FiftyOne believes it of a whole dataset."""
    one = sample(fo, shown, 3)
    one.phrases.detections[0].tags = ["reject"]
    one.save()
    shown.save()
    monkeypatch.setattr(type(shown), "_estimated_count", lambda *_, **__: 0)
    assert len(shown) == 0
    ended = run_cli("review", "export", f"--dataset={shown.name}", f"--out={tmp_path / 'review.parquet'}", "--json")
    assert json.loads(ended.stdout)["decisions"] == {"reject": 1}
