"""``build lvis``: classes present, verified absent and unknown; subsets; everything accounted for; the same bytes."""

import gzip
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.test_lvis import annotation, category, image
from tests.pipelines.recipes.checks import check, check_interruption
from tests.pipelines.tiny import (
    HEIGHT,
    WIDTH,
    Ended,
    Verbatim,
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
from xdetr_data.stages.choose_subset import digest_of
from xdetr_data.vocabulary import class_of, vocabulary_of

FIXTURES = Path(os.environ.get("XDETR_FIXTURES", Path(__file__).parents[4] / "shared" / "fixtures")) / "lvis"
needs_fixtures = pytest.mark.skipif(not FIXTURES.exists(), reason="the fixtures are not here (XDETR_FIXTURES)")

FILE = "lvis_v1_train.json"
CATEGORIES = [
    category(2, "flip-flop_(sandal)", "r"), category(3, "bow_(weapon)", "c"), category(5, "bow_(tie)"),
    category(7, "aerosol_can"), category(8, "cat"), category(11, "dog", "c"),
]  # fmt: skip


def photo(number: int, *absent: Any, **changes: Any) -> dict[str, Any]:
    """An element of ``images[]`` of a photo of this test's size."""
    return image(number, *absent, **{"height": HEIGHT, "width": WIDTH} | changes)


def boxed(number: Any, image_id: Any, category_id: Any, x: float = 2, **changes: Any) -> dict[str, Any]:
    return annotation(number, image_id, category_id, **{"bbox": [x, 3, 10, 12]} | changes)


def box(x: float) -> tuple[float, ...]:
    return (x, 3.0, x + 10, 15.0)


def write(
    folder: Path,
    images: Sequence[Any],
    annotations: Sequence[Any],
    *,
    categories: Sequence[Any] = CATEGORIES,
    photos: Sequence[int] | None = None,
) -> Path:
    """The file and its photos, which lie by turns in the folders of COCO's two splits."""
    ids = [one["id"] for one in images if isinstance(one, dict) and isinstance(one.get("id"), int)]
    whole = {"info": {}, "annotations": list(annotations), "images": list(images), "categories": list(categories)}
    (folder / FILE).write_bytes(to_json(whole))
    for part in ("train2017", "val2017"):
        (folder / "photos" / part).mkdir(parents=True)
    for number in ids if photos is None else photos:
        part = "val2017" if number % 2 else "train2017"
        (folder / "photos" / part / f"{number:012d}.jpg").write_bytes(jpeg(number))
    return folder


def usual(count: int = 12) -> tuple[list[Any], list[Any]]:
    """Photos 1 to ``count``: two aerosol cans and a cat each, a dog and a bow absent."""
    images = [photo(n, 11, 3) for n in range(1, count + 1)]
    each = ((0, 8, 1), (1, 7, 20), (2, 7, 40))
    annotations = [boxed(10 * n + k, n, number, x) for n in range(1, count + 1) for k, number, x in each]
    return images, annotations


def build(folder: Path, *more: str, out: str = "out", photos: bool = True, ending: str = "") -> Ended:
    return run_cli(
        "build",
        "lvis",
        f"--annotations={folder / FILE}{ending}",
        f"--image-root=coco={folder / 'photos'}" if photos else "--metadata-only",
        f"--out={folder / out}",
        "--workers=0",
        *more,
    )


def told(record: GroundedImage) -> list[tuple[int | None, str, bool, list[tuple[float, ...]]]]:
    """Of each query its class, its text, whether it is exhaustive, and the boxes that its whole text names."""
    found = []
    for query in record.queries:
        (phrase,) = query.phrases
        assert phrase.spans == ((0, len(query.text)),)
        boxes: list[tuple[float, ...]] = [record.regions[region].box_xyxy for region in phrase.regions]
        found.append((class_of(phrase), query.text, query.is_exhaustive, boxes))
    return found


def test_a_class_is_one_query_with_all_its_boxes_and_an_absent_class_a_query_without(tmp_path: Path) -> None:
    images = [photo(4, 11, 3, not_exhaustive_category_ids=[7]), photo(9, 8)]
    annotations = [boxed(1, 4, 7, 20), boxed(2, 4, 2, 1), boxed(3, 4, 7, 40), boxed(4, 4, 8, 1)]
    ended = build(write(tmp_path, images, annotations))
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    first, second = records_of(tmp_path / "out")
    assert (first.key, second.key) == ("coco_000000000004", "coco_000000000009")
    assert told(first) == [
        (2, "flip-flop", True, [box(1)]),
        (7, "aerosol can", False, [box(20), box(40)]),
        (8, "cat", True, [box(1)]),
        (3, "bow", True, []),
        (11, "dog", True, []),
    ]
    assert told(second) == [(8, "cat", True, [])]
    assert [query.phrases[0].provenance.annotation_id for query in first.queries] == ["2", "1 3", "4", "", ""]
    assert {query.group for query in first.queries} == {"lvis_v1_train#images[0]"}
    assert {query.phrases[0].provenance.source for query in first.queries} == {"lvis_v1_train"}
    assert len(first.regions) == 3, "a box that two classes have is one region"
    assert (first.image.file_name, first.image.source) == ("train2017/000000000004.jpg", "coco")
    manifest = manifest_of(tmp_path / "out")
    assert manifest.accounting["units"] == {
        "absence": {"in": 3, "out": 3, "rejected": {}},
        "annotation": {"in": 4, "out": 4, "rejected": {}},
        "image": {"in": 2, "out": 2, "rejected": {}},
        "photo": {"in": 2, "out": 2, "rejected": {}},
    }
    assert (manifest.recipe, manifest.prefix) == ("build lvis", "lvis-train")
    assert all(one.licence and "CC BY 4.0" in one.licence for one in manifest.inputs)


def test_all_classes_are_the_vocabulary_and_those_spoken_alike_are_two_queries(tmp_path: Path) -> None:
    assert build(write(tmp_path, [photo(1, 5)], [boxed(1, 1, 3)])).code == 0
    (record,) = records_of(tmp_path / "out")
    assert told(record) == [(3, "bow", True, [box(2)]), (5, "bow", True, [])]
    assert [(one.id, one.text, one.frequency) for one in vocabulary_of(manifest_of(tmp_path / "out"))] == [
        (2, "flip-flop", "r"), (3, "bow", "c"), (5, "bow", "f"),
        (7, "aerosol can", "f"), (8, "cat", "f"), (11, "dog", "c"),
    ]  # fmt: skip


def test_v05_names_its_photos_itself(tmp_path: Path) -> None:
    images = [
        photo(4, 8, file_name="COCO_val2014_000000000004.jpg"),
        photo(1, 8, file_name="COCO_val2014_000000000009.jpg", coco_url=None),
    ]
    write(tmp_path, images, [boxed(1, 1, 7)], photos=[4, 9])
    assert build(tmp_path).code == 0
    assert [(one.key, len(one.regions)) for one in records_of(tmp_path / "out")] == [
        ("coco_000000000004", 0),
        ("coco_000000000009", 1),
    ]


def test_photos_of_both_folders_are_in_the_shards_untouched(tmp_path: Path) -> None:
    assert build(write(tmp_path, *usual(2))).code == 0
    with tarfile.open(next((tmp_path / "out").glob("*.tar"))) as tar:
        found = {one.name: tar.extractfile(one).read() for one in tar if one.name.endswith(".jpg")}  # type: ignore[union-attr]
    assert found == {"coco_000000000001.jpg": jpeg(1), "coco_000000000002.jpg": jpeg(2)}


def test_a_class_of_which_a_box_is_lost_is_not_exhaustive(tmp_path: Path) -> None:
    annotations = [
        boxed(1, 1, 7, 20), boxed(2, 1, 7, bbox=[5, 5, 0, 3]), boxed(3, 1, 8), boxed(4, 1, 8, bbox=[60, 3, 10, 12]),
    ]  # fmt: skip
    assert build(write(tmp_path, [photo(1, 7)], annotations)).code == 0
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    clipped = (60.0, 3.0, float(WIDTH), 15.0)
    assert told(record) == [(7, "aerosol can", False, [box(20)]), (8, "cat", True, [box(2), clipped])]
    assert manifest_of(tmp_path / "out").accounting["notes"] == {"clipped-boxes": 1}
    assert reject_counts(tmp_path / "out") == {
        ("annotation", "degenerate-box"): 1,
        ("absence", "contradicted-absence"): 1,
    }


def test_every_element_that_cannot_be_used_has_a_reason(tmp_path: Path) -> None:
    images = [
        photo(1, 8, 8, 99, None, "11", 7, 5, not_exhaustive_category_ids=[5]),
        photo(2), photo(3, 7), photo(4, 7), photo(5, 7, width=WIDTH + 1), photo(6, 7), photo(7, 7, 8), photo(8, 7),
        photo(1, 11), photo(-1, 7), None, photo(9, 7, height=0), photo(10, 7, coco_url=""),
    ]  # fmt: skip
    annotations = [
        boxed(1, 1, 7), boxed(1, 1, 7), boxed(2, 1, 98), boxed(3, 1, 2, area=Verbatim("NaN")), boxed(4, 1, None),
        boxed(5, 1, 2, bbox=[500, 3, 10, 12]), boxed(6, 77, 2), boxed(7, None, 2), None,
        boxed(8, 2, 7, bbox=[5, 5, -1, 3]), boxed(9, 4, 7), boxed(10, 5, 7), boxed(11, 6, 7), boxed(12, 7, 7),
        boxed(13, 8, 7), boxed(14, 10, 7), boxed(15, -1, 7),
    ]  # fmt: skip
    write(tmp_path, images, annotations, photos=[1, 2, 3, 5, 6, 7, 8])
    (tmp_path / "photos/train2017/000000000006.jpg").write_bytes(b"no photo")
    (tmp_path / "ids.txt").write_text("7\n")
    ended = build(tmp_path, "--max-error-rate=1", f"--exclude={tmp_path / 'ids.txt'}", "--limit=6")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    first, second = records_of(tmp_path / "out")
    assert told(first) == [(7, "aerosol can", False, [box(2)]), (8, "cat", True, []), (11, "dog", True, [])]
    assert told(second) == [(7, "aerosol can", True, [])]
    assert reject_counts(tmp_path / "out") == {
        ("photo", "no-class-left"): 1, ("image", "no-class-left"): 1,
        ("photo", "missing-photo"): 1, ("image", "missing-photo"): 1,
        ("photo", "size-mismatch"): 1, ("image", "size-mismatch"): 1,
        ("photo", "unreadable-photo"): 1, ("image", "unreadable-photo"): 1,
        ("photo", "excluded"): 1, ("image", "excluded"): 1,
        ("photo", "beyond-limit"): 1, ("image", "beyond-limit"): 1,
        ("image", "duplicate-image-id"): 1, ("image", "unreadable-image"): 4,
        ("annotation", "duplicate-annotation-id"): 1, ("annotation", "unknown-class"): 1,
        ("annotation", "unreadable-annotation"): 4, ("annotation", "box-outside-photo"): 1,
        ("annotation", "annotation-of-unknown-image"): 1, ("annotation", "degenerate-box"): 1,
        ("annotation", "missing-photo"): 1, ("annotation", "size-mismatch"): 1, ("annotation", "unreadable-photo"): 1,
        ("annotation", "excluded"): 1, ("annotation", "beyond-limit"): 1, ("annotation", "image-rejected"): 2,
        ("absence", "duplicate-absence"): 1, ("absence", "unknown-class"): 1, ("absence", "unreadable-absence"): 2,
        ("absence", "contradicted-absence"): 2, ("absence", "missing-photo"): 1, ("absence", "size-mismatch"): 1,
        ("absence", "unreadable-photo"): 1, ("absence", "excluded"): 2, ("absence", "beyond-limit"): 1,
        ("absence", "image-rejected"): 1,
    }  # fmt: skip
    details = {(one.unit, one.reason): (one.input_ref, one.detail) for one in rejects_of(tmp_path / "out")}
    assert details["annotation", "unknown-class"] == (
        *("lvis_v1_train#annotations[2]", "category_id 98 is in no categories[]"),
    )
    assert details["absence", "unknown-class"] == (
        *("lvis_v1_train#neg_category_ids[2]", "class 99 is in no categories[]"),
    )
    assert details["photo", "size-mismatch"][1] == "the annotations say 65x48 pixels, the photo has 64x48"


def absences(out: Path) -> Mapping[str, list[int | None]]:
    return {
        one.key: [class_of(query.phrases[0]) for query in one.queries if not query.phrases[0].regions]
        for one in records_of(out)
    }


def test_absences_are_sampled_by_seed_and_photo(tmp_path: Path) -> None:
    write(tmp_path, [photo(n, 2, 3, 5, 7, 8) for n in range(1, 21)], [boxed(n, n, 11) for n in range(1, 21)])
    for flags, out in (
        ((), "out"),
        (("--absent=2",), "two"),
        (("--absent=2", "--seed=1"), "other"),
        (("--absent=0",), "none"),
    ):
        assert build(tmp_path, *flags, out=out).code == 0
        check(tmp_path / out)
    two, other = absences(tmp_path / "two"), absences(tmp_path / "other")
    assert {len(classes) for classes in two.values()} == {2}
    assert len({tuple(classes) for classes in two.values()}) > 3, "photos draw different absences"
    assert two != other
    assert {tuple(classes) for classes in absences(tmp_path / "out").values()} == {(2, 3, 5, 7, 8)}
    assert set(map(tuple, absences(tmp_path / "none").values())) == {()}
    assert reject_counts(tmp_path / "two") == {("absence", "beyond-absent"): 60}


def subset_world(folder: Path) -> None:
    """Forty photos with a cat each; one has the only flip-flop, two the only bows."""
    annotations = [boxed(n, n, 8) for n in range(1, 41)]
    annotations += [boxed(100, 17, 2, 20), boxed(101, 23, 3, 20), boxed(102, 31, 5, 20)]
    write(folder, [photo(n, 11) for n in range(1, 41)], annotations)


def test_a_fraction_keeps_every_class_is_reproducible_and_in_the_manifest(tmp_path: Path) -> None:
    subset_world(tmp_path)
    for flags, out in (((), "tenth"), ((), "again"), (("--seed=1",), "other")):
        assert build(tmp_path, "--fraction=0.1", *flags, out=out).code == 0
        check(tmp_path / out)
    assert files_of(tmp_path / "tenth") == files_of(tmp_path / "again")
    keys = [one.key for one in records_of(tmp_path / "tenth")]
    other = [one.key for one in records_of(tmp_path / "other")]
    rare = {"coco_000000000017", "coco_000000000023", "coco_000000000031"}
    assert rare < set(keys)
    assert rare < set(other)
    assert keys != other
    manifest = manifest_of(tmp_path / "tenth")
    ids = [str(int(key.removeprefix("coco_"))) for key in keys]
    assert manifest.config["kept"] == {"photos": 4, "of": 40, "sha256": digest_of(ids), "lost": [], "unknown": 0}
    assert [(one.ids, one.hits) for one in manifest.exclusions] == [(36, {"coco": 36})]
    assert reject_counts(tmp_path / "tenth")["photo", "excluded"] == 36
    assert len(vocabulary_of(manifest)) == len(CATEGORIES)


def test_classes_that_a_fraction_loses_are_said(tmp_path: Path) -> None:
    subset_world(tmp_path)
    ended = build(tmp_path, "--fraction=0.05")
    assert ended.code == 0
    assert "1 classes are lost: none of the 2 photos has one (ids 5)" in ended.stderr.replace("\n", " ")
    assert manifest_of(tmp_path / "out").config["kept"]["lost"] == [5]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("finetune_lvis1_train.json", {"images": [
            {"id": 0, "file_name": "000000000017.jpg", "caption": "flip-flop", "dataset_name": "lvis"},
            {"id": 1, "file_name": "000000000017.jpg", "caption": "cat", "dataset_name": "lvis"},
            {"id": 2, "file_name": "000000000003.jpg", "caption": "cat", "dataset_name": "lvis"},
            {"id": 3, "file_name": "000000000099.jpg", "caption": "cat", "dataset_name": "lvis"},
        ], "annotations": [], "categories": []}),
        ("ids.json", [17, 3, 99]),
    ],
)  # fmt: skip
def test_published_subsets_are_taken_as_they_are(name: str, content: Any, tmp_path: Path) -> None:
    subset_world(tmp_path)
    (tmp_path / name).write_bytes(to_json(content))
    ended = build(tmp_path, f"--subset={tmp_path / name}")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    assert [one.key for one in records_of(tmp_path / "out")] == ["coco_000000000003", "coco_000000000017"]
    manifest = manifest_of(tmp_path / "out")
    assert manifest.config["kept"] == {
        "photos": 2, "of": 40, "sha256": digest_of(["3", "17"]), "lost": [3, 5], "unknown": 1,
    }  # fmt: skip
    assert [Path(one.path).name for one in manifest.inputs] == [FILE, name]
    assert "1 of 3 photos of" in ended.stderr


def test_metadata_only_makes_the_same_labels_without_photos(tmp_path: Path) -> None:
    write(tmp_path, *usual(3))
    assert build(tmp_path).code == 0
    assert build(tmp_path, out="labels", photos=False).code == 0
    check(tmp_path / "labels")
    assert [(one.key, one.regions, one.queries) for one in records_of(tmp_path / "labels")] == [
        (one.key, one.regions, one.queries) for one in records_of(tmp_path / "out")
    ]


def test_two_workers_and_packed_inputs_write_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path, *usual())
    (tmp_path / f"{FILE}.gz").write_bytes(gzip.compress((tmp_path / FILE).read_bytes()))
    assert build(tmp_path, "--shard-bytes=3KB").code == 0
    assert len(manifest_of(tmp_path / "out").shards) > 3
    assert build(tmp_path, "--shard-bytes=3KB", "--workers=2", out="again").code == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "again")
    assert build(tmp_path, "--shard-bytes=3KB", out="packed", ending=".gz").code == 0
    plain, packed = files_of(tmp_path / "out"), files_of(tmp_path / "packed")
    differ = [name for name in plain if plain[name] != packed.get(name)]
    assert all(name in ("README.md", "manifest.json") or name.endswith(".stats.json") for name in differ), differ


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *usual())
    check_interruption(build, tmp_path, monkeypatch, other="--absent=1")


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    ended = build(write(tmp_path, *usual()), "--dry-run", "--json")
    assert ended.code == 0, ended.stderr
    plan = json.loads(ended.stdout)
    assert (plan["photos"], plan["images_read"], plan["annotations_read"], plan["absences_read"]) == (12, 12, 36, 24)
    assert not (tmp_path / "out").exists()


def test_wrong_input_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, *usual(2))
    given = {"annotations": tmp_path / FILE, "image-root": f"coco={tmp_path}/photos"}
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[:-9])
    (tmp_path / "classless.json").write_bytes(to_json({"images": [], "annotations": [], "categories": []}))
    (tmp_path / "empty.txt").write_bytes(b"")
    for changes, message in (
        ({"annotations": None}, "give --annotations"),
        ({"image-root": None}, "give --image-root coco=DIR"),
        ({"image-root": f"vg={tmp_path}/photos"}, "give --image-root coco=DIR"),
        ({"annotations": tmp_path / "none.json"}, "there is no such file"),
        ({"annotations": tmp_path / "cut.json"}, "the file is truncated"),
        ({"annotations": tmp_path / "classless.json"}, "has no categories"),
        ({"fraction": 0}, "--fraction 0.0 must be above 0"),
        ({"fraction": 1.5}, "--fraction 1.5 must be above 0 and at most 1"),
        ({"fraction": 0.1, "subset": "x.json"}, "--fraction and --subset both choose photos"),
        ({"subset": tmp_path / "none.txt"}, "there is no such file"),
        ({"subset": tmp_path / "empty.txt"}, "holds no photo id"),
        ({"absent": -1}, "--absent -1 must be at least 0"),
    ):
        flags = [f"--{name}={value}" for name, value in (given | changes).items() if value is not None]
        ended = run_cli("build", "lvis", *flags, f"--out={tmp_path / 'wrong'}", "--workers=0")
        assert ended.code in (1, 2), changes
        (line,) = ended.errors
        assert message in line, line
        assert not (tmp_path / "wrong" / "manifest.json").exists()


def spoken(name: str) -> str:
    return name.split("_(")[0].replace("_", " ")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lvis") / "world"
    assert run_cli("toyworld", "--photos=60", f"--out={path}", "--workers=0").code == 0
    return path


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("version", ["v1", "v0.5"])
def test_the_toy_worlds_lvis_is_built_as_its_file_says(version: str, split: str, world: Path, tmp_path: Path) -> None:
    path = world / f"lvis/lvis_{version}_{split}.json"
    ended = run_cli(
        *("build", "lvis", f"--annotations={path}", f"--image-root=coco={world / 'photos/coco'}"),
        *(f"--out={tmp_path / 'out'}", "--workers=0", f"--split={split}"),
    )
    assert ended.code == 0, ended.stderr
    equals_file(tmp_path / "out", path)


@needs_fixtures
def test_the_real_fixture_is_built_as_its_file_says(tmp_path: Path) -> None:
    path = FIXTURES / "lvis_val_10.json"
    ended = run_cli(
        "build", "lvis", f"--annotations={path}", f"--image-root=coco={FIXTURES}", f"--out={tmp_path / 'out'}"
    )
    assert ended.code == 0, ended.stderr
    assert len(records_of(tmp_path / "out")) == 10
    equals_file(tmp_path / "out", path)


def equals_file(out: Path, path: Path) -> None:
    """Classes, boxes, absences and flags of every photo are those of the file, and nothing was dropped."""
    check(out)
    assert reject_counts(out) == {}
    told_by = json.loads(path.read_text())
    names = {one["id"]: one["name"] for one in told_by["categories"]}
    assert {one.id: one.name for one in vocabulary_of(manifest_of(out))} == names
    records = {one.key: one for one in records_of(out)}
    assert len(records) == len(told_by["images"]) > 0
    for one in told_by["images"]:
        boxes: dict[int, set[tuple[float, ...]]] = {number: set() for number in one["neg_category_ids"]}
        for known in told_by["annotations"]:
            if known["image_id"] == one["id"]:
                x, y, w, h = known["bbox"]
                box_xyxy = (x, y, min(x + w, one["width"]), min(y + h, one["height"]))
                boxes.setdefault(known["category_id"], set()).add(box_xyxy)
        found = told(records[f"coco_{one['id']:012d}"])
        assert {number: set(named) for number, _, _, named in found} == boxes
        assert len(found) == len(boxes)
        assert all(text == spoken(names[number or 0]) for number, text, _, _ in found)
        unsure = {number for number, _, is_exhaustive, _ in found if not is_exhaustive}
        assert unsure == set(one["not_exhaustive_category_ids"]) & boxes.keys()
