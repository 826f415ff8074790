"""Attributes that siblings contradict, and absences: chosen from the trail, by the command and again without it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.labelling.label import label_photo
from pipelines.labelling.options import LabelOptions
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import differing, files_of
from tests.pipelines.tiny import Ended, jpeg, manifest_of, records_of, run_cli
from xdetr_data.accounting import Tally
from xdetr_data.record import ImageRef
from xdetr_data.shards.grounded import AskedContrast, Candidate, GroundedPhoto, GroundedPhrase, GroundedQuery

CAR, OTHER = (0.0, 0.0, 40.0, 40.0), (50.0, 50.0, 90.0, 90.0)


def seen(box: tuple[float, float, float, float], score: float, teacher: int = 0) -> Candidate:
    return Candidate(box_xyxy=box, score=score, teacher=teacher)


def photo(candidates: list[Candidate], **contrasts: list[Candidate]) -> GroundedPhoto:
    """A photo of which "red cars" are told; contrasts by their colour."""
    phrase = GroundedPhrase(
        spans=((0, 8),), head="car", is_plural=True, count=None, fit="whole", candidates=tuple(candidates),
        contrasts=tuple(AskedContrast(text=f"{name} cars", candidates=tuple(of)) for name, of in contrasts.items()),
    )  # fmt: skip
    query = GroundedQuery(text="red cars near a tree", group="narratives#L1", phrases=(phrase,))
    image = ImageRef(file_name="a.jpg", source="openimages", size_hw=(100, 100), sha256="0" * 64)
    return GroundedPhoto(key="openimages_a", address="/a.jpg", image=image, queries=(query,), boxes=())


def boxes(one: GroundedPhoto, teachers: tuple[str, ...] = ("grounder",), **rule: Any) -> list[Any]:
    record = label_photo(one, LabelOptions(method="multi", **rule), teachers).record
    assert record is not None
    return [record.regions[i].box_xyxy for phrase in record.queries[0].phrases for i in phrase.regions]


def test_a_box_that_fits_a_sibling_better_is_no_label() -> None:
    one = photo([seen(CAR, 0.7), seen(OTHER, 0.6)], blue=[seen(CAR, 0.3), seen(OTHER, 0.8)])
    assert boxes(one) == [CAR, OTHER]
    assert boxes(one, attribute_margin=0.0) == [CAR]
    assert boxes(one, attribute_margin=-0.3) == [CAR, OTHER]
    assert boxes(one, attribute_margin=0.5) == []


def test_a_phrase_that_loses_all_its_boxes_says_why_and_one_without_siblings_loses_none() -> None:
    one = photo([seen(CAR, 0.7)], blue=[seen(CAR, 0.9)])
    outcome = label_photo(one, LabelOptions(attribute_margin=0.0))
    assert [reject.reason for reject in outcome.rejects] == ["attribute-unsure"]
    assert boxes(photo([seen(CAR, 0.7)]), attribute_margin=0.9) == [CAR]
    assert boxes(photo([seen(CAR, 0.7)], blue=[]), attribute_margin=0.9) == [CAR]


def test_of_several_teachers_more_than_half_are_to_be_sure() -> None:
    both = [seen(CAR, 0.7), seen(CAR, 0.6, 1)]
    one_doubts = photo(both, blue=[seen(CAR, 0.9), seen(CAR, 0.2, 1)])
    none_doubts = photo(both, blue=[seen(CAR, 0.1), seen(CAR, 0.2, 1)])
    rule: dict[str, Any] = {"consensus": "any", "attribute_margin": 0.0}
    assert boxes(one_doubts, ("a", "b"), **rule) == []
    assert boxes(none_doubts, ("a", "b"), **rule) == [CAR]


def test_a_sibling_that_is_nowhere_is_absent_unless_somebody_says_it() -> None:
    one = photo([seen(CAR, 0.7)], blue=[seen(CAR, 0.1), seen(OTHER, 0.2)], green=[seen(CAR, 0.4)], black=[])
    outcome = label_photo(one, LabelOptions(absent_below=0.3))
    assert outcome.record is not None
    told, absent = outcome.record.queries
    assert (told.is_exhaustive, absent.is_exhaustive, absent.text) == (False, True, "blue cars")
    assert [(phrase.regions, phrase.score) for phrase in absent.phrases] == [((), 0.2)]
    assert outcome.notes["absences"] == 1
    assert label_photo(photo([seen(CAR, 0.7)], red=[seen(CAR, 0.1)]), LabelOptions(absent_below=0.3)).notes == {}


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    for number in range(3):
        (tmp_path / f"mine/{number}.jpg").write_bytes(jpeg(number))
        (tmp_path / f"mine/{number}.txt").write_text("A red ball near two small dogs.")
    return tmp_path / "mine"


def label(photos: Path, ckpt: Path, out: str, *args: str) -> Ended:
    return run_cli(
        "pseudo-label", "photos", str(photos), f"--ckpt={ckpt}", f"--out={photos.parent}/{out}", "--workers=0", *args
    )


def test_siblings_asked_once_serve_every_margin_and_bound(photos: Path, ckpt: Path, tmp_path: Path) -> None:
    chosen = ("--attribute-margin=0.001", "--absent-below=0.5")
    assert label(photos, ckpt, "plain").code == 0
    assert label(photos, ckpt, "asked", "--contrasts=3").code == 0
    assert records_of(tmp_path / "asked") == records_of(tmp_path / "plain")
    assert label(photos, ckpt, "fresh", "--contrasts=3", *chosen).code == 0
    again = run_cli("rethreshold", f"{tmp_path}/asked", f"--out={tmp_path}/again", "--workers=0", *chosen)
    assert again.code == 0, again.stderr
    assert differing(files_of(tmp_path / "again"), files_of(tmp_path / "fresh")) == []
    assert run_cli("validate", f"{tmp_path}/fresh", "--workers=0").code == 0
    manifest = manifest_of(tmp_path / "fresh")
    Tally.from_builtins(manifest.accounting).check()
    absent = [query for one in records_of(tmp_path / "fresh") for query in one.queries if query.is_exhaustive]
    assert manifest.accounting["notes"]["absences"] == len(absent) > 0
    assert {query.text for query in absent} <= {"A blue ball", "A green ball", "A yellow ball", "two big dogs"}


@pytest.mark.parametrize("option", ["--attribute-margin=0", "--absent-below=0.2"])
def test_what_needs_siblings_says_so(option: str, photos: Path, ckpt: Path, tmp_path: Path) -> None:
    ended = label(photos, ckpt, "out", option)
    assert ended.code == 2
    assert "label with --contrasts 4" in ended.errors[0]
    assert label(photos, ckpt, "out").code == 0
    again = run_cli("rethreshold", f"{tmp_path}/out", f"--out={tmp_path}/again", option)
    assert again.code == 2
    assert "label with --contrasts 4" in again.errors[0]
    assert label(photos, ckpt, "no", "--contrasts=-1").code == 2
    assert label(photos, ckpt, "no", option.split("=")[0] + "=nan", "--contrasts=2").code == 2


def test_a_class_that_scores_less_than_the_bound_is_absent(photos: Path, ckpt: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ball\ndog\n")
    args = (f"--classes={tmp_path}/classes.txt", "--score-threshold=0.9")
    assert label(photos, ckpt, "some", *args, "--absent-below=1").code == 0
    assert label(photos, ckpt, "none", *args, "--absent-below=-1").code == 0
    queries = [query for one in records_of(tmp_path / "some") for query in one.queries]
    assert {query.is_exhaustive for query in queries} == {True}
    assert not any(phrase.regions for query in queries for phrase in query.phrases)
    assert not any(query.is_exhaustive for one in records_of(tmp_path / "none") for query in one.queries)
    assert label(photos, ckpt, "bad", *args, "--contrasts=2").code == 2
