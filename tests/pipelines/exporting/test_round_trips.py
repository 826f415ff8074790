"""COCO, MDETR and GRIT: there and back through the command lines, and files of others with their damage."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange import exchangeable, one_a_photo, plain
from tests.pipelines.exporting.test_odvg import there_and_back, write_dataset
from tests.pipelines.tiny import World, manifest_of, records_of, reject_counts, run_cli, usual_args
from xdetr_data.exports.formats import COCO, COCO_FEDERATED, GRIT, MDETR, Format
from xdetr_data.exports.project import project
from xdetr_data.masks import decode_mask
from xdetr_data.record import GroundedImage
from xdetr_data.vocabulary import class_of, vocabulary_of

FIXTURES = os.environ.get("XDETR_FIXTURES", "")


def absences_last(record: GroundedImage) -> GroundedImage:
    """COCO's fields do not say where among the classes those stand that are absent."""
    queries = sorted(record.queries, key=lambda query: not any(phrase.regions for phrase in query.phrases))
    return msgspec.structs.replace(record, queries=tuple(queries))


@pytest.mark.parametrize("target", [MDETR, GRIT, COCO, COCO_FEDERATED], ids=lambda one: one.name)
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_records_come_back_but_for_what_the_table_says(target: Format, data: st.DataObject) -> None:
    records = one_a_photo(data.draw(st.lists(exchangeable(), min_size=1, max_size=4)))
    held = [one for record in records if (one := project(record, target)[0]) is not None]
    texts = sorted({query.text for one in held for query in one.queries}) if target is COCO_FEDERATED else []
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data", records, texts)
        if held:
            again = there_and_back(Path(folder), target.name.split()[0])
            assert [plain(one) for one in again] == [
                plain(absences_last(one) if target.is_of_classes else one) for one in held
            ]


def test_a_dataset_of_classes_keeps_its_vocabulary(tmp_path: Path) -> None:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    (tmp_path / "out").rename(tmp_path / "data")
    again = there_and_back(tmp_path, "coco")
    texts = {one.id: one.text for one in vocabulary_of(manifest_of(tmp_path / "again"))}
    for query in [query for one in again for query in one.queries]:
        assert texts[class_of(query.phrases[0]) or 0] == query.text


def imported(tmp_path: Path, origin: str, content: str, *more: str, name: str = "theirs.json") -> list[GroundedImage]:
    (tmp_path / name).write_text(content)
    ended = run_cli(
        "import", f"{tmp_path}/{name}", f"--from={origin}", "--metadata-only", "--workers=0",
        "--max-error-rate=1", f"--out={tmp_path}/out", *more,
    )  # fmt: skip
    assert ended.code == 0, ended.stderr
    return records_of(tmp_path / "out")


def annotation(number: int, image: Any, category: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": [1, 2, 10, 12], **more}


PIXELS = {"size": [48, 64], "counts": [49, 3, 48 * 64 - 52]}
SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]


def test_damage_of_others_coco_files_is_accounted_for(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "000000000001.jpg", "height": 48, "width": 64},
        {"id": 2, "coco_url": "http://a/train2017/000000000002.jpg", "height": 48, "width": 64,
         "neg_category_ids": [2, 9, "x", 1, 2], "not_exhaustive_category_ids": [3]},
        {"id": 3, "height": 48, "width": 64},
        {"id": 4, "file_name": "../4.jpg", "height": 48, "width": 64},
        {"id": 5, "file_name": "000000000005.jpg", "height": 48, "width": 64},
    ]  # fmt: skip
    annotations = [
        annotation(1, 1, segmentation=SQUARE),
        annotation(2, 1, iscrowd=1, segmentation=PIXELS),
        annotation(3, 1, 7),
        annotation(4, 1, bbox=[1, 1, 0, 4]),
        annotation(5, 99),
        {"id": 6, "image_id": 1},
        annotation(7, 2, segmentation=[[1e300, 2, 3, 4, 5, 6]]),
        annotation(8, 2, 3, segmentation={"size": [9, 9], "counts": "x"}),
        annotation(9, 2, 3, segmentation=[]),
    ]
    categories = [{"id": 1, "name": "traffic light"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "bow_(weapon)"}]
    content = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    first, second = imported(tmp_path, "coco", content, "--source=coco")
    assert reject_counts(tmp_path / "out") == {
        ("image", "unreadable-image"): 1,
        ("image", "unsafe-file-name"): 1,
        ("image", "no-class-left"): 1,
        ("photo", "no-class-left"): 1,
        ("annotation", "unknown-class"): 1,
        ("annotation", "degenerate-box"): 1,
        ("annotation", "unreadable-annotation"): 1,
        ("annotation", "annotation-of-unknown-image"): 1,
        ("absence", "unknown-class"): 1,
        ("absence", "unreadable-absence"): 1,
        ("absence", "contradicted-absence"): 1,
        ("absence", "duplicate-absence"): 1,
    }
    assert manifest_of(tmp_path / "out").accounting["notes"]["unreadable-masks"] == 2
    square, crowd = first.regions
    assert decode_mask(str(square.mask), (48, 64)).sum() == 100
    assert (crowd.is_crowd, decode_mask(str(crowd.mask), (48, 64)).sum()) == (True, 3)
    assert [(one.text, one.is_exhaustive, one.phrases[0].regions) for one in first.queries] == [
        ("traffic light", False, (0, 1))
    ]
    assert [(one.text, one.is_exhaustive, one.phrases[0].regions) for one in second.queries] == [
        ("traffic light", True, (0,)),
        ("bow_(weapon)", False, (0,)),
        ("dog", True, ()),
    ]


def test_coco_says_by_which_flag_its_collection_is_told(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "1.jpg", "height": 48, "width": 64}]
    data = {"images": images, "annotations": [annotation(1, 1)], "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "theirs.json").write_text(json.dumps(data))
    ended = run_cli("import", f"{tmp_path}/theirs.json", "--from=coco", "--metadata-only", f"--out={tmp_path}/out")
    assert ended.code == 1
    assert "give --source NAME" in ended.errors[0]


CHUNKS: list[Any] = [
    [2, 5, 0.25, 0.25, 0.5, 0.5, 0.9], [2, 5, 0.5, 0.5, 0.75, 1.2, 0.8], [2, 99, 0, 0, 1, 1, 1],
    [2, 5, 0.5, 0.5, 0.5, 0.6, 1], [0, 1.5, 0, 0, 1, 1, 1], "x", [1, 2],
]  # fmt: skip


def test_lines_of_published_grit_name_photos_by_their_keys(tmp_path: Path) -> None:
    about = {"width": 64, "height": 48, "clip_similarity_vitb32": 0.3, "url": "http://a/b.jpg"}
    lines = [
        {"key": "000373938", "caption": "a man", "noun_chunks": CHUNKS, "ref_exps": [[0, 5, 0.25, 0.25, 0.5, 0.5, 1]]},
        {"caption": "no name", "noun_chunks": []},
        {"key": "000373939", "caption": "no chunks"},
        {"key": "000373940", "caption": " ", "noun_chunks": [CHUNKS[0]]},
    ]
    content = "\n".join(json.dumps(one | about) for one in lines)
    (record,) = imported(tmp_path, "grit", content, "--source=grit", name="theirs.jsonl")
    assert record.image.file_name == "00037/000373938.jpg"
    (query,) = record.queries
    assert [(one.spans, one.regions) for one in query.phrases] == [(((2, 5),), (0, 1)), (((0, 5),), (0,))]
    assert [one.box_xyxy for one in record.regions] == [(16, 12, 32, 24), (32, 24, 48, 48)]
    assert reject_counts(tmp_path / "out") == {
        ("line", "unreadable-line"): 2,
        ("line", "empty-caption"): 1,
        ("photo", "no-line-left"): 1,
        ("region", "line-rejected"): 1,
        ("region", "bad-span"): 1,
        ("region", "degenerate-box"): 1,
        ("region", "unreadable-region"): 3,
    }


def test_keys_that_a_table_holds_as_numbers_are_padded_again(tmp_path: Path) -> None:
    line = {"key": 373938, "caption": "a man", "width": 64, "height": 48, "noun_chunks": CHUNKS[:1]}
    (record,) = imported(tmp_path, "grit", json.dumps(line), "--source=grit", name="theirs.jsonl")
    assert record.image.file_name == "00037/000373938.jpg"


def test_grits_parquet_is_read_as_its_lines_are(tmp_path: Path) -> None:
    rows = [
        {"key": f"{number:09d}", "caption": "a man", "width": 64, "height": 48, "noun_chunks": CHUNKS[:2]}
        for number in range(9000)
    ]
    lines = imported(tmp_path, "grit", "\n".join(map(json.dumps, rows)), "--source=grit", name="theirs.jsonl")
    table = pa.Table.from_pylist(rows, schema=pa.schema({
        "key": pa.string(), "caption": pa.string(), "width": pa.int64(), "height": pa.int64(),
        "noun_chunks": pa.list_(pa.list_(pa.float64())),
    }))  # fmt: skip
    pq.write_table(table, tmp_path / "theirs.parquet", row_group_size=1000)
    ended = run_cli("import", f"{tmp_path}/theirs.parquet", "--from=grit", "--metadata-only", "--workers=0",
                    "--source=grit", f"--out={tmp_path}/parquet")  # fmt: skip
    assert ended.code == 0, ended.stderr
    assert [*map(plain, records_of(tmp_path / "parquet"))] == [*map(plain, lines)]


def test_a_parquet_that_is_cut_short_is_to_be_fetched_again(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["000000001"], "caption": ["a man"]}), tmp_path / "theirs.parquet")
    data = (tmp_path / "theirs.parquet").read_bytes()
    (tmp_path / "theirs.parquet").write_bytes(data[:-9])
    ended = run_cli("import", f"{tmp_path}/theirs.parquet", "--from=grit", "--metadata-only", "--source=grit",
                    "--workers=0", f"--out={tmp_path}/out")  # fmt: skip
    assert ended.code == 1
    assert len(ended.errors) == 1
    assert "fetch it again" in ended.errors[0]


def test_paragraphs_of_mdetr_stay_whole(tmp_path: Path) -> None:
    World().write(tmp_path)
    ended = run_cli("import", f"{tmp_path}/final_mixed_train.json", "--from=mdetr", "--metadata-only", "--workers=0",
                    f"--out={tmp_path}/out")  # fmt: skip
    assert ended.code == 0, ended.stderr
    captions = {one["caption"] for one in json.loads((tmp_path / "final_mixed_train.json").read_text())["images"]}
    assert {query.text for one in records_of(tmp_path / "out") for query in one.queries} == captions


def test_exported_sentences_are_not_split_again(tmp_path: Path) -> None:
    World().write(tmp_path)
    assert run_cli(*usual_args(tmp_path)).code == 0
    assert run_cli("export", f"{tmp_path}/out", "--to=mdetr", f"--out={tmp_path}/mdetr").code == 0
    ended = run_cli("build-mixed-star", f"--mdetr={tmp_path}/mdetr/final_sentences.json", "--boxes=none",
                    "--metadata-only", "--workers=0", f"--out={tmp_path}/again")  # fmt: skip
    assert ended.code == 0, ended.stderr
    texts = [query.text for one in records_of(tmp_path / "out") for query in one.queries]
    assert [query.text for one in records_of(tmp_path / "again") for query in one.queries] == texts


@pytest.mark.skipif(not FIXTURES, reason="needs the real files: set XDETR_FIXTURES")
def test_exported_paragraphs_have_the_fields_of_the_released_files(tmp_path: Path) -> None:
    real = Path(FIXTURES, "mdetr/final_flickr_separateGT_train.json")
    ended = run_cli("import", f"{real}", "--from=mdetr", "--metadata-only", "--workers=0", f"--out={tmp_path}/out")
    assert ended.code == 0, ended.stderr
    assert run_cli("export", f"{tmp_path}/out", "--to=mdetr", f"--out={tmp_path}/mdetr").code == 0
    theirs = json.loads(real.read_text())
    ours = json.loads((tmp_path / "mdetr/final_sentences.json").read_text())
    assert set(theirs) <= set(ours)
    assert {*theirs["images"][0], "original_id", "data_source"} == set(ours["images"][0])
    assert set(theirs["annotations"][0]) == set(ours["annotations"][0])
    assert sorted(one["caption"] for one in ours["images"]) == sorted(one["caption"] for one in theirs["images"])
    ids = {one["id"] for one in ours["images"]}
    assert {one["image_id"] for one in ours["annotations"]} <= ids
    assert len({one["id"] for one in ours["annotations"]}) == len(ours["annotations"])
