"""``mdetr/final_mixed_{train,val}.json``: paragraphs packed by MDETR's rules from independent expressions.

Photos of Visual Genome have region descriptions and questions, boxed by two people; COCO's have referring expressions
with COCO's boxes besides. Some objects no expression names, though COCO boxes them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from xdetr_data.boxes import Box
from xdetr_data.spans import Span
from xdetr_data.toyworld import templates
from xdetr_data.toyworld.annotators import Annotator, muted_objects
from xdetr_data.toyworld.dice import Dice, Purpose
from xdetr_data.toyworld.packing import Expression, Paragraph, pack_expressions
from xdetr_data.toyworld.photo import Sheet, ToyPhoto
from xdetr_data.toyworld.speech import Told, told_many
from xdetr_data.toyworld.truth import PhraseTruth, TextTruth

IDS_PER_PHOTO = 64  # paragraphs; annotations have 4,096
ANNOTATION_IDS_PER_PHOTO = 4096
_WORD = re.compile(r"[^\W_](?:\S*[^\W_])?")  # MDETR trims a word's own marks
_ARTICLE = re.compile(r"(?:the|an?) (?=\S)", re.IGNORECASE)


class _Boxed(NamedTuple):
    expression: Expression
    phrases: tuple[PhraseTruth, ...]


def write_mixed(photo: ToyPhoto, sheet: Sheet) -> None:
    """Adds the photo's paragraphs, their annotations and their truth."""
    dice = photo.dice(Purpose.MIXED)
    boxed = _expressions(photo, dice)
    file = f"mdetr/final_mixed_{photo.home.split}.json"
    annotation_id = photo.index * ANNOTATION_IDS_PER_PHOTO
    for number, paragraph in enumerate(pack_expressions([each.expression for each in boxed])):
        paragraph_id = photo.index * IDS_PER_PHOTO + number
        hidden = _unboxed_spans(paragraph, boxed)
        sheet.add(file, "images", {
            "file_name": photo.home.file_name, "height": photo.scene.height, "width": photo.scene.width,
            "id": paragraph_id, "original_id": photo.home.photo_id, "caption": paragraph.caption,
            "tokens_negative": [span for span in paragraph.tokens_negative if not _inside(span, hidden)],
            "data_source": photo.home.collection, "dataset_name": "mixed",
        })  # fmt: skip
        for annotation in paragraph.annotations:
            left, top, right, bottom = annotation.box_xyxy
            bbox = [left, top, round(right - left, 2), round(bottom - top, 2)]
            area = bbox[2] * bbox[3] * (1.0 if dice.chance(0.8) else 0.7)  # COCO's is the segment's
            sheet.add(file, "annotations", {
                "area": area, "iscrowd": 0, "image_id": paragraph_id, "category_id": 1, "id": annotation_id,
                "bbox": bbox, "tokens_positive": annotation.spans_char,
            })  # fmt: skip
            annotation_id += 1
        sheet.texts.append(_truth(file, paragraph_id, paragraph, boxed))


def _expressions(photo: ToyPhoto, dice: Dice) -> list[_Boxed]:
    is_coco = photo.home.collection == "coco"
    view = photo.view.muting(muted_objects(photo.view, dice, 0.2))
    people = [Annotator(view, dice, looseness, whole_pixels=not is_coco) for looseness in (0.03, 0.06)]
    regions = told_many(view, dice, templates.REGION, 2 + round(len(view.singles) * dice.uniform(0.9, 1.8)))
    questions = told_many(view, dice, templates.QUESTION, dice.integer(1, 2))
    boxed = [_box(told, dice, dice.pick(people)) for told in (*regions, *questions)]
    if is_coco:
        exact = Annotator(view, dice, 0.0, whole_pixels=False)
        boxed += [_box(told, dice, exact) for told in told_many(view, dice, templates.REFERRING, dice.integer(1, 4))]
    return dice.shuffled(boxed)


def _box(told: Told, dice: Dice, annotator: Annotator) -> _Boxed:
    """Boxes a sentence: its first words always, others often; words of an unboxed mention get no annotation."""
    boxes: list[Box] = []
    spans: list[tuple[Span, ...]] = []
    phrases = []
    for position, mention in enumerate(told.mentions):
        is_boxed = dice.chance(1.0 if position == 0 else 0.45)  # MDETR's script boxes an expression's root at least
        begin, end = mention.span
        if dice.chance(0.3) and (article := _ARTICLE.match(told.text, begin, end)):
            begin = article.end()
        phrases.append(PhraseTruth(span=(begin, end), objects=mention.objects, kind=mention.kind, is_boxed=is_boxed))
        if is_boxed:
            boxes += (annotator.box_xyxy(index) for index in mention.objects)
            spans += [tuple(match.span() for match in _WORD.finditer(told.text, begin, end))] * len(mention.objects)
    expression = Expression(
        text=told.text, boxes_xyxy=tuple(boxes), spans_char=tuple(spans), is_question=told.is_question
    )
    return _Boxed(expression, tuple(phrases))


def _unboxed_spans(paragraph: Paragraph, boxed: list[_Boxed]) -> list[Span]:
    """Words that name an object nobody boxed: MDETR leaves them out of the negatives."""
    return [
        (phrase.span[0] + begin, phrase.span[1] + begin)
        for (begin, _), index in zip(paragraph.sentences, paragraph.expressions, strict=True)
        for phrase in boxed[index].phrases
        if not phrase.is_boxed
    ]


def _inside(span: Span, hidden: list[Span]) -> bool:
    return any(begin <= span[0] and span[1] <= end for begin, end in hidden)


def _truth(file: str, paragraph_id: int, paragraph: Paragraph, boxed: list[_Boxed]) -> TextTruth:
    phrases = tuple(
        PhraseTruth(
            span=(phrase.span[0] + begin, phrase.span[1] + begin), objects=phrase.objects, kind=phrase.kind,
            is_boxed=phrase.is_boxed,
        )
        for (begin, _), index in zip(paragraph.sentences, paragraph.expressions, strict=True)
        for phrase in boxed[index].phrases
    )  # fmt: skip
    return TextTruth(
        file=file, id=str(paragraph_id), text=paragraph.caption, sentences=paragraph.sentences, phrases=phrases
    )
