"""Refer pickles: references of a split, their expressions, what is damaged of them, and how inputs are called."""

import gzip
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipelines.tiny import to_json
from xdetr_data.errors import InputError
from xdetr_data.sources import refer
from xdetr_data.sources.exclusions import read_evaluation
from xdetr_data.sources.framing.files import ArrayChunk, Unreadable, chunk_range
from xdetr_data.sources.protocol import Problem, Stated
from xdetr_data.sources.refer import EXPRESSIONS, REFS, ReferPickle, RefInstances, folder_label
from xdetr_data.sources.refer_files import Expression, parse_expression, read_images, read_references


def sentence(number: Any, sent: Any = "the left man", **changes: Any) -> dict[str, Any]:
    return {"raw": "The left man!", "sent": sent, "sent_id": number, "tokens": ["the", "left", "man"]} | changes


def ref(number: Any, image: Any = 7, *sentences: Any, split: Any = "train", **changes: Any) -> dict[str, Any]:
    said = list(sentences) or [sentence(10 * number), sentence(10 * number + 1, "man on left")]
    return {
        "ref_id": number, "ann_id": 100 + number, "image_id": image, "category_id": 1, "split": split,
        "file_name": f"COCO_train2014_{image:012}_{number}.jpg" if isinstance(image, int) else "x",
        "sentences": said, "sent_ids": [1],
    } | changes  # fmt: skip


def image(number: Any, **changes: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"COCO_train2014_{number:012}.jpg", "height": 48, "width": 64} | changes


def written(
    folder: Path, refs: Any, images: Sequence[Any] = (), *, split: str = "train", name: str = "refs(unc).p"
) -> ReferPickle:
    """The source of a pickle, below a folder of its own."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(pickle.dumps(refs, protocol=2))
    (folder / "instances.json").write_bytes(to_json({"images": list(images) or [image(7)], "annotations": []}))
    return ReferPickle(path=str(folder / name), split=split, instances=(str(folder / "instances.json"),))


def chunks_of(source: ReferPickle) -> dict[str, ArrayChunk]:
    return {one.name: one for one in source.chunks()}


def test_inputs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (written(tmp_path / name, [ref(1)]) for name in ("refcoco", "refcoco+"))
    assert (one.label, other.label) == ("refcoco/refs(unc)", "refcoco+/refs(unc)")
    assert RefInstances(path=one.instances[0]).label == "refcoco/instances"
    monkeypatch.chdir(tmp_path / "refcoco")
    assert folder_label("refs(unc).p") == folder_label("./refs(unc).p") == "refcoco/refs(unc)"
    assert folder_label("memory://refcocog/refs(umd).p.gz") == "refcocog/refs(umd)"


def test_an_expression_has_a_text_and_the_ids_of_its_reference_and_box(tmp_path: Path) -> None:
    source = written(tmp_path, [ref(3, 7, sentence(5, " the  Left\nman "))])
    (found,) = read_references(source.path, "train")
    assert found.expressions == [Expression(5, " the  Left\nman ", 0, 3, 103)]
    assert found.expressions[0].text == "the Left man"
    (data,) = source.values(chunks_of(source)[EXPRESSIONS], None)[0].to_pylist()
    assert parse_expression(data) == found.expressions[0]


def test_only_the_references_of_the_split_are_elements(tmp_path: Path) -> None:
    refs = [ref(1), ref(2, split="val"), ref(3, split="testA"), ref(4, ann_id=None), ref(5, split="val", ann_id=None)]
    refs += [ref(6, split=None), "text"]
    source = written(tmp_path, refs)
    assert [one.problem == "" for one in read_references(source.path, "train")] == [True, False, False, False]
    assert [one.problem == "" for one in read_references(source.path, "val")] == [True, False, False, False]
    assert len(read_references(source.path, "testA")) == 3


def test_references_name_photos_with_the_sizes_of_the_instances_and_expressions_their_reference(tmp_path: Path) -> None:
    refs = [
        ref(1),
        ref(2, 8),
        ref(3, 9),
        ref(4, ann_id="x"),
        ref(5, 7, sentence(50), sentence(None), "text", sentence(51, "\ud800")),
    ]
    source = written(tmp_path, refs, [image(7), image(8, height=0.5), image(9, file_name="9.jpg", width=10)])
    chunks = chunks_of(source)
    references, expressions = (source.heads(chunks[name]) for name in (REFS, EXPRESSIONS))
    assert references.photo is not None
    assert references.photo.to_pylist() == ["coco/7", None, "coco/9", None, "coco/7"]
    assert references.stated == [
        Stated("COCO_train2014_000000000007.jpg", 48, 64), None, Stated("9.jpg", 48, 10), None,
        Stated("COCO_train2014_000000000007.jpg", 48, 64),
    ]  # fmt: skip
    assert references.problems[1] == Problem(
        "image-not-in-instances", "no --instances file has image 8; give that of its own set, too"
    )
    assert references.problems[3].reason == "unreadable-reference"
    assert expressions.parent is not None
    assert expressions.parent.to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, None, None, None]
    assert {row: one.reason for row, one in expressions.problems.items()} == dict.fromkeys(
        (9, 10, 11), "unreadable-expression"
    )
    values = source.values(chunks[EXPRESSIONS], expressions)[0].to_pylist()
    unreadable = [row for row, one in enumerate(values) if isinstance(parse_expression(one), Unreadable)]
    assert unreadable == [6, 7, 9, 10, 11]


REFERENCES = st.lists(
    st.builds(
        lambda number, count, split: ref(number, split=split, sentences=[sentence(one) for one in range(count)]),
        st.integers(1, 99), st.integers(0, 3), st.sampled_from(["train", "val"]),
    )
    | st.sampled_from([None, 3, {}, {"split": "train"}, {"split": "train", "sentences": [1, 2]}, {"sentences": {}}]),
    min_size=1, max_size=9,
)  # fmt: skip


@given(REFERENCES, st.integers(1, 4))
def test_every_element_is_counted_once_however_many_are_a_chunk_and_whatever_is_damaged(
    tmp_path_factory: pytest.TempPathFactory, refs: list[Any], size: int
) -> None:
    source = written(tmp_path_factory.mktemp("refs"), refs)
    wanted = [one for one in refs if not (isinstance(one, dict) and one.get("split") == "val")]
    said = sum(
        len(one["sentences"]) for one in wanted if isinstance(one, dict) and isinstance(one.get("sentences"), list)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refer, "REFS_PER_CHUNK", size)
        chunks = list(source.chunks())
        for name, count in ((REFS, len(wanted)), (EXPRESSIONS, said)):
            found = [one for one in chunks if one.name == name]
            rows = [row for one in found for row in range(one.first_row, one.first_row + one.count)]
            assert rows == list(range(count))
            for one in found:
                heads = source.heads(one)
                names = heads.photo if name == REFS else heads.parent
                assert names is not None
                assert len(names) == len(heads.row) == one.count == len(source.values(one, heads)[0])
                assert sorted(heads.problems) == [
                    r for r, n in zip(heads.row.tolist(), names.to_pylist(), strict=True) if n is None
                ]
        for part in (chunks, chunks[1:], chunks[::2]):
            assert list(source.chunks_again([chunk_range(one) for one in part])) == part


def test_a_packed_pickle_is_read_and_its_chunks_are_those_of_the_plain_one(tmp_path: Path) -> None:
    plain = written(tmp_path, [ref(1), ref(2)])
    (tmp_path / "refs(unc).p.gz").write_bytes(gzip.compress(Path(plain.path).read_bytes()))
    packed = ReferPickle(path=f"{plain.path}.gz", split="train", instances=plain.instances)
    assert packed.label == plain.label
    assert list(packed.chunks()) == list(plain.chunks())


def test_a_split_that_a_file_lacks_is_told_with_the_remedy(tmp_path: Path) -> None:
    source = written(tmp_path, [ref(1)], split="testA")
    assert list(source.chunks()) == []
    assert (
        source.nothing(None)
        == f"{source.path}: no photo is named by a reference of split 'testA'; correct --split, or leave the file out"
    )
    assert "unc).p#refs[0]: it has no" in str(source.nothing(("unc).p#refs[0]", "it has no ann_id")))


def test_a_pickle_that_names_a_class_or_is_no_list_is_refused(tmp_path: Path) -> None:
    for name, content, says in (
        ("class.p", pickle.dumps([ref(1, extra=Path("x"))]), "it was not run"),
        ("dict.p", pickle.dumps({"refs": []}), "holds a dict, no list of referring expressions"),
        ("cut.p", pickle.dumps([ref(1)])[:-9], "is not a plain refer pickle"),
        ("cut.p.gz", gzip.compress(pickle.dumps([ref(1)]))[:-9], "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: .*{says}"):
            read_references(str(tmp_path / name), "train")


def test_sizes_are_read_past_damage_and_the_first_of_two_counts(tmp_path: Path) -> None:
    source = written(tmp_path, [], [image(7), None, image(7, width=1), image(8, file_name=None)])
    assert read_images(source.instances[0]) == {7: Stated("COCO_train2014_000000000007.jpg", 48, 64)}


def test_photos_of_val_and_test_are_listed_and_none_where_there_is_no_such_split(tmp_path: Path) -> None:
    source = written(tmp_path, [ref(1), ref(2, 8, split="val"), ref(3, 9, split="testB"), ref(4, 9, split="test")])
    found = read_evaluation(source.path)
    assert (found.path, found.ids) == (source.path, {"coco": frozenset({"8", "9"})})
    assert read_evaluation(written(tmp_path / "g", [ref(1)]).path).ids == {}


def test_the_photo_of_a_reference_is_that_of_its_image_in_the_instances_and_not_its_number(tmp_path: Path) -> None:
    images = [image(7, id=1), image(9, id="2")]
    named = [ref(1, 1, file_name="COCO_train2014_000000000007_1.jpg"), ref(2, 2, file_name="x"), ref(3, 2)]
    source = written(tmp_path, named, images)
    heads = source.heads(chunks_of(source)[REFS])
    assert heads.photo is not None
    assert heads.photo.to_pylist() == ["coco/7", "coco/9", None]
    assert heads.problems[2].reason == "ambiguous-image-id"
    assert "is of COCO_train2014_000000000002_3.jpg, but image 2" in heads.problems[2].detail
    unsafe = written(tmp_path / "unsafe", [ref(1)], [image(7, file_name="../7.jpg")])
    assert unsafe.heads(chunks_of(unsafe)[REFS]).problems[0].reason == "unsafe-file-name"


def test_photos_to_leave_out_are_those_of_their_names_too(tmp_path: Path) -> None:
    refs = [ref(1, 1, split="val", file_name="COCO_train2014_000000000007_1.jpg"), ref(2, 2, split="val", file_name="")]
    source = written(tmp_path, refs, [image(7, id=1), image(9, id=2)])
    assert read_evaluation(source.path, source.instances).ids == {"coco": frozenset({"7", "9"})}
    assert read_evaluation(source.path).ids == {"coco": frozenset({"7", "2"})}
