"""``build refcoco``: the three sets merged or one by one, eval photos left out, every expression accounted for."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.test_refer import ref, sentence
from tests.pipelines.recipes.checks import check, check_interruption
from tests.pipelines.tiny import (
    HEIGHT,
    WIDTH,
    Ended,
    coco_box,
    coco_name,
    files_of,
    jpeg,
    manifest_of,
    records_of,
    reject_counts,
    rejects_of,
    run_cli,
    to_json,
)
from xdetr_data.record import GroundedImage
from xdetr_data.toyworld.world import write_toyworld

LEFT, RIGHT, CUP = [2.0, 3.0, 10.0, 12.0], [30.0, 20.0, 20.0, 16.0], [1.0, 40.0, 5.0, 5.0]


def write(
    folder: Path,
    refs: dict[str, Sequence[Any]],
    boxes: Sequence[Any],
    *,
    photos: Sequence[int] = (1, 2, 3),
    sizes: dict[int, tuple[int, int]] | None = None,
) -> Path:
    """The pickles by their places, ``instances.json`` and the photos."""
    for name, found in refs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(pickle.dumps(list(found), protocol=2))
    known = sizes if sizes is not None else dict.fromkeys(photos, (HEIGHT, WIDTH))
    listed = [{"id": n, "file_name": coco_name(n), "height": h, "width": w} for n, (h, w) in known.items()]
    (folder / "instances.json").write_bytes(to_json({"images": listed, "annotations": list(boxes), "categories": []}))
    (folder / "photos").mkdir()
    for number in photos:
        (folder / "photos" / coco_name(number)).write_bytes(jpeg(number))
    return folder


def boxes(*photos: int) -> list[dict[str, Any]]:
    """Two people and a cup on each photo: annotations 10 n, 10 n + 1 and 10 n + 2."""
    return [
        coco_box(10 * photo + place, photo, bbox=bbox)
        for photo in photos
        for place, bbox in enumerate((LEFT, RIGHT, CUP))
    ]


def refs(*photos: int, split: str = "train", first: int = 0) -> list[dict[str, Any]]:
    """A reference to the left and one to the right person of each photo."""
    return [
        ref(first + 10 * photo + place, photo, *said, split=split, ann_id=10 * photo + place)
        for photo in photos
        for place, said in enumerate((
            [sentence(100 * photo, f"left of {photo}"), sentence(100 * photo + 1, "  the  One\nleft")],
            [sentence(100 * photo + 2, f"right of {photo}")],
        ))
    ]  # fmt: skip


def build(
    folder: Path, *more: str, out: str = "out", sets: Sequence[str] = ("refs(unc).p",), photos: bool = True
) -> Ended:
    return run_cli(
        *("build", "refcoco", *(f"--refs={folder / name}" for name in sets), f"--instances={folder}/instances.json"),
        f"--image-root=coco={folder / 'photos'}" if photos else "--metadata-only",
        *(f"--out={folder / out}", "--workers=0", *more),
    )


def told(record: GroundedImage) -> list[tuple[str, tuple[float, ...]]]:
    """Each query with the box that its whole text names."""
    result = []
    for query in record.queries:
        (phrase,) = query.phrases
        assert phrase.spans == ((0, len(query.text)),)
        (region,) = phrase.regions
        result.append((query.text, record.regions[region].box_xyxy))
    return result


A, B, C = (2.0, 3.0, 12.0, 15.0), (30.0, 20.0, 50.0, 36.0), (1.0, 40.0, 6.0, 45.0)


def test_an_expression_is_a_query_whose_whole_text_names_its_box_and_other_boxes_are_textless(tmp_path: Path) -> None:
    ended = build(write(tmp_path, {"refs(unc).p": refs(1)}, boxes(1, 9)))
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    folder = tmp_path.name
    assert (record.key, record.image.file_name, record.image.source) == ("coco_000000000001", coco_name(1), "coco")
    assert told(record) == [("left of 1", A), ("the One left", A), ("right of 1", B)]
    assert [one.group for one in record.queries] == [f"{folder}/refs(unc)#{n}" for n in (10, 10, 11)]
    phrases = [one.phrases[0].provenance for one in record.queries]
    assert [(one.source, one.annotation_id, one.detail) for one in phrases] == [
        (f"{folder}/refs(unc)", "10", "sent_id 100"),
        (f"{folder}/refs(unc)", "10", "sent_id 101"),
        (f"{folder}/refs(unc)", "11", "sent_id 102"),
    ]
    assert [(one.box_xyxy, one.provenance.source) for one in record.regions] == [
        (A, f"{folder}/refs(unc)"), (B, f"{folder}/refs(unc)"), (C, f"{folder}/instances")
    ]  # fmt: skip
    manifest = manifest_of(tmp_path / "out")
    assert manifest.accounting["units"] == {
        "box": {"in": 6, "out": 3, "rejected": {"partition": {"box-of-unknown-image": 3}}},
        "expression": {"in": 3, "out": 3, "rejected": {}},
        "photo": {"in": 1, "out": 1, "rejected": {}},
        "reference": {"in": 2, "out": 2, "rejected": {}},
    }
    assert [(one.role, Path(one.path).name) for one in manifest.inputs] == [
        ("refs", "refs(unc).p"), ("instances", "instances.json")
    ]  # fmt: skip
    assert manifest.inputs[0].licence
    assert (manifest.recipe, manifest.prefix) == ("build refcoco", "refcoco-train")


def test_without_coco_boxes_only_what_an_expression_names_is_a_region(tmp_path: Path) -> None:
    assert build(write(tmp_path, {"refs(unc).p": refs(1)}, boxes(1)), "--boxes=none").code == 0
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert [one.box_xyxy for one in record.regions] == [A, B]
    assert reject_counts(tmp_path / "out") == {("box", "no-expression-names-it"): 1}


def test_the_split_chooses_the_references(tmp_path: Path) -> None:
    made = refs(1) + refs(2, split="val") + refs(3, split="testB")
    write(tmp_path, {"refs(unc).p": made}, boxes(1, 2, 3))
    for split, photo in (("train", 1), ("val", 2), ("testB", 3)):
        ended = build(tmp_path, f"--split={split}", out=split)
        assert ended.code == 0, ended.stderr
        assert [one.key for one in records_of(tmp_path / split)] == [f"coco_{photo:012}"]
        assert manifest_of(tmp_path / split).prefix == f"refcoco-{split}"
        assert manifest_of(tmp_path / split).accounting["units"]["expression"]["in"] == 3
        assert ("warning: no --exclude list" in ended.stderr) == (split == "train")
    assert "no photo is named by a reference of split 'testA'" in build(tmp_path, "--split=testA").errors[0]


SETS = ("refcoco/refs(unc).p", "refcoco+/refs(unc).p", "refcocog/refs(google).p")


def test_all_sets_merge_without_any_photo_of_any_val_or_test(tmp_path: Path) -> None:
    one = refs(1, 2) + refs(3, split="testA")
    other = refs(1, 3, 4) + refs(5, split="val")
    google = [*refs(4, 5), ref(9, 2, split="val"), *refs(1)[:1]]
    write(tmp_path, dict(zip(SETS, (one, other, google), strict=True)), boxes(1, 2, 3, 4, 5), photos=(1, 2, 3, 4, 5))
    ended = build(tmp_path, "--exclude-eval", sets=SETS)
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    first, fourth = records_of(tmp_path / "out")
    assert (first.key, fourth.key) == ("coco_000000000001", "coco_000000000004")
    assert [(Path(one.path).parent.name, one.ids, one.hits) for one in manifest_of(tmp_path / "out").exclusions] == [
        ("refcoco", 1, {"coco": 1}), ("refcoco+", 1, {"coco": 1}), ("refcocog", 1, {"coco": 1})
    ]  # fmt: skip
    # What two files say of one box in the same words is one query; RefCOCO+'s photo 1 repeats RefCOCO's here.
    assert told(first) == [("left of 1", A), ("the One left", A), ("right of 1", B)]
    assert {one.group for one in first.queries} == {"refcoco/refs(unc)#10", "refcoco/refs(unc)#11"}
    assert {one.group.split("#")[0] for one in fourth.queries} == {"refcoco+/refs(unc)"}
    found = reject_counts(tmp_path / "out")
    assert found["expression", "said-in-an-earlier-file"] == 3 + 2 + 3
    assert found["reference", "no-expression-left"] == 2 + 1 + 2
    assert found["photo", "excluded"] == 3
    assert found["expression", "excluded"] == 3 * 3
    details = [one.detail for one in rejects_of(tmp_path / "out") if one.reason == "said-in-an-earlier-file"]
    assert "sent_id 100 of ref_id 10: refcoco/refs(unc) says the same of this box" in details


def test_of_the_toy_worlds_four_files_no_photo_is_left_that_any_of_them_evaluates_on(tmp_path: Path) -> None:
    """Google's split is by objects, so that its own train photos are val photos, too: all of those go."""
    write_toyworld(tmp_path / "world", photos=200, seed=3, workers=0)
    refer = tmp_path / "world/refcoco"
    names = ("refcoco/refs(unc).p", "refcoco+/refs(unc).p", "refcocog/refs(umd).p", "refcocog/refs(google).p")
    told = {name: pickle.loads((refer / name).read_bytes()) for name in names}
    ended = run_cli(
        *("build", "refcoco", *(f"--refs={refer / name}" for name in names)),
        *(f"--instances={refer / name / 'instances.json'}" for name in ("refcoco", "refcoco+", "refcocog")),
        *(f"--image-root=coco={tmp_path / 'world/photos/coco'}", "--exclude-eval"),
        *(f"--out={tmp_path / 'out'}", "--workers=0"),
    )
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    every = [one for found in told.values() for one in found]
    evaluated = {one["image_id"] for one in every if one["split"] != "train"}
    google = told[names[-1]]
    in_both = {one["image_id"] for one in google if one["split"] == "train"} & {
        one["image_id"] for one in google if one["split"] == "val"
    }
    kept = {int(one.key.removeprefix("coco_")) for one in records_of(tmp_path / "out")}
    assert in_both
    assert kept == {one["image_id"] for one in every} - evaluated != set()
    ledger = manifest_of(tmp_path / "out").exclusions
    assert [Path(one.path).name for one in ledger] == [Path(name).name for name in names]
    rejected = [one for one in rejects_of(tmp_path / "out") if one.reason == "excluded"]
    assert {one.key for one in rejected} == {
        f"coco_{one['image_id']:012d}" for one in every if one["split"] == "train" and one["image_id"] in evaluated
    }


def test_a_list_that_is_given_twice_hits_once(tmp_path: Path) -> None:
    write(tmp_path, {"refs(unc).p": refs(1) + refs(2, split="val") + refs(2)}, boxes(1, 2))
    assert build(tmp_path, "--exclude-eval", f"--exclude={tmp_path / 'refs(unc).p'}").code == 0
    assert [one.hits for one in manifest_of(tmp_path / "out").exclusions] == [{"coco": 1}]


def test_two_inputs_of_one_folder_name_and_file_name_are_told(tmp_path: Path) -> None:
    sets = ("a/refcoco/refs(unc).p", "b/refcoco/refs(unc).p")
    write(tmp_path, {name: refs(1) for name in sets}, boxes(1))
    assert "2 inputs are called 'refcoco/refs(unc)'" in build(tmp_path, sets=sets).errors[0]


def test_of_several_files_of_boxes_the_first_counts(tmp_path: Path) -> None:
    write(tmp_path, {"refs(unc).p": refs(1)}, boxes(1))
    (tmp_path / "more").mkdir()
    more = {"images": [], "annotations": [coco_box(10, 1, bbox=CUP), coco_box(99, 1, bbox=[5.0, 5.0, 3.0, 3.0])]}
    (tmp_path / "more" / "instances.json").write_bytes(to_json(more))
    assert build(tmp_path, f"--instances={tmp_path / 'more' / 'instances.json'}").code == 0
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert told(record)[0] == ("left of 1", A)
    assert [one.box_xyxy for one in record.regions] == [A, B, C, (5.0, 5.0, 8.0, 8.0)]
    assert reject_counts(tmp_path / "out") == {("box", "box-of-an-earlier-file"): 1}


def test_every_element_that_cannot_be_used_has_a_reason(tmp_path: Path) -> None:
    said = [
        *refs(1),
        ref(31, 1, sentence(1, " \n"), sentence(2), sentence(2, "again"), sentence(None), ann_id=10),
        ref(32, 1, ann_id=4711),
        ref(33, 1, ann_id=20),
        ref(34, 1, ann_id=13),
        ref(35, 1, ann_id=14),
        ref(36, 1, ann_id=15),
        ref(37, 1, sentences=[]),
        ref(38, 99),
        ref(39, "1"),
        ref(40, 1, split=None),
        None,
        *refs(2),
        ref(41, 3, ann_id=4711),
        *refs(4),
        *refs(5),
    ]
    placed = [
        *boxes(1, 2, 3, 4, 5),
        coco_box(13, 1, bbox=[WIDTH + 1.0, 0.0, 9.0, 9.0]),
        coco_box(14, 1, bbox=[1.0, 1.0, 0.0, 9.0]),
        coco_box(15, 1, iscrowd=1),
        coco_box(16, 1, bbox="x"),
        coco_box(17, 1, bbox=[-5.0, 40.0, 15.0, 20.0]),
    ]
    write(tmp_path, {"refs(unc).p": said}, placed, photos=(1, 3, 4),
          sizes={n: (HEIGHT, WIDTH + (n == 4)) for n in (1, 2, 3, 4, 5)})  # fmt: skip
    (tmp_path / "ids.txt").write_text("5\n")
    ended = build(tmp_path, "--max-error-rate=1", f"--exclude={tmp_path / 'ids.txt'}")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert told(record) == [("left of 1", A), ("the One left", A), ("right of 1", B), ("the left man", A)]
    assert record.regions[-1].box_xyxy == (0.0, 40.0, 10.0, 48.0)
    assert reject_counts(tmp_path / "out") == {
        ("photo", "missing-photo"): 1,
        ("photo", "size-mismatch"): 1,
        ("photo", "no-expression-left"): 1,
        ("photo", "excluded"): 1,
        ("reference", "no-expression-left"): 7,
        ("reference", "image-not-in-instances"): 1,
        ("reference", "unreadable-reference"): 3,
        ("reference", "missing-photo"): 2,
        ("reference", "size-mismatch"): 2,
        ("reference", "excluded"): 2,
        ("expression", "empty-sentence"): 1,
        ("expression", "duplicate-annotation-id"): 1,
        ("expression", "unreadable-expression"): 1,
        ("expression", "no-such-box"): 6,
        ("expression", "box-outside-photo"): 2,
        ("expression", "degenerate-box"): 2,
        ("expression", "crowd-box"): 2,
        ("expression", "reference-rejected"): 6,
        ("expression", "missing-photo"): 3,
        ("expression", "size-mismatch"): 3,
        ("expression", "excluded"): 3,
        ("box", "box-outside-photo"): 1,
        ("box", "degenerate-box"): 1,
        ("box", "crowd-box"): 1,
        ("box", "unreadable-box"): 1,
        ("box", "no-expression-names-it"): 3,
        ("box", "missing-photo"): 3,
        ("box", "size-mismatch"): 3,
        ("box", "excluded"): 3,
    }
    details = {one.reason: one.detail for one in rejects_of(tmp_path / "out") if one.unit == "expression"}
    assert details["empty-sentence"] == "sent_id 1 of ref_id 31: it has no words"
    assert details["no-such-box"].endswith("no box of this photo has id 4711")
    assert details["box-outside-photo"].startswith("sent_id 341 of ref_id 34: bbox [65.0, ")


def test_a_pickle_that_names_a_class_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path, {"refs(unc).p": [ref(1, 1, extra=Path("x"))]}, boxes(1))
    ended = build(tmp_path)
    assert (ended.code, len(ended.errors)) == (1, 1)
    assert "it asks to run pathlib" in ended.errors[0]
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_metadata_only_makes_the_same_labels_with_the_sizes_of_the_instances(tmp_path: Path) -> None:
    write(tmp_path, {"refs(unc).p": refs(1, 2, 3)}, boxes(1, 2, 3))
    assert build(tmp_path).code == 0
    assert build(tmp_path, out="labels", photos=False).code == 0
    check(tmp_path / "labels")
    assert [(one.key, one.regions, one.queries, one.image.size_hw) for one in records_of(tmp_path / "labels")] == [
        (one.key, one.regions, one.queries, one.image.size_hw) for one in records_of(tmp_path / "out")
    ]


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    many = range(1, 13)
    write(tmp_path, {name: refs(*many, first=n) for n, name in enumerate(SETS)}, boxes(*many), photos=many)
    assert build(tmp_path, "--shard-bytes=3KB", sets=SETS).code == 0
    assert len(manifest_of(tmp_path / "out").shards) > 3
    assert build(tmp_path, "--shard-bytes=3KB", "--workers=2", out="again", sets=SETS).code == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "again")


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = range(1, 13)
    write(tmp_path, {"refs(unc).p": refs(*many)}, boxes(*many), photos=many)
    check_interruption(build, tmp_path, monkeypatch, other="--boxes=none")


@pytest.mark.parametrize("split", ["train", "val"])
def test_mdetrs_file_of_a_split_makes_the_same_queries(split: str, tmp_path: Path) -> None:
    toy = tmp_path / "toy"
    write_toyworld(toy, photos=300, seed=11, workers=0)
    given = {
        "ours": [f"--refs={toy / 'refcoco/refcoco/refs(unc).p'}"],
        "mdetrs": [f"--mdetr={toy / f'mdetr/finetune_refcoco_{split}.json'}"],
    }
    for name, inputs in given.items():
        ended = run_cli(
            "build", "refcoco", *inputs, f"--instances={toy / 'refcoco/refcoco/instances.json'}", f"--split={split}",
            f"--image-root=coco={toy / 'photos/coco'}", f"--out={tmp_path / name}", "--workers=0",
        )  # fmt: skip
        assert ended.code == 0, ended.stderr
        check(tmp_path / name)
    ours, theirs = ([(one.key, told(one)) for one in records_of(tmp_path / name)] for name in given)
    assert ours == theirs
    assert sum(len(queries) for _, queries in ours) > 20


def test_what_is_wrong_in_mdetrs_file_is_a_reject(tmp_path: Path) -> None:
    def paragraph(number: int, **changes: Any) -> dict[str, Any]:
        return {
            "id": number, "file_name": coco_name(1), "caption": f"man {number}", "height": HEIGHT, "width": WIDTH,
            "dataset_name": "refcoco", "tokens_negative": [],
        } | changes  # fmt: skip

    def annotation(number: int, of: int, **changes: Any) -> dict[str, Any]:
        return {"id": number, "image_id": of, "bbox": LEFT, "tokens_positive": [[0, 3]], "iscrowd": 0} | changes

    images = [
        *map(paragraph, range(5)),
        *(paragraph(5, caption=" "), paragraph(6, height=HEIGHT + 1), paragraph(7, tokens_negative=3)),
    ]
    annotations = [annotation(20 + n, n) for n in (0, 2, 5, 6, 7)]
    annotations += [
        annotation(31, 2),
        annotation(32, 3, bbox=[0, 0, 0, 9]),
        annotation(33, 4, bbox=None),
        annotation(34, 99),
    ]
    write(tmp_path, {}, [], photos=(1,))
    (tmp_path / "finetune_refcoco_train.json").write_bytes(to_json({"images": images, "annotations": annotations}))
    ended = build(tmp_path, f"--mdetr={tmp_path / 'finetune_refcoco_train.json'}", sets=())
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert told(record) == [("man 0", A)]
    assert reject_counts(tmp_path / "out") == {
        ("paragraph", "not-one-annotation"): 3,
        ("paragraph", "degenerate-box"): 1,
        ("paragraph", "empty-caption"): 1,
        ("paragraph", "size-mismatch"): 1,
        ("paragraph", "unreadable-paragraph"): 1,
        ("annotation", "paragraph-rejected"): 6,
        ("annotation", "unreadable-annotation"): 1,
        ("annotation", "annotation-of-unknown-paragraph"): 1,
    }


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    ended = build(write(tmp_path, {"refs(unc).p": refs(1, 2)}, boxes(1, 2)), "--dry-run", "--json")
    assert ended.code == 0, ended.stderr
    plan = json.loads(ended.stdout)
    assert (plan["photos"], plan["references_read"], plan["expressions_read"], plan["boxes_read"]) == (2, 4, 6, 6)
    assert not (tmp_path / "out").exists()


def test_wrong_input_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"refs(unc).p": refs(1)}, boxes(1))
    (tmp_path / "other.p").write_bytes(b"[]")
    given = {
        "refs": tmp_path / "refs(unc).p", "instances": tmp_path / "instances.json",
        "image-root": f"coco={tmp_path}/photos",
    }  # fmt: skip
    for changes, message in (
        ({"refs": None}, "give at least one --refs FILE"),
        ({"instances": None}, "give --instances instances.json"),
        ({"image-root": None}, "give --image-root coco=DIR"),
        ({"split": "validation"}, "--split 'validation' must be one of train, val, testA, testB, test"),
        ({"split": "val", "exclude-eval": True}, "--exclude-eval leaves out every photo of --split val"),
        ({"refs": tmp_path / "other.p"}, "is not a plain refer pickle"),
        ({"instances": tmp_path / "other.p"}, "expected one JSON object"),
        ({"instances": tmp_path / "none.json"}, "none.json"),
    ):
        args = [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in (given | changes).items()
            if value is not None
        ]
        ended = run_cli("build", "refcoco", *args, f"--out={tmp_path}/never", "--workers=0")
        assert ended.code in (1, 2), message
        assert len(ended.errors) == 1
        assert message in ended.errors[0]
        assert not (tmp_path / "never" / "manifest.json").exists()
