"""MDETR's files: the fields that are read, the three flavours, and that reading many is reading each."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import Unreadable
from xdetr_data.sources.mdetr import read_chunks
from xdetr_data.sources.mdetr_records import (
    MdetrAnnotation,
    MdetrParagraph,
    ParagraphHead,
    parse_annotation,
    parse_annotations,
    parse_heads,
    parse_paragraph,
)

# Records as MDETR's own scripts write them, with names and words of our own.
MIXED = {
    "file_name": "COCO_train2014_000000000007.jpg",
    "height": 640,
    "width": 427,
    "id": 3,
    "original_id": "7",
    "caption": "one dog on a chair. a red ball.",
    "tokens_negative": [[0, 3], [8, 10]],
    "data_source": "coco",
    "dataset_name": "mixed",
}
FLICKR = {
    "file_name": "1000.jpg",
    "height": "500",
    "width": "375",
    "id": 0,
    "caption": "A dog. Or two.",
    "dataset_name": "flickr",
    "tokens_negative": [[0, 14]],
    "sentence_id": 0,
    "original_img_id": 1000,
    "tokens_positive_eval": [[[0, 5]]],
}
REFEXP = {
    "file_name": "COCO_train2014_000000000007.jpg",
    "height": 640,
    "width": 427,
    "id": 9,
    "original_id": 7,
    "caption": "the dog on the left",
    "dataset_name": "refcoco",
    "tokens_negative": [[0, 19]],
}
ANNOTATION = {
    "area": 40430.0,
    "iscrowd": 0,
    "image_id": 3,
    "category_id": 1,
    "id": 12,
    "bbox": [1.5, 2, 30, 40.25],
    "tokens_positive": [[0, 3], [4, 7]],
    "original_id": 5,
}


def data(record: object) -> bytes:
    return json.dumps(record).encode()


def test_a_mixed_paragraph_is_packed_and_names_its_source() -> None:
    assert parse_paragraph(data(MIXED)) == MdetrParagraph(
        id=3,
        file_name="COCO_train2014_000000000007.jpg",
        caption="one dog on a chair. a red ball.",
        height=640,
        width=427,
        tokens_negative=[(0, 3), (8, 10)],
        data_source="coco",
        dataset_name="mixed",
    )


@pytest.mark.parametrize(("record", "packed"), [(MIXED, True), (FLICKR, False), (REFEXP, False)])
def test_only_mixed_captions_are_packed(record: dict[str, Any], packed: bool) -> None:
    paragraph = parse_paragraph(data(record))
    assert isinstance(paragraph, MdetrParagraph)
    assert paragraph.is_packed is packed


def test_flickr_sizes_are_texts_and_become_numbers() -> None:
    paragraph = parse_paragraph(data(FLICKR))
    assert isinstance(paragraph, MdetrParagraph)
    assert (paragraph.height, paragraph.width) == (500, 375)


def test_an_annotation_keeps_its_box_and_spans_and_forgets_its_area() -> None:
    assert parse_annotation(data(ANNOTATION)) == MdetrAnnotation(
        id=12, image_id=3, bbox=(1.5, 2.0, 30.0, 40.25), tokens_positive=[[0, 3], [4, 7]], iscrowd=0
    )


@pytest.mark.parametrize("missing", ["id", "image_id", "bbox", "tokens_positive"])
def test_an_annotation_without_what_is_needed_is_unreadable_and_says_what(missing: str) -> None:
    found = parse_annotation(data({key: value for key, value in ANNOTATION.items() if key != missing}))
    assert isinstance(found, Unreadable)
    assert f"`{missing}`" in found.problem
    assert found.id == (None if missing == "id" else 12)


def test_a_head_holds_what_planning_needs() -> None:
    (head,) = parse_heads(data(FLICKR))
    assert head == ParagraphHead(id=0, file_name="1000.jpg", height=500, width=375, dataset_name="flickr")


GOOD_OR_BAD = st.lists(
    st.sampled_from([ANNOTATION, ANNOTATION | {"id": 13}, ANNOTATION | {"bbox": None}, None, 7, {}, "x", []]),
    max_size=6,
)


@given(GOOD_OR_BAD)
def test_reading_many_annotations_is_reading_each(records: list[Any]) -> None:
    parts = [data(record) for record in records]
    assert parse_annotations(parts) == [parse_annotation(part) for part in parts]


@given(st.lists(st.sampled_from([MIXED, FLICKR, REFEXP, MIXED | {"id": "x"}, None, {}, [1]]), max_size=6))
def test_reading_many_heads_is_reading_each(records: list[Any]) -> None:
    parts = [data(record) for record in records]
    assert parse_heads(b",".join(parts)) == [head for part in parts for head in parse_heads(part)]


def test_bad_bytes_are_unreadable_and_never_an_exception() -> None:
    for bad in (b"", b"{", b"\xff", b'{"id": "\xff"}', b'{"id": NaN}', b"[" * 10**5, b'{"id": 1e999}'):
        assert isinstance(parse_paragraph(bad), Unreadable)
        assert isinstance(parse_annotation(bad), Unreadable)


def test_chunks_of_images_and_annotations_come_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "final_mixed_train.json"
    path.write_bytes(data({"info": [], "annotations": [ANNOTATION], "images": [MIXED, MIXED]}))
    assert [(chunk.name, chunk.count) for chunk in read_chunks(str(path))] == [("annotations", 1), ("images", 2)]


def test_coco_images_without_captions_are_refused_with_the_flag_that_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_bytes(data({"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}))
    with pytest.raises(InputError, match=r"instances.json: images have no 'caption'.*--coco-instances"):
        list(read_chunks(str(path)))
