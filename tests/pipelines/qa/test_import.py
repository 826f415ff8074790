"""``qa`` on a real database: every label arrives with what finds it again; nothing is there twice or lost."""

import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import ExifTags, Image

from pipelines.qa.views import LARGEST, LOW_CONFIDENCE, MANY_BOXES, NAMES, NO_BOX, SMALLEST, TRACE_DISAGREES
from tests.pipelines.qa import shown
from tests.pipelines.qa.shown import BOXES, HEIGHT, WIDTH, key_of, photo, write_shown
from tests.pipelines.tiny import Ended, files_of, run_cli
from xdetr_data.photos.photo import Photo, check_photo
from xdetr_data.record import GroundedImage

PHOTOS = 24


@pytest.fixture
def name(fo: Any) -> Iterator[str]:
    """A name that no other test uses; its dataset goes when the test ends."""
    title = f"t{uuid.uuid4().hex}"
    yield title
    if fo.dataset_exists(title):
        fo.delete_dataset(title)


def qa(out: Path, name: str, *args: str) -> Ended:
    return run_cli("qa", str(out), "--no-app", f"--name={name}", *args)


def imported(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return {key: value for key, value in result.items() if key != "name" and value}


def test_every_label_is_there_with_its_sentence_and_where_it_comes_from(fo: Any, name: str, tmp_path: Path) -> None:
    out = write_shown(tmp_path / "out")
    before = files_of(out)
    assert imported(qa(out, name, "--json")) == {"photos": PHOTOS, "added": PHOTOS}
    dataset = fo.load_dataset(name)
    assert dataset.persistent
    assert len(dataset) == PHOTOS
    sample = dataset.one(fo.ViewField("key") == key_of(4))
    assert sample.tags == ["coco", "train"]
    assert Path(sample.filepath).read_bytes() == photo(4).data
    labels = {one.place: one for one in sample.phrases.detections}
    assert sorted((place, one.label) for place, one in labels.items()) == [
        ("queries[0].phrases[0].regions[0]", "red ball"),
        ("queries[0].phrases[0].regions[3]", "red ball"),
        ("queries[0].phrases[1].regions[1]", "two blue boxes"),
        ("queries[0].phrases[1].regions[2]", "two blue boxes"),
        ("queries[1].phrases[0].regions[0]", "The ball"),
    ]
    ball = labels["queries[0].phrases[0].regions[0]"]
    assert (ball.query, ball.span, ball.source) == ("A red ball and two blue boxes.", "2-10", "grounder")
    assert ball.confidence == pytest.approx(0.41)
    assert ball.agreement == pytest.approx(0.44)
    x0, y0, x1, y1 = BOXES[0]
    assert ball.bounding_box == pytest.approx([x0 / WIDTH, y0 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT])
    assert [(one.label, one.place) for one in sample.unboxed.classifications] == [("a lamp", "queries[1].phrases[1]")]
    people = dataset.one(fo.ViewField("key") == key_of(1))
    assert [one.confidence for one in people.phrases.detections] == [None] * 4
    assert [one.place for one in people.regions.detections] == ["regions[3]"]
    assert files_of(out) == before


def test_a_photo_that_viewers_turn_arrives_as_its_boxes_lie(
    fo: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "photo", turned)
    out = write_shown(tmp_path / "out", photos=3, shards=1)
    assert imported(qa(out, name, "--json"))["added"] == 3
    files = [Path(path) for path in fo.load_dataset(name).values("filepath")]
    sizes = fo.load_dataset(name).values("metadata.size_bytes")
    for path, size in zip(files, sizes, strict=True):
        metadata = fo.ImageMetadata.build_for(str(path))
        assert (metadata.width, metadata.height) == (WIDTH, HEIGHT)
        assert path.stat().st_size == size
        path.write_bytes(turned(0).data)  # as versions before this one left it
    assert imported(qa(out, name, "--json")) == {"photos": 3, "unchanged": 3}
    assert [path.stat().st_size for path in files] == sizes
    assert b"Exif" not in files[0].read_bytes()
    tar = next(out.glob("*.tar")).read_bytes()
    assert all(turned(number).data in tar for number in range(3))


def turned(number: int) -> Photo:
    """The photo with an orientation of 90 degrees."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    sink = io.BytesIO()
    Image.open(io.BytesIO(photo(number).data)).save(sink, "JPEG", exif=exif)
    found = check_photo(sink.getvalue(), str(number))
    assert isinstance(found, Photo)
    return found


def test_the_saved_views_show_what_they_are_called(fo: Any, name: str, tmp_path: Path) -> None:
    qa(write_shown(tmp_path / "out"), name)
    dataset = fo.load_dataset(name)
    assert dataset.list_saved_views() == list(NAMES)

    def labels(view: str, field: str = "label") -> list[Any]:
        return list(dataset.load_saved_view(view).values(f"phrases.detections.{field}", unwind=True))

    assert len(dataset.load_saved_view(NO_BOX)) == PHOTOS
    assert {one and round(one, 4) for one in labels(LOW_CONFIDENCE, "confidence")} == {0.05}
    assert {one and round(one, 4) for one in labels(TRACE_DISAGREES, "agreement")} == {0.04}
    assert set(labels(SMALLEST)) <= {"red ball", "The ball"}
    assert set(labels(LARGEST)) == {"red ball"}
    assert labels(MANY_BOXES) == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("a dog", True), ("One of the dogs", True), ("a few dogs", False), ("two dogs", False), ("dogs", False),
     ("a pair of dogs", False), ("a group of people", False), ("the dog", False), ("another red dog", True)],
)  # fmt: skip
def test_only_words_that_say_so_are_singular(text: str, is_one: bool) -> None:
    from pipelines.qa.reading import says_one

    assert says_one(text) is is_one


def test_many_boxes_of_a_singular_phrase_are_shown(fo: Any, name: str, tmp_path: Path) -> None:
    def longer(record: GroundedImage) -> GroundedImage:
        query = record.queries[0]
        ball = replace(query.phrases[0], spans=((0, 10),))
        return replace(record, queries=(replace(query, phrases=(ball, *query.phrases[1:])), *record.queries[1:]))

    qa(write_shown(tmp_path / "out", photos=10, change=longer), name)
    view = fo.load_dataset(name).load_saved_view(MANY_BOXES)
    assert sorted(view.values("key")) == [key_of(4), key_of(9)]
    assert set(view.values("phrases.detections.label", unwind=True)) == {"A red ball"}


def test_a_second_call_refreshes_and_doubles_nothing(fo: Any, name: str, tmp_path: Path) -> None:
    out = write_shown(tmp_path / "out")
    qa(out, name)
    assert imported(qa(out, name, "--json")) == {"photos": PHOTOS, "unchanged": PHOTOS}
    assert imported(qa(out, name, "--sample=7", "--json")) == {"photos": 7, "unchanged": 7, "removed": PHOTOS - 7}
    seven = set(fo.load_dataset(name).values("key"))
    assert imported(qa(out, name, "--sample=12", "--json")) == {"photos": 12, "unchanged": 7, "added": 5}
    assert seven < set(fo.load_dataset(name).values("key"))
    assert imported(qa(out, name, "--where=source=vg", "--json"))["photos"] == PHOTOS / 2
    assert fo.load_dataset(name).count_sample_tags() == {"vg": PHOTOS / 2, "train": PHOTOS / 2}


def tag(fo: Any, name: str, number: int, label: str = "reject") -> None:
    sample = fo.load_dataset(name).one(fo.ViewField("key") == key_of(number))
    sample.phrases.detections[0].tags.append(label)
    sample.save()


def change_of(number: int) -> Any:
    def change(record: GroundedImage) -> GroundedImage:
        return replace(record, queries=record.queries[:1]) if record.key == key_of(number) else record

    return change


def test_decisions_survive_a_refresh_and_a_smaller_sample(fo: Any, name: str, tmp_path: Path) -> None:
    out = write_shown(tmp_path / "out")
    qa(out, name)
    tag(fo, name, 2)
    tag(fo, name, 3)
    assert imported(qa(out, name, "--json"))["unchanged"] == PHOTOS
    result = imported(qa(out, name, "--where=source=vg", "--json"))
    assert (result["photos"], result["kept"], result["removed"]) == (13, 1, 11)
    assert fo.load_dataset(name).count_label_tags() == {"reject": 2}


def test_labels_that_changed_are_imported_anew_unless_somebody_decided_about_them(
    fo: Any, name: str, tmp_path: Path
) -> None:
    qa(write_shown(tmp_path / "out"), name)
    write_shown(tmp_path / "out", change=change_of(2))
    result = imported(qa(tmp_path / "out", name, "--json"))
    assert (result["refreshed"], result["unchanged"]) == (1, PHOTOS - 1)
    tag(fo, name, 2)
    write_shown(tmp_path / "out")
    ended = qa(tmp_path / "out", name)
    assert ended.code != 0
    (line,) = ended.errors
    assert f"holds decisions about 1 photos (as {key_of(2)}), and their labels are other ones now" in line
    assert f"xdetr-data review export --dataset {name}" in line
    assert fo.load_dataset(name).count_label_tags() == {"reject": 1}
    result = imported(qa(tmp_path / "out", name, "--discard-review", "--json"))
    assert (result["photos"], result["refreshed"]) == (PHOTOS, 1)
    assert fo.load_dataset(name).count_label_tags() == {}


def test_decisions_about_a_dataset_that_was_made_anew_are_not_taken_for_the_new_one(
    fo: Any, name: str, tmp_path: Path
) -> None:
    qa(write_shown(tmp_path / "out"), name)
    tag(fo, name, 2)
    write_shown(tmp_path / "out", config_hash="6" * 64)
    (line,) = qa(tmp_path / "out", name).errors
    assert "was made anew since" in line
    assert imported(qa(tmp_path / "out", name, "--discard-review", "--json"))["unchanged"] == PHOTOS - 1


def test_a_name_belongs_to_one_dataset(fo: Any, name: str, tmp_path: Path) -> None:
    qa(write_shown(tmp_path / "out", photos=2), name)
    (line,) = qa(write_shown(tmp_path / "other", photos=2), name).errors
    assert "shows" in line
    assert "choose another --name" in line
    fo.Dataset(f"{name}-own").add_sample(fo.Sample(filepath="a.jpg"))
    (line,) = qa(tmp_path / "other", f"{name}-own").errors
    assert "is no dataset of this tool" in line
    assert len(fo.load_dataset(f"{name}-own")) == 1
    fo.delete_dataset(f"{name}-own")


def test_photos_are_written_under_safe_names_below_their_own_folder(
    fo: Any, name: str, fiftyone_home: Path, tmp_path: Path
) -> None:
    qa(write_shown(tmp_path / "out", photos=3), name)
    folder = fiftyone_home / "datasets" / "xdetr" / name
    paths = {Path(one) for one in fo.load_dataset(name).values("filepath")}
    assert {path.parent for path in paths} == {folder}
    assert set(folder.iterdir()) == paths
    assert sorted(path.name.partition("-")[0] for path in paths) == ["shown=2F0000", "shown_0001", "shown_0002"]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--where=source=nowhere"], "no photo fits --where"),
        (["--where=nonsense"], "is no condition"),
        (["--name=../x"], "--name '../x': letters"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(
    args: list[str], problem: str, fo: Any, name: str, tmp_path: Path
) -> None:
    ended = qa(write_shown(tmp_path / "out", photos=2), name, *args)
    assert ended.code != 0
    assert problem in ended.errors[0]
    assert not fo.dataset_exists(name)


def test_labels_without_photos_cannot_be_looked_at(fo: Any, name: str, tmp_path: Path) -> None:
    ended = qa(write_shown(tmp_path / "out", photos=2, labels_only=True), name)
    assert "holds labels without photos" in ended.errors[0]
    assert not fo.dataset_exists(name)


def test_a_missing_dataset_is_told_before_fiftyone_starts(tmp_path: Path) -> None:
    ended = run_cli("qa", str(tmp_path / "nothing"))
    assert "has no manifest.json" in ended.errors[0]
