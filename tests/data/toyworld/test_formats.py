"""Every file is what the real one is: read with the tools that read the real ones."""

import contextlib
import io
import json
import pickle
import re
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.sources import exclusions, localized_narratives, mdetr, mdetr_records, openimages
from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.formats.refcoco import REF_SETS
from xdetr_data.toyworld.truth import PhotoTruth, TextTruth


def by_file(truths: list[PhotoTruth], file: str) -> dict[str, tuple[PhotoTruth, TextTruth]]:
    return {text.id: (photo, text) for photo in truths for text in photo.texts if text.file == file}


def load_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def read_mdetr(path: Path) -> tuple[list[mdetr_records.MdetrParagraph], dict[int, list[mdetr_records.MdetrAnnotation]]]:
    """As the pipeline reads it."""
    paragraphs: list[mdetr_records.MdetrParagraph] = []
    annotations: dict[int, list[mdetr_records.MdetrAnnotation]] = {}
    for chunk in mdetr.read_chunks(str(path)):
        for raw in msgspec.json.decode(b"[" + chunk.data + b"]", type=list[msgspec.Raw]):
            if chunk.name == "images":
                paragraph = mdetr_records.parse_paragraph(bytes(raw))
                assert isinstance(paragraph, mdetr_records.MdetrParagraph)
                paragraphs.append(paragraph)
            else:
                annotation = mdetr_records.parse_annotation(bytes(raw))
                assert isinstance(annotation, mdetr_records.MdetrAnnotation)
                annotations.setdefault(annotation.image_id, []).append(annotation)
    return paragraphs, annotations


@pytest.mark.parametrize("file", ["mdetr/final_mixed_train.json", "mdetr/final_mixed_val.json"])
def test_mixed_paragraphs_hold_what_the_truth_says(world: Path, truths: list[PhotoTruth], file: str) -> None:
    paragraphs, annotations = read_mdetr(world / file)
    known = by_file(truths, file)
    assert {str(paragraph.id) for paragraph in paragraphs} == set(known)
    ious = []
    for paragraph in paragraphs:
        photo, text = known[str(paragraph.id)]
        assert paragraph.is_packed
        assert (paragraph.file_name, paragraph.caption) == (photo.file_name, text.text)
        assert " ".join(text.text[begin:end] for begin, end in text.sentences) == paragraph.caption
        boxed = {phrase.span: phrase for phrase in text.phrases if phrase.is_boxed}
        counts: Counter[tuple[int, int]] = Counter()
        for annotation in annotations.get(paragraph.id, []):
            hull = (annotation.tokens_positive[0][0], annotation.tokens_positive[-1][1])
            phrase = next(each for span, each in boxed.items() if span[0] <= hull[0] and hull[1] <= span[1])
            counts[phrase.span] += 1
            left, top, width, height = annotation.bbox
            assert width > 0
            assert height > 0
            assert left >= 0
            assert top >= 0
            assert left + width <= photo.width + 0.01
            assert top + height <= photo.height + 0.01
            box = np.array([[left, top, left + width, top + height]])
            true = np.array(photo.boxes_xyxy(phrase), dtype=float)
            ious.append(iou_matrix_xyxy(box, true).max())
        assert counts == {span: len(phrase.objects) for span, phrase in boxed.items()}
    assert min(ious) > 0.6
    assert np.quantile(ious, 0.05) > 0.8
    assert np.mean(np.array(ious) < 0.999) > 0.3  # people do not box to the pixel


def test_the_same_object_is_boxed_differently_by_two_people(world: Path, truths: list[PhotoTruth]) -> None:
    boxes: dict[str, set[tuple[float, ...]]] = {}
    paragraphs, annotations = read_mdetr(world / "mdetr/final_mixed_train.json")
    for paragraph in paragraphs:
        for annotation in annotations.get(paragraph.id, []):
            boxes.setdefault(paragraph.file_name, set()).add(annotation.bbox)
    objects = {photo.file_name: len(photo.objects) for photo in truths}
    assert sum(len(found) > 1.3 * objects[name] for name, found in boxes.items()) > 0.3 * len(boxes)


def test_negative_words_leave_out_unboxed_phrases_and_a_question_is_one_span(
    world: Path, truths: list[PhotoTruth]
) -> None:
    file = "mdetr/final_mixed_train.json"
    known = by_file(truths, file)
    unboxed = questions = 0
    for paragraph in read_mdetr(world / file)[0]:
        _, text = known[str(paragraph.id)]
        negatives = [tuple(span) for span in paragraph.tokens_negative]
        asked = [(begin, end) for begin, end in text.sentences if text.text[end - 1] == "?"]
        assert {(begin, end - 1) for begin, end in asked} <= set(negatives)
        questions += len(asked)
        for phrase in (phrase for phrase in text.phrases if not phrase.is_boxed):
            if not any(begin <= phrase.span[0] < end for begin, end in asked):
                assert not any(phrase.span[0] <= begin and end <= phrase.span[1] for begin, end in negatives)
                unboxed += 1
    assert unboxed > 30
    assert questions > 100


def test_some_objects_that_coco_boxes_no_phrase_names(world: Path, truths: list[PhotoTruth]) -> None:
    boxed = load_coco(world / "coco/instances_train2014.json")
    named = {
        (photo.photo_id, index)
        for photo in truths
        for text in photo.texts
        for phrase in text.phrases
        if text.file == "mdetr/final_mixed_train.json" and phrase.is_boxed
        for index in phrase.objects
    }
    every = [(str(each["image_id"]), each["id"] % 64) for each in boxed.anns.values() if each["area"] > 0]
    assert 0.1 < sum(each not in named for each in every) / len(every) < 0.5


def test_no_id_occurs_twice(world: Path) -> None:
    for path in world.rglob("*.json"):
        if path.name == "toyworld.json":
            continue
        data = json.loads(path.read_bytes())
        if isinstance(data, list):
            continue
        assert list(data).index("images") < list(data).index("annotations")
        for section in ("images", "annotations"):
            ids = [each["id"] for each in data[section]]
            assert len(set(ids)) == len(ids), f"{path.name} {section}"
        assert {each["image_id"] for each in data["annotations"]} <= {each["id"] for each in data["images"]}


def test_some_photos_of_visual_genome_are_coco_photos_that_the_world_has_not(world: Path) -> None:
    images = json.loads((world / "visual_genome/image_data.json").read_bytes())
    assert {f"{one['image_id']}.jpg" for one in images} == {path.name for path in (world / "photos/vg").iterdir()}
    copies = {one["coco_id"] for one in images} - {None}
    assert copies
    assert copies.isdisjoint(int(path.stem[-12:]) for path in (world / "photos/coco").iterdir())


def test_flickr_sentences_xml_and_json_say_the_same(world: Path) -> None:
    paragraphs, annotations = read_mdetr(world / "mdetr/final_flickr_separateGT_train.json")
    raw = json.loads((world / "mdetr/final_flickr_separateGT_train.json").read_bytes())["images"]
    assert isinstance(raw[0]["height"], str)
    assert [each.id for each in paragraphs] == [each["id"] for each in raw]
    boxed = 0
    for paragraph, image in zip(paragraphs, raw, strict=True):
        assert not paragraph.is_packed
        name = image["file_name"].removesuffix(".jpg")
        line = (world / f"flickr30k_entities/Sentences/{name}.txt").read_text().splitlines()[image["sentence_id"]]
        assert re.sub(r"\[/EN#\S+ ([^\]]*)\]", r"\1", line) == paragraph.caption
        boxes = flickr_boxes(world / f"flickr30k_entities/Annotations/{name}.xml")
        expected, offset = [], 0
        for match in re.finditer(r"\[/EN#(\d+)/\S+ ([^\]]*)\]", line):
            begin = match.start() - offset
            offset += len(match[0]) - len(match[2])
            expected += [((begin, begin + len(match[2])), box) for box in boxes.get(match[1], [])]
        found = [(tuple(each.tokens_positive[0]), each.bbox) for each in annotations.get(paragraph.id, [])]
        assert sorted(found) == sorted(expected)
        assert sorted(tuple(span) for [span] in image["tokens_positive_eval"]) == sorted({span for span, _ in found})
        boxed += len(found)
    assert boxed > 150
    splits = {s: set((world / f"flickr30k_entities/{s}.txt").read_text().split()) for s in ("train", "val", "test")}
    assert all(splits.values())
    assert not splits["train"] & (splits["val"] | splits["test"])


def flickr_boxes(path: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    for found in ET.parse(path).getroot().iter("object"):
        if found.find("bndbox") is None:
            assert found.findtext("scene") == "1"
            continue
        sides = (found.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
        left, top, right, bottom = (float(side or "") for side in sides)
        for name in found.iter("name"):
            boxes.setdefault(str(name.text), []).append((left, top, right - left, bottom - top))
    return boxes


@pytest.mark.parametrize("split", ["train", "val"])
def test_pycocotools_loads_coco_and_its_masks_are_the_objects(
    world: Path, truths: list[PhotoTruth], split: str
) -> None:
    coco = load_coco(world / f"coco/instances_{split}2014.json")
    by_id = {int(photo.photo_id): photo for photo in truths if photo.collection == "coco"}
    crowds = 0
    for annotation in coco.anns.values():
        photo = by_id[annotation["image_id"]]
        if annotation["area"] == 0:
            continue  # a broken box, as there are
        seen = photo.objects[annotation["id"] % 64]
        left, top, right, bottom = seen.box_xyxy
        assert annotation["bbox"] == [left, top, right - left, bottom - top]
        assert coco.cats[annotation["category_id"]]["name"] == seen.shape
        found = coco_mask.toBbox(coco.annToRLE(annotation))
        if annotation["iscrowd"]:
            crowds += 1
            assert found.tolist() == annotation["bbox"]
            assert coco_mask.area(coco.annToRLE(annotation)) == annotation["area"]
        else:
            assert np.abs(found - annotation["bbox"]).max() <= 3  # it drops the tips of thin shapes
            assert coco_mask.area(coco.annToRLE(annotation)) == pytest.approx(annotation["area"], rel=0.1, abs=30)
    assert crowds > 0 or split == "val"
    captions = load_coco(world / f"coco/captions_{split}2014.json")
    counts = Counter(annotation["image_id"] for annotation in captions.anns.values())
    assert set(counts) == set(coco.imgs)
    assert set(counts.values()) <= {5, 6, 7}
    for image in coco.imgs.values():
        size = Image.open(world / "photos/coco" / image["file_name"]).size
        assert size == (image["width"], image["height"])


@pytest.mark.parametrize("split", ["train", "val"])
def test_pycocotools_loads_lvis_and_its_federation_is_sound(world: Path, truths: list[PhotoTruth], split: str) -> None:
    lvis = load_coco(world / f"lvis/lvis_v1_{split}.json")
    assert {category["frequency"] for category in lvis.cats.values()} == {"r", "c", "f"}
    photos, instances = Counter[int](), Counter[int]()
    by_image: dict[int, set[int]] = {image: set() for image in lvis.imgs}
    for annotation in lvis.anns.values():
        assert len(lvis.annToRLE(annotation)["size"]) == 2
        instances[annotation["category_id"]] += 1
        by_image[annotation["image_id"]].add(annotation["category_id"])
    for image in lvis.imgs.values():
        photos.update(by_image[image["id"]])
        assert "file_name" not in image
        assert not by_image[image["id"]] & set(image["neg_category_ids"])
    for category in lvis.cats.values():
        assert category["image_count"] == photos[category["id"]]
        assert category["instance_count"] == instances[category["id"]]
    held_out = {f"{held.colour}_{held.pattern}_{held.shape}" for held in words.HELD_OUT if held.pattern}
    rare = {category["name"] for category in lvis.cats.values() if category["frequency"] == "r"}
    assert {name.split("_(")[0] for name in rare} >= held_out
    by_name = {category["id"]: name for name, category in zip(names_of(lvis), lvis.cats.values(), strict=True)}
    unverified = 0
    for photo in truths:
        if photo.collection == "coco" and int(photo.photo_id) in by_image:
            known = (seen for seen in photo.objects if not (seen.held_out or seen.is_crowd))
            drawn = {f"{seen.pattern}_{seen.shape.replace(' ', '_')}" for seen in known}
            unverified += len(drawn - {by_name[each] for each in by_image[int(photo.photo_id)]})
    assert unverified > 0, "a federated set leaves some classes of a photo open"
    of_train_set = [image for image in lvis.imgs.values() if "/train2017/" in image["coco_url"]]
    assert of_train_set
    assert (len(of_train_set) == len(lvis.imgs)) == (split == "train")


def told_by_photo(lvis: COCO) -> dict[int, tuple[object, ...]]:
    """Of each photo its boxes with the names of their classes, and the names that are absent or not exhaustive."""
    named = {number: one["name"] for number, one in lvis.cats.items()}
    return {
        number: (
            [(one["id"], one["bbox"], named[one["category_id"]]) for one in lvis.imgToAnns[number]],
            {named[one] for one in photo["neg_category_ids"]},
            {named[one] for one in photo["not_exhaustive_category_ids"]},
        )
        for number, photo in lvis.imgs.items()
    }


def test_lvis_v05_says_of_a_photo_what_v1_says_with_a_file_name_other_class_ids_and_cocos_split(world: Path) -> None:
    old = {split: load_coco(world / f"lvis/lvis_v0.5_{split}.json") for split in ("train", "val")}
    new = {split: load_coco(world / f"lvis/lvis_v1_{split}.json") for split in ("train", "val")}
    for split, lvis in old.items():
        assert lvis.imgs.keys() == load_coco(world / f"coco/instances_{split}2014.json").imgs.keys() != set()
        assert all((world / "photos/coco" / one["file_name"]).is_file() for one in lvis.imgs.values())
        assert sorted(one["name"] for one in lvis.cats.values()) == sorted(n["name"] for n in new[split].cats.values())
        assert {number: one["name"] for number, one in lvis.cats.items()} != {
            n: c["name"] for n, c in new[split].cats.items()
        }
        assert sum(one["instance_count"] for one in lvis.cats.values()) == len(lvis.anns)
    assert told_by_photo(old["train"]) | told_by_photo(old["val"]) == told_by_photo(new["train"]) | told_by_photo(
        new["val"]
    )


def names_of(lvis: COCO) -> list[str]:
    return [category["name"].split("_(")[0] for category in lvis.cats.values()]


def test_openimages_boxes_are_in_units_of_the_photo_in_the_real_column_order(
    world: Path, truths: list[PhotoTruth]
) -> None:
    names = openimages.read_class_names(str(world / "openimages/class-descriptions-boxable.csv"))
    rows = 0
    for split in ("train", "validation", "test"):
        path = str(world / f"openimages/{split}-annotations-bbox.csv")
        columns = openimages.read_header(path)
        assert len(columns) == (21 if split == "train" else 13)
        photos = {photo.photo_id: photo for photo in truths if photo.collection == "openimages"}
        for chunk in openimages.read_chunks(path):
            boxes = openimages.parse_boxes(chunk, columns)
            assert not boxes.problems
            for row in boxes.table.to_pylist():
                photo = photos[row["ImageID"]]
                assert photo.split == ("val" if split == "validation" else split)
                box = (
                    row["XMin"] * photo.width, row["YMin"] * photo.height,
                    row["XMax"] * photo.width, row["YMax"] * photo.height,
                )  # fmt: skip
                seen = next(each for each in photo.objects if np.allclose(each.box_xyxy, box, atol=0.01))
                assert names[row["LabelName"]].lower() == seen.shape
                if row["IsGroupOf"] >= 0:
                    assert row["IsGroupOf"] == seen.is_crowd
                    assert row["IsTruncated"] == seen.is_cut
                rows += 1
    assert rows > 150


def test_narratives_have_timed_words_and_traces_that_circle_what_is_said(world: Path, truths: list[PhotoTruth]) -> None:
    inside, without_trace, outside = [], 0, 0
    for path in sorted((world / "locnar").glob("*.jsonl")):
        known = by_file(truths, f"locnar/{path.name}")
        for _, narrative in localized_narratives.read_narratives(str(path)):
            assert isinstance(narrative, localized_narratives.Narrative)
            photo, text = known.pop(f"{narrative.image_id}:{narrative.annotator_id}")
            assert text.text == narrative.caption
            assert localized_narratives.source_of(narrative.dataset_id) == photo.collection
            points = [point for stroke in narrative.traces or [] for point in stroke]
            without_trace += not points
            outside += any(not (0 <= point.x <= 1 and 0 <= point.y <= 1) for point in points)
            times = word_times(narrative)
            for phrase in text.phrases:
                first, last = (text.text[:offset].count(" ") for offset in phrase.span)
                if len(phrase.objects) != 1 or first not in times or last not in times:
                    continue
                then = [(each.x, each.y) for each in points if times[first][0] < each.t < times[last][1]]
                if len(then) > 5:
                    inside.append(lies_in(np.median(then, axis=0), photo, phrase.objects[0]))
        assert not known
    assert without_trace > 0
    assert outside > 5
    assert len(inside) > 60
    assert np.mean(inside) > 0.75


def lies_in(point_norm: np.ndarray, photo: PhotoTruth, index: int) -> bool:
    """Whether a point is in the object's box."""
    left, top, right, bottom = photo.objects[index].box_xyxy
    x, y = point_norm[0] * photo.width, point_norm[1] * photo.height
    return bool(left <= x <= right and top <= y <= bottom)


def word_times(narrative: localized_narratives.Narrative) -> dict[int, tuple[float, float]]:
    """Begin and end of each word of the caption, where the utterances are the caption's words one by one."""
    spoken = narrative.timed_caption or []
    plain = [each.utterance.lower().strip(".,") for each in spoken]
    if plain != [word.lower().strip(".,") for word in narrative.caption.split(" ")]:
        return {}
    return {number: (each.start_time, each.end_time) for number, each in enumerate(spoken)}


def test_utterances_differ_from_the_caption_here_and_there_and_some_have_no_length(world: Path) -> None:
    lines = [json.loads(line) for path in (world / "locnar").glob("*.jsonl") for line in path.open()]
    same = [" ".join(word["utterance"] for word in line["timed_caption"]) == line["caption"] for line in lines]
    assert 0.2 < np.mean(same) < 0.9
    words_ = [word for line in lines for word in line["timed_caption"]]
    assert any(word["start_time"] == word["end_time"] for word in words_)
    assert all(word["start_time"] <= word["end_time"] for word in words_)


class PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise AssertionError(f"{module}.{name} is no plain container")


@pytest.mark.parametrize("ref_set", REF_SETS, ids=lambda ref_set: ref_set.folder)
def test_refer_pickles_are_plain_lists_that_fit_their_instances(
    world: Path, truths: list[PhotoTruth], ref_set: Any
) -> None:
    with (world / ref_set.refs_file).open("rb") as stream:
        refs = PlainUnpickler(stream).load()
    known = by_file(truths, ref_set.refs_file)
    instances = load_coco(world / ref_set.instances_file)
    assert {"train", "val"} <= {ref["split"] for ref in refs} <= {split for split, _ in ref_set.splits}
    for ref in refs:
        assert set(ref) == {
            "ref_id", "ann_id", "category_id", "file_name", "image_id", "sent_ids", "sentences", "split"
        }  # fmt: skip
        annotation = instances.anns[ref["ann_id"]]
        assert annotation["image_id"] == ref["image_id"]
        assert annotation["category_id"] == ref["category_id"]
        assert [sentence["sent_id"] for sentence in ref["sentences"]] == ref["sent_ids"]
        for sentence in ref["sentences"]:
            photo, text = known[str(sentence["sent_id"])]
            assert sentence["sent"] == text.text == sentence["sent"].lower()
            assert sentence["tokens"] == text.text.split()
            left, top, width, height = annotation["bbox"]
            assert photo.boxes_xyxy(text.phrases[0]) == [(left, top, left + width, top + height)]
    excluded = exclusions.read_exclusion(str(world / ref_set.refs_file))
    mixed = {each.file_name for each in read_mdetr(world / "mdetr/final_mixed_train.json")[0]}
    coco_ids = {str(int(name[-16:-4])) for name in mixed if name.startswith("COCO_")}
    assert any(excluded.matches("coco", identity) for identity in coco_ids), "val photos are among the train photos"


def test_googles_split_is_of_the_same_references_by_objects_so_that_a_photo_can_be_in_both(world: Path) -> None:
    (ref_set,) = [one for one in REF_SETS if one.google]
    by_photos, by_objects = (
        PlainUnpickler(io.BytesIO((world / name).read_bytes())).load()
        for name in (ref_set.refs_file, ref_set.google_file)
    )
    assert [one | {"split": ""} for one in by_photos] == [one | {"split": ""} for one in by_objects]
    train, val = ({one["image_id"] for one in by_objects if one["split"] == split} for split in ("train", "val"))
    assert train & val
    assert {one["split"] for one in by_objects} == {"train", "val"}


def test_mdetrs_refcoco_files_are_read_and_are_not_taken_for_paragraphs(world: Path) -> None:
    paragraphs, annotations = read_mdetr(world / "mdetr/finetune_refcoco_train.json")
    assert len(paragraphs) > 50
    for paragraph in paragraphs:
        assert not paragraph.is_packed
        assert len(annotations[paragraph.id]) == 1


def test_captions_of_the_web_have_photos_unless_their_link_is_dead(world: Path) -> None:
    rows = [line.split("\t") for line in (world / "cc/train.tsv").read_text().splitlines()]
    assert all(len(row) == 2 for row in rows)
    with tarfile.open(world / "cc/00000.tar") as tar:
        names = tar.getnames()
        keys = sorted({name.split(".")[0] for name in names})
        assert names == [f"{key}.{suffix}" for key in keys for suffix in ("jpg", "txt", "json")]
        assert 0 < len(keys) < len(rows)
        for key in keys:
            facts = json.load(tar.extractfile(f"{key}.json"))  # type: ignore[arg-type]
            photo = Image.open(tar.extractfile(f"{key}.jpg"))  # type: ignore[arg-type]
            caption = tar.extractfile(f"{key}.txt").read().decode()  # type: ignore[union-attr]
            assert (facts["key"], facts["caption"]) == (key, caption)
            assert photo.size == (facts["width"], facts["height"])
            assert [caption, facts["url"]] in rows
