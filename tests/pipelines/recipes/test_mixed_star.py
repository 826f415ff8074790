"""build-mixed-star from end to end: exact records from inputs made by hand, and real files record by record."""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.tiny import (
    HEIGHT,
    WIDTH,
    Ended,
    annotation,
    coco_box,
    coco_name,
    jpeg,
    manifest_of,
    paragraph,
    records_of,
    reject_counts,
    run_cli,
    to_json,
)
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage
from xdetr_data.schema import from_json
from xdetr_data.spans import join_spans, span_text

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures"))
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="the real files are not here (XDETR_FIXTURES)")

Told = dict[str, dict[str, list[tuple[float, ...]]]]

# --- made by hand -----------------------------------------------------------------------------------------------------

MIXED = {
    "images": [
        paragraph(0, 1, caption="a red ball. no. 5 is the blue box on a shelf."),
        paragraph(1, 1, caption="the ball. is the box blue?", tokens_negative=[[0, 3], [10, 25]]),
        paragraph(2, 7, file_name="7.jpg", data_source="vg", original_id="7", caption="one man wearing pink tie."),
    ],
    "annotations": [
        annotation(10, 0, tokens_positive=[[2, 5], [6, 10]], bbox=[2, 3, 10, 12]),
        annotation(11, 0, tokens_positive=[[25, 29], [30, 33]], bbox=[30, 20, 20, 16]),
        annotation(12, 0, tokens_positive=[[12, 17]], bbox=[30, 20, 20, 16]),
        annotation(13, 0, tokens_positive=[[39, 44]], bbox=[-4, 30, 80, 10]),
        annotation(14, 1, tokens_positive=[[4, 8]], bbox=[2, 3, 10, 11]),
        annotation(15, 1, tokens_positive=[[17, 20]], bbox=[31, 20, 20, 16]),
        annotation(16, 2, tokens_positive=[[0, 3], [4, 7]], bbox=[1, 1, 30, 40]),
        annotation(17, 2, tokens_positive=[[16, 20], [21, 24]], bbox=[10, 10, 5, 9]),
    ],
}
REFEXP = {
    "images": [paragraph(0, 1, caption="the ball. on the left", data_source=None, dataset_name="refcoco")],
    "annotations": [annotation(0, 0, tokens_positive=[[0, 21]], bbox=[2.5, 3, 10, 12], original_id=3)],
}
FLICKR = {
    "images": [
        {
            "file_name": "1000.jpg",
            "height": str(HEIGHT),
            "width": str(WIDTH),
            "id": 0,
            "caption": "Two dogs . A man watches them .",
            "dataset_name": "flickr",
            "tokens_negative": [[0, 31]],
            "sentence_id": 0,
            "original_img_id": 1000,
            "tokens_positive_eval": [[[0, 8]], [[11, 16]]],
        },
        {
            "file_name": "1000.jpg",
            "height": str(HEIGHT),
            "width": str(WIDTH),
            "id": 1,
            "caption": "Nothing is boxed here .",
            "dataset_name": "flickr",
            "tokens_negative": [[0, 23]],
        },
    ],
    "annotations": [
        annotation(0, 0, tokens_positive=[[0, 8]], bbox=[1, 1, 20, 20]),
        annotation(1, 0, tokens_positive=[[0, 8]], bbox=[3, 1, 20, 20]),
        annotation(2, 0, tokens_positive=[[11, 16]], bbox=[40, 1, 20, 40]),
    ],
}
INSTANCES = {
    "annotations": [
        coco_box(1, 1, bbox=[2, 3, 10, 12.5]),
        coco_box(2, 1, bbox=[50, 1, 10, 10]),
        coco_box(3, 1, bbox=[0, 0, 60, 40], iscrowd=1),
        coco_box(4, 7, bbox=[1, 1, 10, 10]),
    ]
}
BALL, BOX, SHELF = (2.0, 3.0, 12.0, 15.0), (30.0, 20.0, 50.0, 36.0), (0.0, 30.0, 64.0, 40.0)


TIGHT = (2.0, 3.0, 12.0, 15.5)  # COCO's box of the ball, which paragraphs box as BALL and otherwise


@pytest.fixture
def made(tmp_path: Path) -> Path:
    for name, document in {
        "final_mixed_train": MIXED,
        "final_refexp_train": REFEXP,
        "final_flickr_separateGT_train": FLICKR,
        "instances_train2014": INSTANCES,
    }.items():
        (tmp_path / f"{name}.json").write_bytes(to_json(document))
    for name in (f"coco/train2017/{1:012d}.jpg", "vg/7.jpg", "flickr/1000.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(len(name)))
    return tmp_path


def build_made(folder: Path, *more: str, boxes: bool = True) -> Ended:
    names = ("mixed", "refexp", "flickr_separateGT")
    return run_cli(
        "build-mixed-star",
        *(f"--mdetr={folder / f'final_{name}_train.json'}" for name in names),
        *([f"--coco-instances={folder / 'instances_train2014.json'}"] if boxes else ["--boxes=none"]),
        *(f"--image-root={source}={folder / source}" for source in ("coco", "vg", "flickr")),
        f"--out={folder / 'out'}",
        "--workers=0",
        *more,
    )


def told(record: GroundedImage) -> Told:
    """Query → words of a phrase → its boxes."""
    return {
        query.text: {
            span_text(phrase.spans, query.text): [record.regions[i].box_xyxy for i in phrase.regions]
            for phrase in query.phrases
        }
        for query in record.queries
    }


def test_every_query_phrase_and_box_is_as_the_inputs_say(made: Path) -> None:
    ended = build_made(made)
    assert ended.code == 0, ended.stderr
    coco, flickr, vg = records_of(made / "out")
    assert told(coco) == {
        "a red ball.": {"red ball": [TIGHT]},
        "no. 5 is the blue box on a shelf.": {"no. 5": [BOX], "blue box": [BOX], "shelf": [SHELF]},
        "the ball.": {"ball": [TIGHT]},
        "is the box blue?": {"box": [BOX]},
        "the ball. on the left": {"the ball. on the left": [TIGHT]},
    }
    assert [region.box_xyxy for region in coco.regions] == [TIGHT, BOX, SHELF, (50.0, 1.0, 60.0, 11.0)]
    assert told(flickr) == {
        "Two dogs . A man watches them .": {
            "Two dogs": [(1.0, 1.0, 21.0, 21.0), (3.0, 1.0, 23.0, 21.0)],
            "A man": [(40.0, 1.0, 60.0, 41.0)],
        },
        "Nothing is boxed here .": {},
    }
    assert told(vg) == {
        "one man wearing pink tie.": {"one man": [(1.0, 1.0, 31.0, 41.0)], "pink tie": [(10.0, 10.0, 15.0, 19.0)]}
    }
    assert [record.key for record in (coco, flickr, vg)] == ["coco_000000000001", "flickr_1000", "vg_7"]
    assert reject_counts(made / "out") == {
        ("box", "crowd-box"): 1,
        ("box", "photo-not-in-set"): 1,
    }
    assert manifest_of(made / "out").accounting["notes"]["clipped-boxes"] == 1


def test_a_record_is_this_json_and_nothing_else(made: Path) -> None:
    assert build_made(made).code == 0
    with tarfile.open(next((made / "out").glob("*.tar"))) as tar:
        member = tar.extractfile("vg_7.json")
        assert member is not None
        found = json.loads(member.read())
    photo_sha256 = found["image"].pop("sha256")
    assert len(photo_sha256) == 64
    assert found == {
        "schema": 1,
        "key": "vg_7",
        "image": {"file_name": "7.jpg", "source": "vg", "height": HEIGHT, "width": WIDTH},
        "regions": [
            {
                "box_xyxy": [1.0, 1.0, 31.0, 41.0],
                "is_crowd": False,
                "provenance": {"source": "final_mixed_train", "annotation_id": "16", "detail": ""},
            },
            {
                "box_xyxy": [10.0, 10.0, 15.0, 19.0],
                "is_crowd": False,
                "provenance": {"source": "final_mixed_train", "annotation_id": "17", "detail": ""},
            },
        ],
        "queries": [
            {
                "text": "one man wearing pink tie.",
                "group": "final_mixed_train#2",
                "is_exhaustive": False,
                "phrases": [
                    {
                        "spans": [[0, 7]],
                        "regions": [0],
                        "score": None,
                        "provenance": {"source": "final_mixed_train", "annotation_id": "16", "detail": ""},
                    },
                    {
                        "spans": [[16, 24]],
                        "regions": [1],
                        "score": None,
                        "provenance": {"source": "final_mixed_train", "annotation_id": "17", "detail": ""},
                    },
                ],
            }
        ],
    }


def test_tar_and_parquet_tell_the_same_and_the_photo_is_untouched(made: Path) -> None:
    assert build_made(made).code == 0
    (path,) = (made / "out").glob("*.tar")
    with tarfile.open(path) as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    records = [from_json(data) for name, data in members.items() if name.endswith(".json")]
    assert records == records_of(made / "out")
    assert members["vg_7.jpg"] == (made / "vg" / "7.jpg").read_bytes()
    assert members["coco_000000000001.jpg"] == (made / "coco" / "train2017" / f"{1:012d}.jpg").read_bytes()


def test_what_was_built_is_valid(made: Path) -> None:
    assert build_made(made).code == 0
    ended = run_cli("validate", str(made / "out"))
    assert ended.code == 0, ended.stderr


def test_without_splitting_paragraphs_stay_whole(made: Path) -> None:
    assert build_made(made, "--no-split").code == 0
    coco = records_of(made / "out")[0]
    assert list(told(coco)) == [
        "a red ball. no. 5 is the blue box on a shelf.",
        "the ball. is the box blue?",
        "the ball. on the left",
    ]
    assert manifest_of(made / "out").prefix == "mixed-train"


def test_without_boxes_every_region_has_a_phrase(made: Path) -> None:
    assert build_made(made, boxes=False).code == 0
    for record in records_of(made / "out"):
        named = {index for query in record.queries for phrase in query.phrases for index in phrase.regions}
        assert named == set(range(len(record.regions)))
    assert manifest_of(made / "out").prefix == "mixed-star-train"


def test_without_boxes_the_instances_of_the_full_command_are_not_read(made: Path) -> None:
    assert build_made(made, boxes=False).code == 0
    before = records_of(made / "out")
    ended = build_made(made, "--boxes=none", "--overwrite")
    assert ended.code == 0
    assert "--coco-instances files are not read" in " ".join(ended.stderr.split())
    assert records_of(made / "out") == before


def test_metadata_only_makes_the_same_labels_without_photos(made: Path) -> None:
    assert build_made(made).code == 0
    with_photos = records_of(made / "out")
    ended = build_made(made, "--metadata-only", "--overwrite")
    assert ended.code == 0, ended.stderr
    without = records_of(made / "out")
    assert [(one.key, one.regions, one.queries) for one in without] == [
        (one.key, one.regions, one.queries) for one in with_photos
    ]
    assert [one.image.sha256 for one in without] == [None] * 3
    with tarfile.open(next((made / "out").glob("*.tar"))) as tar:
        assert all(one.name.endswith(".json") for one in tar)


def test_kept_crowds_are_regions_and_compared_with_nothing(made: Path) -> None:
    assert build_made(made, "--crowd=keep").code == 0
    crowds = [region.box_xyxy for region in records_of(made / "out")[0].regions if region.is_crowd]
    assert crowds == [(0.0, 0.0, 60.0, 40.0)]


@pytest.mark.parametrize(
    ("order", "source", "box", "detail"),
    [
        ((), "instances_train2014", TIGHT, "also final_mixed_train 10 also 14 0"),
        (("coco",), "instances_train2014", TIGHT, "also final_mixed_train 10 also 14 0"),
        (("final_refexp*", "coco"), "final_refexp_train", (2.5, 3.0, 12.5, 15.0), "also 10 14"),
        (("*", "coco"), "final_mixed_train", BALL, "also 14 0"),
        (("*",), "final_mixed_train", BALL, "also 14 0"),
    ],
)
def test_an_object_keeps_the_box_of_the_source_that_the_order_puts_first(
    order: tuple[str, ...], source: str, box: tuple[float, ...], detail: str, made: Path
) -> None:
    assert build_made(made, *(f"--box-order={name}" for name in order)).code == 0
    coco = records_of(made / "out")[0]
    region = coco.regions[0]
    assert (region.box_xyxy, region.provenance.source, region.provenance.detail) == (box, source, detail)
    said = [(one.provenance.source, one.provenance.annotation_id) for query in coco.queries for one in query.phrases]
    assert {("final_mixed_train", "10"), ("final_mixed_train", "14"), ("final_refexp_train", "0")} <= set(said)
    is_used = source == "instances_train2014"
    assert reject_counts(made / "out").get(("box", "duplicate-of-region"), 0) == (not is_used)
    assert manifest_of(made / "out").config["box_order"] == list(order or ("coco", "*"))


def test_an_order_that_names_nothing_is_refused(made: Path) -> None:
    ended = build_made(made, "--box-order=instances_val*", "--box-order=*")
    assert ended.code == 2
    assert "--box-order 'instances_val*' names nothing that is given: coco, final_mixed_train" in ended.errors[0]
    assert "must name every source once" in build_made(made, "--box-order=coco", "--box-order=coco").errors[0]


def test_the_rule_of_one_object_is_an_option(made: Path) -> None:
    assert build_made(made, "--merge-iou=coco=0.97", "--dedupe-iou=1").code == 0
    boxes = [region.box_xyxy for region in records_of(made / "out")[0].regions]
    assert boxes[:4] == [BALL, BOX, SHELF, (2.0, 3.0, 12.0, 14.0)]
    assert (2.0, 3.0, 12.0, 15.5) in boxes


# --- real files -------------------------------------------------------------------------------------------------------


def annotations_of(document: dict[str, Any]) -> dict[str, tuple[int, str, tuple[float, ...]]]:
    """Annotation id → paragraph id, words, and box clipped to the photo; read plainly, from the whole file."""
    images = {image["id"]: image for image in document["images"]}
    result = {}
    for one in document["annotations"]:
        image = images[one["image_id"]]
        x, y, w, h = one["bbox"]
        height, width = int(image["height"]), int(image["width"])
        box = (max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height))
        words = span_text(join_spans(one["tokens_positive"], image["caption"]), image["caption"])
        result[str(one["id"])] = (image["id"], words, box)
    return result


def found_annotations(records: list[GroundedImage]) -> Iterator[tuple[str, tuple[int, str, list[tuple[float, ...]]]]]:
    """The same of the dataset: annotation id → paragraph id, words, and boxes of its phrase."""
    for record in records:
        for query in record.queries:
            for phrase in query.phrases:
                boxes = [record.regions[index].box_xyxy for index in phrase.regions]
                words = span_text(phrase.spans, query.text)
                for annotation_id in phrase.provenance.annotation_id.split(" "):
                    yield annotation_id, (int(query.group.rsplit("#", 1)[1]), words, boxes)


def build_real(path: Path, out: Path, *more: str) -> list[GroundedImage]:
    ended = run_cli("build-mixed-star", f"--mdetr={path}", f"--out={out}", "--workers=0", *more)
    assert ended.code == 0, ended.stderr
    return records_of(out)


def check_equal(document: dict[str, Any], records: list[GroundedImage], *, min_iou: float) -> None:
    """Every annotation is there, on its very words, with its very box (or, where merged, one with that IoU)."""
    expected = annotations_of(document)
    found = dict(found_annotations(records))
    assert found.keys() == expected.keys()
    for annotation_id, (paragraph_id, words, box) in expected.items():
        found_paragraph, found_words, boxes = found[annotation_id]
        assert (found_paragraph, found_words) == (paragraph_id, words)
        assert box in boxes if min_iou == 1 else iou_matrix_xyxy([box], boxes).max() >= min_iou
    captions = {image["id"]: image["caption"] for image in document["images"]}
    texts: dict[int, list[str]] = {}
    for record in records:
        for query in record.queries:
            texts.setdefault(int(query.group.rsplit("#", 1)[1]), []).append(query.text)
    assert {group: " ".join(parts) for group, parts in texts.items()} == captions


@needs_fixtures
def test_all_real_flickr_records_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = FIXTURES / "mdetr" / "final_flickr_separateGT_train.json"
    document = json.loads(path.read_bytes())
    records = build_real(path, tmp_path / "out", "--boxes=none", "--metadata-only")
    assert sum(len(record.queries) for record in records) == len(document["images"]) == 755
    check_equal(document, records, min_iou=1)
    assert reject_counts(tmp_path / "out") == {}
    # Whatever one caption says of the same words with several boxes is one phrase with exactly these boxes.
    expected: dict[tuple[int, str], set[tuple[float, ...]]] = {}
    for paragraph_id, words, box in annotations_of(document).values():
        expected.setdefault((paragraph_id, words), set()).add(box)
    made: dict[tuple[int, str], set[tuple[float, ...]]] = {}
    for _, (paragraph_id, words, boxes) in found_annotations(records):
        made.setdefault((paragraph_id, words), set()).update(boxes)
    assert made == expected


@needs_fixtures
def test_the_real_excerpts_come_out_as_they_went_in(tmp_path: Path) -> None:
    excerpts = json.loads((FIXTURES / "mdetr" / "published_excerpts.json").read_bytes())
    for kind, document in excerpts.items():
        if kind.startswith("_"):
            continue
        document = {"annotations": [], **document}
        path = tmp_path / kind.split(" ")[0]
        path.write_text(json.dumps(document))
        out = tmp_path / path.stem
        records = build_real(path, out, "--boxes=none", "--metadata-only")
        check_equal(document, records, min_iou=1)
        assert reject_counts(out) == {}


@needs_fixtures
@pytest.mark.parametrize("min_iou", [1.0, 0.75])
def test_mixed_paragraphs_over_real_photos_and_boxes_keep_every_annotation(min_iou: float, tmp_path: Path) -> None:
    path = FIXTURES / "derived" / "final_mixed_train.json"
    document = json.loads(path.read_bytes())
    records = build_real(
        path,
        tmp_path / "out",
        f"--coco-instances={FIXTURES / 'coco' / 'annotations' / 'instances_train2017.json'}",
        f"--image-root=coco={FIXTURES / 'coco' / 'train2017'}",
        f"--merge-iou=coco={min_iou}",
    )
    assert len(records) == len({image["original_id"] for image in document["images"]}) == 49
    check_equal(document, records, min_iou=min_iou)
    assert {unit for unit, _ in reject_counts(tmp_path / "out")} == {"box"}
    assert run_cli("validate", str(tmp_path / "out")).code == 0
    lines = (FIXTURES / "derived" / "mixed_truth.jsonl").read_text().splitlines()
    truth = {one["id"]: one["sentences"] for one in map(json.loads, lines)}
    found: dict[int, list[str]] = {}
    for record in records:
        for query in record.queries:
            found.setdefault(int(query.group.rsplit("#", 1)[1]), []).append(query.text)
    assert sum(found[number] == sentences for number, sentences in truth.items()) >= 0.97 * len(truth)


@needs_fixtures
def test_a_photo_under_both_releases_names_is_found_in_either_folder(tmp_path: Path) -> None:
    photo = FIXTURES / "coco" / "train2017" / "000000005802.jpg"
    (tmp_path / "2014").mkdir()
    (tmp_path / "2014" / coco_name(int(photo.stem))).write_bytes(photo.read_bytes())
    path, out = FIXTURES / "derived" / "final_mixed_train.json", tmp_path / "out"
    ended = run_cli(
        *("build-mixed-star", f"--mdetr={path}", f"--out={out}", "--workers=0", "--boxes=none", "--max-error-rate=1"),
        f"--image-root=coco={tmp_path / '2014'}",
    )
    assert ended.code == 0
    assert [record.key for record in records_of(out)] == [f"coco_{int(photo.stem):012d}"]
    assert reject_counts(out)["photo", "missing-photo"] == 48
