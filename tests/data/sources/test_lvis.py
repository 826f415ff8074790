"""LVIS: images and the absences inside them, annotations without polygons, classes, and what is damaged of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipelines.tiny import Verbatim, to_json
from xdetr_data.errors import InputError
from xdetr_data.sources.framing.files import Unreadable, chunk_range
from xdetr_data.sources.instances import ABSENCES, ANNOTATIONS, IMAGES, parse_class
from xdetr_data.sources.lvis import (
    LvisAnnotation,
    LvisImage,
    LvisInstances,
    parse_annotations,
    parse_image,
    read_chunks,
)
from xdetr_data.sources.lvis_classes import read_class_sets, read_classes
from xdetr_data.sources.protocol import Heads, Problem, Stated
from xdetr_data.vocabulary import NamedClass

DAMAGE = [Verbatim("NaN"), Verbatim('"\\ud800"'), Verbatim("9" * 5000), None, 7, "text", [], {}]
URL = "http://images.cocodataset.org/train2017"


def image(number: Any, *absent: Any, **changes: Any) -> dict[str, Any]:
    return {
        "date_captured": "2013-11-14 22:32:02", "license": 4, "height": 600, "width": 800, "id": number,
        "coco_url": f"{URL}/{number if isinstance(number, int) else 0:012d}.jpg",
        "neg_category_ids": list(absent), "not_exhaustive_category_ids": [],
    } | changes  # fmt: skip


def annotation(number: Any, image_id: Any, category_id: Any = 1, **changes: Any) -> dict[str, Any]:
    return {
        "bbox": [20.5, 3, 10, 12.25], "category_id": category_id, "image_id": image_id, "id": number,
        "segmentation": [[20.5, 3.0, 30.5, 3.0, 30.5, 15.25]], "area": 61.5,
    } | changes  # fmt: skip


def category(number: Any, name: Any, frequency: Any = "f") -> dict[str, Any]:
    return {
        "id": number, "name": name, "frequency": frequency, "synset": "x.n.01", "synonyms": [name], "def": "x",
        "image_count": 1, "instance_count": 1,
    }  # fmt: skip


def source(images: Sequence[Any], annotations: Sequence[Any] = (), *, name: str) -> LvisInstances:
    path = f"memory://lvis/{name}.json"
    with fsspec.open(path, "wb") as sink:
        sink.write(to_json({"annotations": list(annotations), "images": list(images), "categories": []}))
    return LvisInstances(path=path)


def heads_of(one: LvisInstances) -> dict[str, Heads]:
    """The heads of a small file's only chunk of each kind."""
    return {chunk.name: one.heads(chunk) for chunk in one.chunks()}


def test_an_image_of_v1_is_named_by_its_address_and_one_of_v05_by_its_file_name() -> None:
    v1 = parse_image(to_json(image(391895, 3, 5, not_exhaustive_category_ids=[9])))
    assert isinstance(v1, LvisImage)
    assert (v1.photo, v1.not_exhaustive, [*map(bytes, v1.absences)]) == (
        "train2017/000000391895.jpg",
        [9],
        [b"3", b"5"],
    )
    v05 = parse_image(to_json(image(89648, file_name="COCO_val2014_000000089648.jpg")))
    assert isinstance(v05, LvisImage)
    assert v05.photo == "COCO_val2014_000000089648.jpg"


def test_an_annotation_has_an_id_an_image_a_class_and_a_box() -> None:
    found = parse_annotations([to_json(annotation(1, 2, 3)), to_json(annotation(1, 2, bbox=[1, 2, 3]))])
    assert found[0] == LvisAnnotation(id=1, image_id=2, category_id=3, bbox=(20.5, 3.0, 10.0, 12.25))
    assert isinstance(found[1], Unreadable)


def test_images_name_photos_and_the_rest_hangs_on_images() -> None:
    heads = heads_of(
        source([image(5, 1, 2), image(6), image(7, 3)], [annotation(1, 7), annotation(2, 9)], name="heads")
    )
    images, annotations, absences = heads[IMAGES], heads[ANNOTATIONS], heads[ABSENCES]
    assert images.photo is not None
    assert images.photo.to_pylist() == ["coco/5", "coco/6", "coco/7"]
    assert images.ids == [5, 6, 7]
    assert images.stated is not None
    assert images.stated[0] == Stated("train2017/000000000005.jpg", 600, 800)
    assert annotations.parent is not None
    assert annotations.parent.to_pylist() == [7, 9]
    assert absences.parent is not None
    assert absences.parent.to_pylist() == [5, 5, 7]


def test_the_photo_is_the_name_and_not_the_id_of_an_image() -> None:
    heads = heads_of(source([image(1, file_name="COCO_train2014_000000581857.jpg", coco_url=None)], name="renumbered"))[
        IMAGES
    ]
    assert heads.photo is not None
    assert (heads.photo.to_pylist(), heads.ids) == (["coco/581857"], [1])


@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (None, "Expected `object`"),
        (image("5"), "Expected `int`, got `str` - at `$.id`"),
        (image(5, width=0), "Expected `int` >= 1 - at `$.width`"),
        (image(5, neg_category_ids=3), "Expected `array`, got `int` - at `$.neg_category_ids`"),
        (image(5, coco_url=None), "image 5 has no file_name and no coco_url"),
    ],
)
def test_a_damaged_image_is_told_and_takes_no_other_with_it(damaged: Any, says: str) -> None:
    heads = heads_of(source([image(1), damaged, image(2)], name="damaged"))[IMAGES]
    assert heads.photo is not None
    assert heads.photo.to_pylist() == ["coco/1", None, "coco/2"]
    (problem,) = heads.problems.items()
    assert (problem[0], problem[1].reason) == (1, "unreadable-image")
    assert says in problem[1].detail


def test_an_annotation_without_an_image_is_told() -> None:
    heads = heads_of(source([image(1)], [annotation(1, None), annotation(2, 1)], name="imageless"))[ANNOTATIONS]
    assert heads.problems == {
        0: Problem("unreadable-annotation", "Expected `int`, got `null` - at `$.image_id`"),
    }


ANYTHING = st.sampled_from([3, *DAMAGE])
SOME_IMAGES = st.lists(
    st.builds(lambda number, absent: image(number, *absent), st.integers(0, 9), st.lists(ANYTHING, max_size=4))
    | st.sampled_from([*DAMAGE, image("x", 1), image(1, neg_category_ids={})]),
    max_size=6,
)
SOME_ANNOTATIONS = st.lists(
    st.sampled_from([annotation(1, 2), annotation(1, 2, area=Verbatim("NaN")), {"id": 1}, *DAMAGE]), max_size=5
)


@given(SOME_IMAGES, SOME_ANNOTATIONS, st.integers(1, 200) | st.just(4 << 20))
def test_everything_is_counted_once_however_the_file_is_cut_and_whatever_is_damaged(
    images: list[Any], annotations: list[Any], chunk_bytes: int
) -> None:
    images = [image(0, 8), *images]  # of a file whose first image has no absences at all, another test tells
    readable = [one for one in images if isinstance(parse_image(to_json(one)), LvisImage)]
    wanted = {
        IMAGES: [to_json(one) for one in images],
        ANNOTATIONS: [to_json(one) for one in annotations],
        ABSENCES: [to_json(absent) for one in readable for absent in one["neg_category_ids"]],
    }
    one = source(images, annotations, name="any")
    chunks = list(one.with_absences(read_chunks(one.path, chunk_bytes=chunk_bytes)))
    for array, elements in wanted.items():
        rows = [
            n for chunk in chunks if chunk.name == array for n in range(chunk.first_row, chunk.first_row + chunk.count)
        ]
        assert rows == list(range(len(elements)))
    again = list(one.chunks_again([chunk_range(chunk) for chunk in chunks]))
    assert again == chunks
    found: dict[str, list[bytes]] = {array: [] for array in wanted}
    for chunk in again:
        heads = one.heads(chunk)
        values = one.values(chunk, heads)[0].to_pylist()
        names = heads.photo if chunk.name == IMAGES else heads.parent
        assert names is not None
        assert len(heads.row) == len(names) == len(values) == chunk.count
        nameless = [row for row, name in zip(heads.row.tolist(), names.to_pylist(), strict=True) if name is None]
        assert nameless == sorted(heads.problems)
        found[chunk.name] += values
    assert found[IMAGES] == wanted[IMAGES]
    assert found[ABSENCES] == wanted[ABSENCES]
    assert [*map(same, parse_annotations(found[ANNOTATIONS]))] == [*map(same, parse_annotations(wanted[ANNOTATIONS]))]


def same(one: LvisAnnotation | Unreadable) -> LvisAnnotation | None:
    return None if isinstance(one, Unreadable) else one


def test_of_an_annotation_its_polygons_are_not_kept() -> None:
    polygon = [[0.5] * 2000]
    one = source(
        [image(1)], [annotation(1, 1, segmentation=polygon), annotation("2", 1, segmentation=polygon)], name="long"
    )
    (chunk,) = [chunk for chunk in one.chunks() if chunk.name == ANNOTATIONS]
    values = one.values(chunk, None)[0].to_pylist()
    assert [len(value) < 100 for value in values] == [True, True]
    assert [same(value) for value in parse_annotations(values)] == [
        LvisAnnotation(id=1, image_id=1, category_id=1, bbox=(20.5, 3.0, 10.0, 12.25)),
        None,
    ]


@pytest.mark.parametrize(("data", "number"), [(b"12", 12), (b"null", None), (b'"12"', None), (b"1.5", None)])
def test_an_absence_is_the_id_of_a_class(data: bytes, number: int | None) -> None:
    found = parse_class(data)
    assert (None if isinstance(found, Unreadable) else found) == number


def written(value: object, path: Path) -> str:
    path.write_bytes(to_json(value))
    return str(path)


def test_another_instances_file_is_refused(tmp_path: Path) -> None:
    coco = {"images": [{"id": 1, "file_name": "000000000001.jpg", "height": 1, "width": 1}], "annotations": []}
    path = written(coco, tmp_path / "instances.json")
    with pytest.raises(InputError, match=r"instances.json: images have no 'neg_category_ids': .*correct --annotations"):
        list(read_chunks(path))


def test_a_file_without_annotations_is_refused(tmp_path: Path) -> None:
    path = written({"images": [image(1)], "categories": []}, tmp_path / "lvis_v1_image_info_test_dev.json")
    with pytest.raises(InputError, match="the file has no 'annotations' array"):
        list(read_chunks(path))


def classes_file(categories: Any, path: Path) -> str:
    return written({"categories": categories, "annotations": [], "images": []}, path)


def test_classes_are_ordered_by_id_and_those_that_are_spoken_alike_stay_apart(tmp_path: Path) -> None:
    categories = [category(9, "bow_(weapon)", "r"), category(2, "aerosol_can", "c"), category(5, "bow_(tie)")]
    assert read_classes(classes_file(categories, tmp_path / "some.json")) == (
        NamedClass(2, "aerosol_can", "aerosol can", "c"),
        NamedClass(5, "bow_(tie)", "bow", "f"),
        NamedClass(9, "bow_(weapon)", "bow", "r"),
    )


@pytest.mark.parametrize(
    ("categories", "says"),
    [
        ([], "has no categories"),
        ([category(1, "a"), category(1, "b")], r"categories\[1\]: id 1 occurs twice; fetch the file again"),
        ([category(1, "_(x)")], r"categories\[0\]: the name '_\(x\)' has no word, or none outside parentheses"),
        ([category(1, "a"), {"id": 2}], r"categories\[1\]: Object missing required field `name`"),
        ([category(-1, "a")], r"categories\[0\]: Expected `int` >= 0"),
    ],
)
def test_classes_that_cannot_be_told_apart_or_said_end_the_run(categories: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"some.json: .*{says}"):
        read_classes(classes_file(categories, tmp_path / "some.json"))


def test_classes_of_each_photo_are_those_that_are_annotated() -> None:
    images = [image(5), image(6), None, image(7, file_name="000000000005.jpg"), image(5, file_name="8.jpg")]
    annotations = [annotation(1, 5, 3), annotation(2, 5, 3), annotation(3, 7, 4), annotation(4, 99, 5), None]
    assert read_class_sets(source(images, annotations, name="sets").path) == {"5": {3, 4}, "6": set()}


def test_names_that_contradict_each_other_name_no_photo() -> None:
    images = [
        image(5, coco_url=f"{URL}/000000000007.jpg?s=1"),
        image(6, file_name="COCO_val2014_000000000009.jpg", coco_url=f"{URL}/000000000008.jpg"),
    ]
    found = heads_of(source(images, name="contradicting"))[IMAGES]
    assert found.photo is not None
    assert found.photo.to_pylist() == ["coco/7", None]
    assert found.problems[1].reason == "ambiguous-image-id"
