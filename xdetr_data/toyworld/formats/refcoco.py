"""RefCOCO, RefCOCO+ and RefCOCOg (``refs(unc).p``, ``refs(umd).p``, ``instances.json``) and MDETR's form of RefCOCO.

RefCOCOg's other split, ``refs(google).p``, is of the same expressions by objects: a photo can be in train and in val.
All their photos are COCO's **train** photos, those of their val and test splits too: whoever trains on COCO's train
photos must exclude those by id.
"""

from __future__ import annotations

import io
import pickle
from typing import NamedTuple

from xdetr_data.spans import Span
from xdetr_data.toyworld import templates
from xdetr_data.toyworld import vocabulary as words
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.formats.coco import annotation_id, coco_annotation, coco_image
from xdetr_data.toyworld.photo import Sheet, ToyPhoto, box_xywh
from xdetr_data.toyworld.speech import Mention, Told, say
from xdetr_data.toyworld.templates import Style
from xdetr_data.toyworld.truth import text_truth

PICKLE_START, PICKLE_END = pickle.PROTO + b"\x02" + pickle.EMPTY_LIST, pickle.STOP
_SENTENCES = 8  # sentence ids of one referred object


class RefSet(NamedTuple):
    """One of the three sets: its folder, its splitters' name, how its people spoke, its splits with their shares."""

    folder: str
    splitters: str
    style: Style
    splits: tuple[tuple[str, float], ...]
    google: tuple[tuple[str, float], ...] = ()  # of its objects, where Google split them, too

    @property
    def refs_file(self) -> str:
        """Path of the pickle."""
        return f"refcoco/{self.folder}/refs({self.splitters}).p"

    @property
    def google_file(self) -> str:
        """Path of the pickle of Google's split."""
        return f"refcoco/{self.folder}/refs(google).p"

    @property
    def instances_file(self) -> str:
        """Path of the boxes."""
        return f"refcoco/{self.folder}/instances.json"


_UNC = (("train", 0.78), ("val", 0.10), ("testA", 0.06), ("testB", 0.06))
REF_SETS = (
    RefSet("refcoco", "unc", templates.REFERRING, _UNC),
    RefSet("refcoco+", "unc", templates.REFERRING_WITHOUT_PLACE, _UNC),
    RefSet(
        *("refcocog", "umd", templates.REFERRING_AT_LENGTH, (("train", 0.78), ("val", 0.08), ("test", 0.14))),
        google=(("train", 0.85), ("val", 0.15)),
    ),
)
MDETR_SPLITS = tuple(split for split, _ in _UNC)


def write_refcoco(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds a train photo to those sets that use it."""
    if photo.home.split != "train":
        return
    dice = photo.dice(Purpose.REFERRING)
    for ref_set in REF_SETS:
        if dice.chance(0.6):
            _write_set(photo, sheet, dice, ref_set)


def _write_set(photo: ToyPhoto, sheet: Sheet, dice: Dice, ref_set: RefSet) -> None:
    split = dice.weighted([name for name, _ in ref_set.splits], [share for _, share in ref_set.splits])
    known = [index for index in photo.view.singles if words.SHAPE[photo.view.objects[index].shape].coco_id]
    refs = []
    for index in dice.sample(known, 3):
        said = (say(photo.view, dice, ref_set.style, index) for _ in range(3))
        sentences = {told.text: told for told in said if told and told.mentions[0].objects == (index,)}
        if sentences:
            refs.append(_ref(photo, sheet, ref_set, split, index, list(sentences.values())))
    if not refs:
        return
    sheet.add_bytes(ref_set.refs_file, "blocks", _appended(refs))
    if ref_set.google:
        google = photo.dice(Purpose.GOOGLE)
        names, shares = zip(*ref_set.google, strict=True)
        sheet.add_bytes(
            ref_set.google_file, "blocks", _appended([ref | {"split": google.weighted(names, shares)} for ref in refs])
        )
    sheet.add(ref_set.instances_file, "images", coco_image(photo))
    for index, seen in enumerate(photo.view.objects):
        category = words.SHAPE[seen.shape].coco_id
        if category is not None:
            sheet.add(ref_set.instances_file, "annotations", coco_annotation(photo, index, category))


def _ref(photo: ToyPhoto, sheet: Sheet, ref_set: RefSet, split: str, index: int, said: list[Told]) -> dict[str, object]:
    """One referred object with its sentences, as the pickle holds it; also MDETR's paragraphs, for RefCOCO."""
    identity = annotation_id(photo, index)
    sentences = []
    for number, told in enumerate(said):
        sent, mentions = _cleaned(told)
        sent_id = identity * _SENTENCES + number
        sentences.append({"tokens": sent.split(), "raw": told.text, "sent_id": sent_id, "sent": sent})
        sheet.texts.append(text_truth(ref_set.refs_file, str(sent_id), sent, mentions))
        if ref_set.folder == "refcoco":
            _write_mdetr(photo, sheet, f"mdetr/finetune_refcoco_{split}.json", sent_id, sent, mentions[0].span, index)
    return {
        "sent_ids": [sentence["sent_id"] for sentence in sentences],
        "file_name": photo.home.file_name.replace(".jpg", f"_{identity}.jpg"),
        "ann_id": identity, "ref_id": identity, "image_id": int(photo.home.photo_id), "split": split,
        "sentences": sentences, "category_id": words.SHAPE[photo.view.objects[index].shape].coco_id,
    }  # fmt: skip


def _cleaned(told: Told) -> tuple[str, tuple[Mention, ...]]:
    """The sentence as the sets keep it: lower case, without commas and full stops; mentions moved along."""

    def moved(offset: int) -> int:
        return offset - sum(told.text[:offset].count(mark) for mark in ".,")

    mentions = tuple(each._replace(span=(moved(each.span[0]), moved(each.span[1]))) for each in told.mentions)
    return told.text.lower().replace(".", "").replace(",", ""), mentions


def _appended(refs: list[dict[str, object]]) -> bytes:
    """Refs as a part of a pickled list."""
    return b"".join([pickle.MARK, *map(_pickled, refs), pickle.APPENDS])


def _pickled(value: object) -> bytes:
    """A plain value as a part of a pickle of protocol 2, so that a list of any length is written piece by piece."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=2)
    pickler.fast = True  # without memo, or parts could not stand beside each other
    pickler.dump(value)
    return stream.getvalue()[2:-1]


def _write_mdetr(photo: ToyPhoto, sheet: Sheet, file: str, sent_id: int, sent: str, span: Span, index: int) -> None:
    left, top, width, height = box_xywh(photo.rendered.boxes_xyxy[index])
    sheet.add(file, "images", {
        "file_name": photo.home.file_name, "height": photo.scene.height, "width": photo.scene.width, "id": sent_id,
        "original_id": int(photo.home.photo_id), "caption": sent, "dataset_name": "refcoco",
        "tokens_negative": [[0, len(sent)]],
    })  # fmt: skip
    sheet.add(file, "annotations", {
        "area": width * height, "iscrowd": 0, "image_id": sent_id,
        "category_id": words.SHAPE[photo.view.objects[index].shape].coco_id, "id": sent_id,
        "bbox": [left, top, width, height], "original_id": annotation_id(photo, index), "tokens_positive": [span],
    })  # fmt: skip
