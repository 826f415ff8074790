"""Flickr30k Entities (sentences, XML, splits) and what MDETR made of it: ``final_flickr_separateGT_*.json``."""

from __future__ import annotations

import re
from typing import NamedTuple

from xdetr_data.boxes import Box
from xdetr_data.spans import Span
from xdetr_data.toyworld import templates
from xdetr_data.toyworld.annotators import Annotator, muted_objects
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.formats.mixed import ANNOTATION_IDS_PER_PHOTO, IDS_PER_PHOTO
from xdetr_data.toyworld.photo import Sheet, ToyPhoto
from xdetr_data.toyworld.speech import Told, say
from xdetr_data.toyworld.truth import text_truth
from xdetr_data.toyworld.view import View

FOLDER = "flickr30k_entities"
_SENTENCES = 5
_NOT_VISUAL = re.compile(r"\b(?:someone|a picture|this picture|some other things|things)\b", re.IGNORECASE)
_UNRELATED = ("A man rides his bike down the street .", "Two dogs play in the snow .", "People wait for a train .")
_EMPTY = ("It looks like a drawing .", "Nobody is here .")
_SCENE = -1  # the chain of the background, which has no box


class _Entity(NamedTuple):
    span: Span
    chain: int
    kind: str
    objects: tuple[int, ...] = ()


def write_flickr(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds the photo's five sentences in both forms, its XML and their truth."""
    dice = photo.dice(Purpose.FLICKR)
    view = photo.view.muting(muted_objects(photo.view, dice, 0.12))
    annotator = Annotator(view, dice, 0.02, whole_pixels=True)
    told = [_sentence(photo, view, sheet, dice, number) for number in range(_SENTENCES)]
    chains: dict[tuple[int, ...], int] = {}
    entities = [_entities(each, photo, chains) for each in told]
    name = photo.home.photo_id
    lines = [_marked(each.text, found) for each, found in zip(told, entities, strict=True)]
    sheet.files[f"{FOLDER}/Sentences/{name}.txt"] = ("\n".join(lines) + "\n").encode()
    boxes = {index: annotator.box_xyxy(index) for objects in chains for index in objects if index != _SCENE}
    sheet.files[f"{FOLDER}/Annotations/{name}.xml"] = _xml(photo, chains, boxes).encode()
    sheet.add_bytes(f"{FOLDER}/{photo.home.split}.txt", "lines", name.encode())
    _write_mdetr(photo, sheet, told, entities, boxes)


def _sentence(photo: ToyPhoto, view: View, sheet: Sheet, dice: Dice, number: int) -> Told:
    if dice.chance(0.004):
        sheet.add_bytes(f"{FOLDER}/UNRELATED_CAPTIONS", "lines", f"{photo.home.photo_id} {number + 1}".encode())
        return Told(dice.pick(_UNRELATED), ())
    told = None if dice.chance(0.01) else say(view, dice, templates.FLICKR)
    if told is None:
        return Told(dice.pick(_EMPTY), ())
    return told._replace(text=told.text + " .") if dice.chance(0.75) else told


def _entities(told: Told, photo: ToyPhoto, chains: dict[tuple[int, ...], int]) -> list[_Entity]:
    """The sentence's phrases in order of their words; the same objects are the same chain in all five sentences."""
    found = []
    for mention in told.mentions:
        chain = chains.setdefault(mention.objects, len(chains) + 1)
        found.append(_Entity(mention.span, chain, "other", mention.objects))
    for words in photo.view.background.words:
        at = told.text.find(words)
        if at >= 0:
            begin = told.text.rfind(" ", 0, max(0, at - 1)) + 1  # with its article
            chain = chains.setdefault((_SCENE,), len(chains) + 1)
            found.append(_Entity((begin, at + len(words)), chain, "scene"))
            break
    for match in _NOT_VISUAL.finditer(told.text):
        if not any(each.span[0] < match.end() and match.start() < each.span[1] for each in found):
            found.append(_Entity(match.span(), 0, "notvisual"))
    return sorted(found)


def _marked(text: str, entities: list[_Entity]) -> str:
    parts, end = [], 0
    for entity in entities:
        begin = entity.span[0]
        parts.append(f"{text[end:begin]}[/EN#{entity.chain}/{entity.kind} {text[slice(*entity.span)]}]")
        end = entity.span[1]
    return "".join(parts) + text[end:]


def _xml(photo: ToyPhoto, chains: dict[tuple[int, ...], int], boxes: dict[int, Box]) -> str:
    """One object a box, with the names of all chains it is in, as the real files have it."""
    height, width = photo.scene.height, photo.scene.width
    lines = [
        "<annotation>", f"\t<filename>{photo.home.file_name}</filename>",
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>",
    ]  # fmt: skip
    real = {objects: chain for objects, chain in chains.items() if objects != (_SCENE,)}
    for index, box in boxes.items():
        names = "".join(f"\t\t<name>{chain}</name>\n" for objects, chain in real.items() if index in objects)
        left, top, right, bottom = (int(side) for side in box)
        lines.append(
            f"\t<object>\n{names}\t\t<bndbox>\n\t\t\t<xmin>{left}</xmin>\n\t\t\t<ymin>{top}</ymin>\n"
            f"\t\t\t<xmax>{right}</xmax>\n\t\t\t<ymax>{bottom}</ymax>\n\t\t</bndbox>\n\t</object>"
        )
    if (_SCENE,) in chains:
        lines.append(
            f"\t<object>\n\t\t<name>{chains[(_SCENE,)]}</name>\n\t\t<scene>1</scene>\n"
            "\t\t<nobndbox>0</nobndbox>\n\t</object>"
        )
    return "\n".join([*lines, "</annotation>", ""])


def _write_mdetr(
    photo: ToyPhoto, sheet: Sheet, told: list[Told], entities: list[list[_Entity]], boxes: dict[int, Box]
) -> None:
    file = f"mdetr/final_flickr_separateGT_{photo.home.split}.json"
    annotation_id = photo.index * ANNOTATION_IDS_PER_PHOTO
    for number, (sentence, found) in enumerate(zip(told, entities, strict=True)):
        caption_id = photo.index * IDS_PER_PHOTO + number
        named = [entity for entity in found if entity.objects]
        sheet.add(file, "images", {
            "file_name": photo.home.file_name, "height": str(photo.scene.height), "width": str(photo.scene.width),
            "id": caption_id, "caption": sentence.text, "dataset_name": "flickr",
            "tokens_negative": [[0, len(sentence.text)]], "sentence_id": number,
            "original_img_id": int(photo.home.photo_id), "tokens_positive_eval": [[entity.span] for entity in named],
        })  # fmt: skip
        for entity in named:
            for index in entity.objects:
                left, top, right, bottom = boxes[index]
                sheet.add(file, "annotations", {
                    "area": (right - left) * (bottom - top), "iscrowd": 0, "image_id": caption_id, "category_id": 1,
                    "id": annotation_id, "bbox": [left, top, right - left, bottom - top],
                    "tokens_positive": [entity.span],
                })  # fmt: skip
                annotation_id += 1
        sheet.texts.append(text_truth(file, str(caption_id), sentence.text, sentence.mentions))
