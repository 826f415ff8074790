"""``build visual-genome``: every region accounted for, the same bytes from any number of processes and any packing."""

import gzip
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

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

REGIONS, IMAGE_DATA = "region_descriptions.json", "image_data.json"


def region(number: Any, photo: Any, phrase: Any = "a red ball", **changes: Any) -> dict[str, Any]:
    return {
        "region_id": number, "width": 10, "height": 12, "image_id": photo, "phrase": phrase, "y": 3, "x": 2
    } | changes  # fmt: skip


def box(number: Any, photo: Any, phrase: Any = "the blue box", **changes: Any) -> dict[str, Any]:
    return region(number, photo, phrase, **{"x": 30, "y": 20, "width": 20, "height": 16} | changes)


def write(
    folder: Path,
    images: Sequence[Any],
    *,
    photos: Sequence[int] | None = None,
    sizes: Sequence[Any] | None = None,
) -> Path:
    """The files of a tiny Visual Genome; photos are by turns in either of its two folders."""
    ids = [one["id"] for one in images if isinstance(one, dict) and isinstance(one.get("id"), int)]
    (folder / REGIONS).write_bytes(to_json(images))
    (folder / IMAGE_DATA).write_bytes(to_json(ids_and_sizes(ids) if sizes is None else sizes))
    for part in ("VG_100K", "VG_100K_2"):
        (folder / "photos" / part).mkdir(parents=True)
    for number in ids if photos is None else photos:
        part = "VG_100K" if number % 2 else "VG_100K_2"
        (folder / "photos" / part / f"{number}.jpg").write_bytes(jpeg(number))
    return folder


def ids_and_sizes(ids: Sequence[int], **changes: Any) -> list[dict[str, Any]]:
    return [{"image_id": one, "width": WIDTH, "height": HEIGHT, "coco_id": None} | changes for one in ids]


def images(count: int = 12) -> list[Any]:
    """Photos 1 to ``count``, three regions each."""
    return [
        {"id": n, "regions": [region(10 * n, n), box(10 * n + 1, n), region(10 * n + 2, n, f"ball number {n}", x=3)]}
        for n in range(1, count + 1)
    ]


def build(folder: Path, *more: str, out: str = "out", photos: bool = True, ending: str = "") -> Ended:
    return run_cli(
        "build",
        "visual-genome",
        f"--regions={folder / REGIONS}{ending}",
        f"--image-data={folder / IMAGE_DATA}{ending}",
        f"--image-root=vg={folder / 'photos'}" if photos else "--metadata-only",
        f"--out={folder / out}",
        "--workers=0",
        *more,
    )


def told(record: GroundedImage) -> list[tuple[str, tuple[float, ...]]]:
    """Each query with the box that its whole text names."""
    result = []
    for query in record.queries:
        (phrase,) = query.phrases
        assert phrase.spans == ((0, len(query.text)),)
        result.append((query.text, record.regions[phrase.regions[0]].box_xyxy))
    return result


BALL, BOX = (2.0, 3.0, 12.0, 15.0), (30.0, 20.0, 50.0, 36.0)


def test_a_region_is_a_query_whose_whole_text_names_its_box(tmp_path: Path) -> None:
    ended = build(write(tmp_path, images(2)))
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    first, second = records_of(tmp_path / "out")
    assert (first.key, second.key) == ("vg_1", "vg_2")
    assert told(first) == [("a red ball", BALL), ("the blue box", BOX), ("ball number 1", BALL)]
    assert [query.group for query in second.queries] == [f"region_descriptions#regions[{row}]" for row in (3, 4, 5)]
    assert [(one.provenance.source, one.provenance.annotation_id, one.provenance.detail) for one in second.regions] == [
        ("region_descriptions", "20", "also 22"),
        ("region_descriptions", "21", ""),
    ]
    assert [query.phrases[0].provenance.annotation_id for query in second.queries] == ["20", "21", "22"]
    assert (first.image.file_name, first.image.source, first.image.size_hw) == ("1.jpg", "vg", (HEIGHT, WIDTH))
    manifest = manifest_of(tmp_path / "out")
    assert manifest.accounting["units"] == {
        "image": {"in": 2, "out": 2, "rejected": {}},
        "photo": {"in": 2, "out": 2, "rejected": {}},
        "region": {"in": 6, "out": 6, "rejected": {}},
    }
    assert [(one.role, Path(one.path).name) for one in manifest.inputs] == [
        ("regions", REGIONS),
        ("image-data", IMAGE_DATA),
    ]
    assert all(one.licence and "CC BY 4.0" in one.licence for one in manifest.inputs)
    assert (manifest.recipe, manifest.prefix) == ("build visual-genome", "visual-genome-train")


def test_photos_of_both_folders_are_in_the_shards_untouched(tmp_path: Path) -> None:
    assert build(write(tmp_path, images(2))).code == 0
    with tarfile.open(next((tmp_path / "out").glob("*.tar"))) as tar:
        found = {one.name: tar.extractfile(one).read() for one in tar if one.name.endswith(".jpg")}  # type: ignore[union-attr]
    assert found == {"vg_1.jpg": jpeg(1), "vg_2.jpg": jpeg(2)}


def test_texts_come_out_with_white_space_tidied_and_otherwise_as_written(tmp_path: Path) -> None:
    phrases = ["  A Man\n", "two  dogs\t\r\nRun.", "éé\u00a0'x' \"y\"", "a\n"]
    made = [{"id": 5, "regions": [region(n, 5, phrase, x=2 + 13 * n) for n, phrase in enumerate(phrases)]}]
    assert build(write(tmp_path, made)).code == 0
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert [text for text, _ in told(record)] == ["A Man", "two dogs Run.", "éé 'x' \"y\"", "a"]


def test_a_box_that_leaves_the_photo_is_clipped_and_one_that_is_no_box_is_rejected(tmp_path: Path) -> None:
    made = [
        {
            "id": 5,
            "regions": [
                region(1, 5, x=-4, y=30, width=80, height=10),
                region(2, 5, x=WIDTH, width=9),
                region(3, 5, y=-20, height=20),
                region(4, 5, width=0),
                region(5, 5, height=-3),
            ],
        }
    ]
    assert build(write(tmp_path, made)).code == 0
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert [box for _, box in told(record)] == [(0.0, 30.0, float(WIDTH), 40.0)]
    assert manifest_of(tmp_path / "out").accounting["notes"] == {"clipped-boxes": 1}
    assert reject_counts(tmp_path / "out") == {("region", "box-outside-photo"): 2, ("region", "degenerate-box"): 2}


def test_regions_of_nearly_one_box_are_one_object_as_the_option_says(tmp_path: Path) -> None:
    write(tmp_path, images(1))
    for option, boxes in (([], 2), (["--merge-iou=0.9"], 3), (["--merge-iou=1"], 3)):
        assert build(tmp_path, *option, "--overwrite").code == 0
        (record,) = records_of(tmp_path / "out")
        assert (len(record.regions), len(record.queries)) == (boxes, 3)
    assert told(record)[2] == ("ball number 1", (3.0, 3.0, 13.0, 15.0))


def test_every_element_that_cannot_be_used_has_a_reason(tmp_path: Path) -> None:
    made = [
        {"id": 1, "regions": [
            region(1, 1), region(1, 1, "again"), region(2, 1, " \n"), region(3, 9), region(4, 1, x=Verbatim("NaN")),
            region(5, 1, Verbatim('"\\ud800"')), region(6, 1, None), 7, region(8, 1, x=Verbatim("1e999")), {},
        ]},
        {"id": 2, "regions": []},
        {"id": 3, "regions": [region(9, 3, "")]},
        {"id": 4, "regions": [region(10, 4), region(11, 4)]},
        {"id": 5, "regions": [region(12, 5)]},
        {"id": 6, "regions": [region(13, 6)]},
        {"id": 7, "regions": [region(14, 7), None]},
        {"id": "8", "regions": [region(15, 8), region(16, 8)]},
        {"id": 9}, None,
        {"id": 1, "regions": [region(17, 1, "of a second entry")]},
        {"id": 10, "regions": [region(18, 10)]},
        {"id": 11, "regions": [region(19, 11)]},
    ]  # fmt: skip
    sizes = [*ids_and_sizes([1, 2, 3, 5, 7, 10, 11]), *ids_and_sizes([6], width=WIDTH + 1), None]
    write(tmp_path, made, photos=[1, 2, 3, 4, 6, 7, 10, 11], sizes=sizes)
    (tmp_path / "photos" / "VG_100K" / "7.jpg").write_bytes(b"no photo")
    (tmp_path / "ids.txt").write_text("vg_10\n")
    ended = build(tmp_path, "--max-error-rate=1", f"--exclude={tmp_path / 'ids.txt'}", "--limit=6")
    assert ended.code == 0, ended.stderr
    check(tmp_path / "out")
    (record,) = records_of(tmp_path / "out")
    assert [text for text, _ in told(record)] == ["a red ball", "of a second entry"]
    assert reject_counts(tmp_path / "out") == {
        ("photo", "no-region-left"): 2,
        ("photo", "missing-photo"): 1,
        ("photo", "size-mismatch"): 1,
        ("photo", "unreadable-photo"): 1,
        ("photo", "excluded"): 1,
        ("photo", "beyond-limit"): 1,
        ("image", "no-region-left"): 2,
        ("image", "not-in-image-data"): 1,
        ("image", "missing-photo"): 1,
        ("image", "size-mismatch"): 1,
        ("image", "unreadable-photo"): 1,
        ("image", "unreadable-image"): 3,
        ("image", "duplicate-image-id"): 1,
        ("image", "excluded"): 1,
        ("image", "beyond-limit"): 1,
        ("region", "duplicate-annotation-id"): 1,
        ("region", "empty-phrase"): 2,
        ("region", "wrong-image-id"): 1,
        ("region", "unreadable-region"): 6,
        ("region", "image-rejected"): 4,
        ("region", "missing-photo"): 1,
        ("region", "size-mismatch"): 1,
        ("region", "unreadable-photo"): 2,
        ("region", "excluded"): 1,
        ("region", "beyond-limit"): 1,
    }
    assert manifest_of(tmp_path / "out").accounting["units"]["region"]["in"] == 22
    details = {(one.unit, one.reason): (one.input_ref, one.detail) for one in rejects_of(tmp_path / "out")}
    assert details["photo", "size-mismatch"][1] == "image data says 65x48 pixels, the photo has 64x48"
    assert details["image", "not-in-image-data"] == (
        *("region_descriptions#[3]", "image_data states no size of image 4"),
    )
    assert details["region", "wrong-image-id"] == ("region_descriptions#regions[3]", "its image_id is 9")


def test_metadata_only_makes_the_same_labels_without_photos(tmp_path: Path) -> None:
    write(tmp_path, [*images(3), {"id": 9, "regions": [region(1, 9)]}], sizes=ids_and_sizes([1, 2, 3]))
    assert build(tmp_path).code == 0
    assert build(tmp_path, out="labels", photos=False).code == 0
    check(tmp_path / "labels")
    assert [(one.key, one.regions, one.queries) for one in records_of(tmp_path / "labels")] == [
        (one.key, one.regions, one.queries) for one in records_of(tmp_path / "out")
    ]
    for out in ("out", "labels"):
        assert reject_counts(tmp_path / out) == {("image", "not-in-image-data"): 1, ("region", "image-rejected"): 1}


def test_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path, images())
    assert build(tmp_path, "--shard-bytes=3KB").code == 0
    assert len(manifest_of(tmp_path / "out").shards) > 3
    assert build(tmp_path, "--shard-bytes=3KB", "--workers=2", out="again").code == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "again")


def test_gzip_inputs_make_the_same_shards(tmp_path: Path) -> None:
    write(tmp_path, [*images(), None, {"id": 99, "regions": [region(1, 99, Verbatim('"\\ud800"'))]}])
    for name in (REGIONS, IMAGE_DATA):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    assert build(tmp_path, "--shard-bytes=3KB").code == 0
    assert build(tmp_path, "--shard-bytes=3KB", out="packed", ending=".gz").code == 0
    plain, packed = files_of(tmp_path / "out"), files_of(tmp_path / "packed")
    assert plain.keys() == packed.keys()
    differ = [name for name in plain if plain[name] != packed[name]]
    assert all(name in ("README.md", "manifest.json") or name.endswith(".stats.json") for name in differ), differ
    assert manifest_of(tmp_path / "out").accounting == manifest_of(tmp_path / "packed").accounting


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, images())
    check_interruption(build, tmp_path, monkeypatch, other="--merge-iou=1")


def test_other_sizes_are_another_configuration(tmp_path: Path) -> None:
    write(tmp_path, images(2))
    assert build(tmp_path).code == 0
    (tmp_path / IMAGE_DATA).write_bytes(to_json(ids_and_sizes([1, 2], coco_id=5)))
    assert "another configuration" in build(tmp_path, "--resume").errors[0]


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    ended = build(write(tmp_path, images()), "--dry-run", "--json")
    assert ended.code == 0, ended.stderr
    plan = json.loads(ended.stdout)
    assert (plan["photos"], plan["images_read"], plan["regions_read"], plan["shards"]) == (12, 12, 36, 1)
    assert plan["label_bytes"] == sum(len(to_json(one)) for entry in images() for one in entry["regions"])
    assert not (tmp_path / "out").exists()


def test_wrong_input_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, images(2))
    given = {"regions": tmp_path / REGIONS, "image-data": tmp_path / IMAGE_DATA, "image-root": f"vg={tmp_path}/photos"}
    whole = (tmp_path / REGIONS).read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[:-9])
    (tmp_path / "object.json").write_bytes(b'{"images": []}')
    (tmp_path / "empty.json").write_bytes(b"[]")
    for changes, message in (
        ({"regions": None}, "give --regions"),
        ({"image-data": None}, "give --image-data"),
        ({"image-root": None}, "give --image-root vg=DIR"),
        ({"merge-iou": 0}, "--merge-iou 0.0 must be above 0"),
        ({"image-root": f"coco={tmp_path}/photos"}, "give --image-root vg=DIR"),
        ({"regions": tmp_path / "none.json"}, "none.json"),
        ({"regions": tmp_path / "cut.json"}, "the file is truncated"),
        ({"regions": tmp_path / "object.json"}, "expected one JSON array"),
        ({"regions": tmp_path / "empty.json"}, "the inputs hold no image); check --regions"),
        ({"regions": tmp_path / IMAGE_DATA}, "images have no 'regions'"),
        ({"image-data": tmp_path / REGIONS}, "states the size of no image"),
        ({"image-data": tmp_path / "empty.json"}, "states the size of no image"),
    ):
        args = [f"--{name}={value}" for name, value in (given | changes).items() if value is not None]
        ended = run_cli("build", "visual-genome", *args, f"--out={tmp_path}/never", "--workers=0")
        assert ended.code in (1, 2)
        assert len(ended.errors) == 1
        assert message in ended.errors[0]
        assert not (tmp_path / "never" / "manifest.json").exists()


def test_a_second_file_where_there_is_one_is_refused_and_not_read_in_place_of_the_first(tmp_path: Path) -> None:
    write(tmp_path, images(2))
    ended = build(tmp_path, f"--regions={tmp_path / 'more.json'}")
    assert ended.code == 2
    (line,) = ended.errors
    assert "--regions is given 2 times" in line
    assert "more.json); it takes one" in line


def test_a_file_named_in_a_config_file_gives_way_to_the_flag(tmp_path: Path) -> None:
    write(tmp_path, images(2))
    config = tmp_path / "run.yaml"
    config.write_text(f"regions: none.json\nimage-data: {tmp_path / IMAGE_DATA}\nmetadata-only: true\n")
    args = (f"--config={config}", f"--out={tmp_path / 'out'}", "--workers=0")
    assert "none.json: there is no such file" in run_cli("build", "visual-genome", *args).errors[0]
    assert run_cli("build", "visual-genome", *args, f"--regions={tmp_path / REGIONS}").code == 0
    assert manifest_of(tmp_path / "out").rows == 2
