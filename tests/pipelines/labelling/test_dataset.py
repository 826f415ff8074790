"""``pseudo-label dataset``: what has no box gets one, all that is there stays, and a second run finds nothing to do."""

import json
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from pipelines.labelling.add_labels import label_record
from pipelines.labelling.options import LabelOptions
from tests.pipelines.labelling.checkpoints import save_toy
from tests.pipelines.labelling.spoken import differing, files_of
from tests.pipelines.tiny import Ended, World, manifest_of, records_of, reject_counts, run_cli, usual_args
from xdetr_data.accounting import Tally
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.schema import to_json
from xdetr_data.shards.grounded import AskedContrast, Candidate, GroundedPhoto, GroundedPhrase, GroundedQuery
from xdetr_data.toyworld.world import write_toyworld
from xdetr_data.vocabulary import has_vocabulary

BY = Provenance(source="people", annotation_id="7")
CAR, TREE, CROWD = (0.0, 0.0, 40.0, 40.0), (50.0, 50.0, 90.0, 90.0), (10.0, 50.0, 30.0, 90.0)
RECORD = GroundedImage(
    key="coco_000000000001",
    image=ImageRef(file_name="000000000001.jpg", source="coco", size_hw=(100, 100), sha256="0" * 64),
    regions=(Region(box_xyxy=CAR, provenance=BY), Region(box_xyxy=CROWD, is_crowd=True, provenance=BY)),
    queries=(
        Query(
            text="a car by a tree", group="g#1",
            phrases=(Phrase(spans=((0, 5),), regions=(0,), provenance=BY),
                     Phrase(spans=((9, 15),), regions=(), provenance=BY)),
        ),
        Query(
            text="dog", group="g#2", is_exhaustive=True,
            phrases=(Phrase(spans=((0, 3),), regions=(), provenance=BY),),
        ),
        Query(text="people", group="g#3", phrases=()),
    ),
)  # fmt: skip


def asked(begin: int, end: int, box: tuple[float, float, float, float]) -> GroundedPhrase:
    return GroundedPhrase(
        spans=((begin, end),), head="", is_plural=False, count=None, fit="whole",
        candidates=(Candidate(box_xyxy=box, score=0.5),),
    )  # fmt: skip


def test_phrases_get_boxes_and_everything_else_is_as_it_was() -> None:
    nearly = (0.0, 0.0, 40.0, 39.0)
    queries = (
        GroundedQuery(text="a car by a tree", group="w", phrases=(asked(9, 15, TREE),)),
        GroundedQuery(text="dog", group="w", phrases=()),
        GroundedQuery(text="people", group="w", phrases=(asked(0, 6, nearly), )),
    )  # fmt: skip
    photo = GroundedPhoto(
        key=RECORD.key, address="/a.tar", image=RECORD.image, queries=queries, boxes=(), record=to_json(RECORD).decode()
    )
    outcome = label_record(photo, LabelOptions(), ("grounder",))
    found = outcome.record
    assert found is not None
    assert (found.key, found.image, found.regions[:2]) == (RECORD.key, RECORD.image, RECORD.regions)
    assert [one.box_xyxy for one in found.regions[2:]] == [TREE]
    first, second, third = found.queries
    assert first.phrases[0] == RECORD.queries[0].phrases[0]
    assert (first.phrases[1].regions, first.phrases[1].provenance.source) == ((2,), "grounder")
    assert second == RECORD.queries[1]
    assert (third.text, third.group, third.phrases[0].regions) == ("people", "g#3", (0,))  # the same object


def test_a_phrase_without_a_label_stays_unboxed() -> None:
    queries = (
        GroundedQuery(text="a car by a tree", group="w", phrases=(asked(9, 15, TREE),)),
        GroundedQuery(text="dog", group="w", phrases=()),
        GroundedQuery(text="people", group="w", phrases=()),
    )
    photo = GroundedPhoto(
        key=RECORD.key, address="/a.tar", image=RECORD.image, queries=queries, boxes=(), record=to_json(RECORD).decode()
    )
    assert label_record(photo, LabelOptions(score_threshold=0.9), ("grounder",)).record == RECORD


def test_what_the_record_says_of_the_photo_is_not_declared_absent() -> None:
    record = replace(
        RECORD,
        queries=(
            Query(text="a red tree", group="g#1", phrases=(Phrase(spans=((0, 10),), regions=(), provenance=BY),)),
            Query(text="A blue tree", group="g#2", phrases=(Phrase(spans=((0, 11),), regions=(0,), provenance=BY),)),
        ),
    )
    contrasts = tuple(
        AskedContrast(text=text, candidates=(Candidate(box_xyxy=TREE, score=0.1),))
        for text in ("a blue tree", "a green tree")
    )
    queries = (
        GroundedQuery(text="a red tree", group="w", phrases=(replace(asked(0, 10, TREE), contrasts=contrasts),)),
        GroundedQuery(text="A blue tree", group="w", phrases=()),
    )
    photo = GroundedPhoto(
        key=RECORD.key, address="/a.tar", image=RECORD.image, queries=queries, boxes=(), record=to_json(record).decode()
    )
    found = label_record(photo, LabelOptions(absent_below=0.3), ("grounder",)).record
    assert found is not None
    assert [query.text for query in found.queries if query.is_exhaustive] == ["a green tree"]


@pytest.fixture(scope="module")
def ckpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    write_toyworld(folder, photos=60, seed=2)
    return folder


def label(dataset: Path, ckpt: Path, out: Path, *args: str) -> Ended:
    return run_cli("pseudo-label", "dataset", str(dataset), f"--ckpt={ckpt}", f"--out={out}", "--workers=0", *args)


def check(out: Path) -> None:
    Tally.from_builtins(manifest_of(out).accounting).check()
    validated = run_cli("validate", str(out), "--workers=0")
    assert validated.code == 0, validated.stderr


def test_captions_become_labels_and_a_second_run_finds_nothing_to_do(world: Path, ckpt: Path, tmp_path: Path) -> None:
    cc = world / "cc"
    built = run_cli("build", "captions", f"--images={cc}/*.tar", f"--tsv={cc}/train.tsv", f"--out={tmp_path}/cc",
                    "--workers=0")  # fmt: skip
    assert built.code == 0, built.stderr
    assert label(tmp_path / "cc", ckpt, tmp_path / "out", "--method=multi").code == 0
    check(tmp_path / "out")
    before, after = records_of(tmp_path / "cc"), records_of(tmp_path / "out")
    assert [one.image for one in after] == [one.image for one in before]
    assert [[query.text for query in one.queries] for one in after] == [[q.text for q in one.queries] for one in before]
    assert sum(len(query.phrases) for one in after for query in one.queries) > len(before)
    units = manifest_of(tmp_path / "out").accounting["units"]
    assert units["record"]["in"] == len(before)
    assert label(tmp_path / "out", ckpt, tmp_path / "again").code == 0
    assert records_of(tmp_path / "again") == after
    assert manifest_of(tmp_path / "again").accounting["units"]["phrase"]["in"] == 0
    chosen = ("--score-threshold=0.05", "--method=paper")
    assert run_cli("rethreshold", f"{tmp_path}/out", f"--out={tmp_path}/chosen", "--workers=0", *chosen).code == 0
    assert label(tmp_path / "cc", ckpt, tmp_path / "fresh", *chosen).code == 0
    assert differing(files_of(tmp_path / "chosen"), files_of(tmp_path / "fresh")) == []


def test_a_dataset_of_classes_keeps_vocabulary_and_absences(world: Path, ckpt: Path, tmp_path: Path) -> None:
    built = run_cli("build", "lvis", f"--annotations={world}/lvis/lvis_v1_train.json", "--workers=0",
                    f"--image-root=coco={world}/photos/coco", f"--out={tmp_path}/lvis")  # fmt: skip
    assert built.code == 0, built.stderr
    assert label(tmp_path / "lvis", ckpt, tmp_path / "out").code == 0
    check(tmp_path / "out")
    assert records_of(tmp_path / "out") == records_of(tmp_path / "lvis")
    assert has_vocabulary(manifest_of(tmp_path / "out"))


def test_datasets_that_cannot_be_labelled_are_one_line(ckpt: Path, tmp_path: Path) -> None:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    assert run_cli(*usual_args(tmp_path)[:-2], f"--out={tmp_path}/labels", "--workers=0", "--metadata-only").code == 0
    for dataset, says in ((tmp_path / "labels", "no photos to look at"), (tmp_path / "none", "has no manifest.json")):
        ended = label(dataset, ckpt, tmp_path / "new")
        assert ended.code == 1
        assert len(ended.errors) == 1
        assert says in ended.errors[0]
        assert not (tmp_path / "new").exists()
    shard = next((tmp_path / "out").glob("*.tar"))
    index = next((tmp_path / "out").glob("*.idx"))
    index.write_bytes(b"damaged")
    assert label(tmp_path / "out", ckpt, tmp_path / "new").code == 1
    index.unlink()
    shard.write_bytes(shard.read_bytes()[:2000])
    ended = label(tmp_path / "out", ckpt, tmp_path / "new")
    assert ended.code == 1
    assert len(ended.errors) == 1


def test_photos_are_left_out_by_the_lists_of_others(ckpt: Path, tmp_path: Path) -> None:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    (tmp_path / "held.txt").write_text("1\n")
    assert label(tmp_path / "out", ckpt, tmp_path / "new", f"--exclude=coco={tmp_path}/held.txt").code == 0
    check(tmp_path / "new")
    assert [one.key for one in records_of(tmp_path / "new")] == ["coco_000000000002"]
    assert reject_counts(tmp_path / "new") == {("photo", "excluded"): 1, ("record", "excluded"): 1}
    assert json.loads((tmp_path / "new/manifest.json").read_text())["exclusions"][0]["hits"] == {"coco": 1}
