"""Exports as their own readers read them: COCO's and LVIS's tools, YOLO's text, GRIT's chunks, conversations."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.exchange import exchangeable, one_a_photo
from tests.pipelines.exporting.test_odvg import FIXTURES, write_dataset
from tests.pipelines.tiny import World, manifest_of, records_of, run_cli, usual_args
from xdetr_data.exports.formats import CHAT_QWEN, CHAT_SHAREGPT, COCO, FORMATS, GRIT, YOLO
from xdetr_data.exports.project import project
from xdetr_data.record import GroundedImage, ImageRef, Phrase, Provenance, Query, Region
from xdetr_data.vocabulary import vocabulary_of


@pytest.fixture
def world(tmp_path: Path) -> Path:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    return tmp_path


def export(world: Path, to: str, *more: str) -> Path:
    ended = run_cli("export", f"{world}/out", f"--to={to}", f"--out={world}/{to}", "--overwrite", *more)
    assert ended.code == 0, ended.stderr
    return world / to


def named(records: list[GroundedImage]) -> list[tuple[str, str, tuple[float, ...]]]:
    """File name, words and box of every region that a phrase names."""
    return sorted(
        (one.image.file_name, query.text, one.regions[index].box_xyxy)
        for one in records
        for query in one.queries
        for phrase in query.phrases
        for index in phrase.regions
    )


def test_pycocotools_reads_what_the_projection_holds(world: Path) -> None:
    from pycocotools.coco import COCO as Reader

    with contextlib.redirect_stdout(io.StringIO()):
        read = Reader(str(export(world, "coco") / "instances.json"))
    held = [one for record in records_of(world / "out") if (one := project(record, COCO)[0]) is not None]
    assert {one["id"] for one in read.imgs.values()} == {1, 2}
    found = sorted(
        (
            read.imgs[one["image_id"]]["file_name"],
            read.cats[one["category_id"]]["name"],
            (x, y, min(x + w, read.imgs[one["image_id"]]["width"]), min(y + h, read.imgs[one["image_id"]]["height"])),
        )
        for one in read.anns.values()
        for x, y, w, h in [one["bbox"]]
    )
    assert found == named(held)
    assert len(read.anns) == len({one["id"] for one in read.anns.values()})


@settings(max_examples=20)
@given(st.lists(exchangeable(), min_size=1, max_size=3))
def test_any_records_are_coco_with_the_boxes_that_are_declared(drawn: list[GroundedImage]) -> None:
    from tempfile import TemporaryDirectory

    records = one_a_photo(drawn)
    held = [one for record in records if (one := project(record, COCO)[0]) is not None]
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "out", records)
        data = json.loads((export(Path(folder), "coco") / "instances.json").read_bytes())
        account = json.loads((Path(folder) / "coco" / "export.json").read_bytes())
    assert len(data["images"]) == len(held) == account["photos_out"]
    assert len(data["annotations"]) == len(named(held)) == account["lines"]
    assert sum(one["iscrowd"] for one in data["annotations"]) == sum(
        record.regions[index].is_crowd
        for record in held for query in record.queries for phrase in query.phrases for index in phrase.regions
    )  # fmt: skip


@pytest.mark.skipif(not FIXTURES, reason="needs the real files: set XDETR_FIXTURES")
def test_lvis_reads_a_dataset_of_classes_with_its_absences(tmp_path: Path) -> None:
    lvis = pytest.importorskip("lvis", reason="lvis is not installed: run make setup")
    source = Path(FIXTURES, "lvis/lvis_val_10.json")
    built = run_cli(
        "build", "lvis", f"--annotations={source}", "--metadata-only", "--workers=0", f"--out={tmp_path}/out"
    )
    assert built.code == 0, built.stderr
    read = lvis.LVIS(str(export(tmp_path, "coco") / "instances.json"))
    theirs = json.loads(source.read_bytes())
    by_id = {one["id"]: one for one in theirs["images"]}
    for image in read.imgs.values():
        original = by_id[int(Path(image["file_name"]).stem.rpartition("_")[2])]
        absent = {read.cats[one]["name"] for one in image["neg_category_ids"]}
        assert len(absent) == len(original["neg_category_ids"])
        unsure = {read.cats[one]["name"] for one in image["not_exhaustive_category_ids"]}
        assert len(unsure) == len(original["not_exhaustive_category_ids"])
    texts = {one.text for one in vocabulary_of(manifest_of(tmp_path / "out"))}  # two classes may be called the same
    assert {one["name"] for one in read.cats.values()} == texts
    assert len(read.anns) > 0.9 * len(theirs["annotations"])


def test_yolos_lines_give_the_boxes_back(world: Path) -> None:
    folder = export(world, "yolo")
    names = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    held = [one for record in records_of(world / "out") if (one := project(record, YOLO)[0]) is not None]
    found = []
    for record in held:
        height, width = record.image.size_hw
        stem = Path(record.image.file_name).stem
        for line in (folder / "coco" / "labels" / f"{stem}.txt").read_text().splitlines():
            number, x, y, w, h = (float(one) for one in line.split())
            box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            found.append((record.image.file_name, names[int(number)], box))
    assert [one[:2] for one in sorted(found)] == [one[:2] for one in named(held)]
    for ours, theirs in zip(sorted(found), named(held), strict=True):
        assert ours[2] == pytest.approx(theirs[2], abs=1e-9)


def test_two_photos_of_one_yolo_name_are_not_one_file(tmp_path: Path) -> None:
    image = ImageRef(file_name="a.jpg", source="shop", size_hw=(48, 64))
    region = Region(box_xyxy=(1, 1, 9, 9), provenance=Provenance(source="x"))
    phrase = Phrase(spans=((0, 3),), regions=(0,), provenance=Provenance(source="x"))
    query = Query(text="dog", group="", phrases=(phrase,))
    first = GroundedImage(key="shop_a", image=image, regions=(region,), queries=(query,))
    second = replace(first, key="shop_b", image=replace(image, file_name="a.png"))
    write_dataset(tmp_path / "out", [first, second])
    ended = run_cli("export", f"{tmp_path}/out", "--to=yolo", f"--out={tmp_path}/yolo")
    assert ended.code == 1
    assert "another photo of shop is called a, too" in ended.errors[0]


def test_grits_chunks_are_characters_of_the_caption(world: Path) -> None:
    lines = [json.loads(line) for line in (export(world, "grit") / "annotations/coco.jsonl").read_text().splitlines()]
    held = [one for record in records_of(world / "out") if (one := project(record, GRIT)[0]) is not None]
    assert len(lines) == sum(len(one.queries) for one in held)
    for line in lines:
        for begin, end, x0, y0, x1, y1, score in line["noun_chunks"]:
            assert line["caption"][begin:end].strip()
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert score == 1
        assert all([0, len(line["caption"])] == one[:2] for one in line["ref_exps"])


@pytest.mark.parametrize("style", ["qwen", "sharegpt"])
def test_a_conversation_names_every_phrase_with_its_boxes(style: str, world: Path) -> None:
    folder = export(world, "chat", f"--style={style}")
    lines = [json.loads(line) for line in (folder / "annotations/coco.jsonl").read_text().splitlines()]
    target = CHAT_QWEN if style == "qwen" else CHAT_SHAREGPT
    held = [one for record in records_of(world / "out") if (one := project(record, target)[0]) is not None]
    queries = [query for record in held for query in record.queries]
    assert [one["conversations"][0]["value"].rpartition(": ")[2] for one in lines] == [query.text for query in queries]
    pattern = r"<box>\((\d+),(\d+)\),\((\d+),(\d+)\)</box>" if style == "qwen" else r"\[[\d., ]+\]"
    for line, query in zip(lines, queries, strict=True):
        answer = line["conversations"][1]["value"]
        assert len(re.findall(pattern, answer)) == sum(len(phrase.regions) for phrase in query.phrases)
        assert len(answer.splitlines()) == len(query.phrases)


def test_strict_refuses_before_anything_is_written(world: Path) -> None:
    ended = run_cli("export", f"{world}/out", "--to=coco", f"--out={world}/coco", "--strict")
    assert ended.code == 2
    assert "would be lost: " in ended.errors[0]
    assert not list((world / "coco").glob("**/*.json"))


def drawn_by_supervision(boxes: object, names: list[str], numbers: object) -> list[tuple[str, tuple[float, ...]]]:
    """Class and box of each detection."""
    pairs = zip(boxes.tolist(), numbers.tolist(), strict=True)  # type: ignore[attr-defined]
    return sorted((names[number], tuple(box)) for box, number in pairs)


@pytest.mark.parametrize("to", ["yolo", "coco"])
def test_supervision_reads_the_classes_and_boxes(to: str, world: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed: run make setup")
    folder = export(world, to)
    photos = folder / "coco/images"
    shutil.copytree(world / "photos", photos)
    if to == "yolo":
        read = supervision.DetectionDataset.from_yolo(str(photos), f"{folder}/coco/labels", f"{folder}/data.yaml")
    else:
        read = supervision.DetectionDataset.from_coco(str(photos), f"{folder}/instances.json")
    held = [one for record in records_of(world / "out") if (one := project(record, FORMATS[to])[0]) is not None]
    assert len(read) == len(held)
    for path, _, detections in read:
        record = next(one for one in held if one.image.file_name == Path(path).name)
        ours = [(words, box) for _, words, box in named([record])]
        theirs = drawn_by_supervision(detections.xyxy, read.classes, detections.class_id)
        assert [words for words, _ in theirs] == [words for words, _ in ours]
        assert [box for _, box in theirs] == [pytest.approx(box, abs=1e-3) for _, box in ours]


def test_every_yolo_line_passes_the_checks_of_ultralytics(world: Path) -> None:
    """What its ``verify_image_label`` asks for (the package itself needs torchvision): five columns, shares of at most
    1.01, none negative, class numbers that have a name, no line twice."""
    folder = export(world, "yolo")
    names = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    files = sorted((folder / "coco/labels").glob("*.txt"))
    assert files
    for file in files:
        rows = [[float(one) for one in line.split()] for line in file.read_text().splitlines()]
        assert {len(row) for row in rows} == {5}
        assert all(0 <= share <= 1.01 for row in rows for share in row[1:])
        assert {row[0] for row in rows} <= {float(number) for number in names}
        assert len({tuple(row) for row in rows}) == len(rows)
