"""From what the grounders said of a photo's prompts to the boxes of its classes: no model is needed."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from msgspec.structs import replace

from pipelines.engine.outcome import Outcome
from pipelines.labelling.choosing import Choice, choices
from pipelines.labelling.class_list import ClassPrompts
from pipelines.labelling.options import LabelOptions
from pipelines.labelling.verify import ABSENCES
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage
from xdetr_data.shards.grounded import GroundedPhoto, GroundedPhrase
from xdetr_data.stages.grounding.ground_phrases import select_boxes
from xdetr_data.stages.merge_regions import merge_regions
from xdetr_data.vocabulary import class_detail

NOT_FOUND, NEGATIVE = "classes-not-found", "boxes-that-fit-a-negative-prompt"


def label_classes(
    photo: GroundedPhoto, classes: Sequence[ClassPrompts], rule: LabelOptions, teachers: Sequence[str]
) -> Outcome:
    """The record of a photo: a query for each class, with its boxes, or with none where it was looked for in vain.

    A box of one prompt that another prompt of the class found better, and a box that a negative prompt fits better, are
    none of the class; ``--nms-iou`` says which boxes are one. A class of which all boxes score less than
    ``--absent-below`` is absent; no other query is exhaustive, for a model is no verification.
    """
    outcome = Outcome(key=photo.key)
    asked = [phrase for query in photo.queries for phrase in query.phrases]
    outcome.use("photo")
    outcome.use("phrase", len(asked))
    phrases, group = iter(asked), photo.queries[0].group
    best = [_best(islice(asked, begin, begin + len(one.prompts))) for begin, one in _begins(classes)]
    queries = [_query(one, _able(one, phrases, rule, teachers, outcome), group, rule) for one in classes]
    absent = [
        rule.absent_below is not None and not query.phrases[0].boxes_xyxy and score < rule.absent_below
        for query, score in zip(queries, best, strict=True)
    ]
    if any(absent):
        outcome.note(ABSENCES, sum(absent))
    outcome.note(NOT_FOUND, sum(not query.phrases[0].boxes_xyxy for query in queries))
    regions, merged = merge_regions(queries, min_iou=rule.merge_iou, order=rule.box_order)
    merged = tuple(replace(one, is_exhaustive=is_none) for one, is_none in zip(merged, absent, strict=True))
    outcome.record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    return outcome


def _begins(classes: Sequence[ClassPrompts]) -> Iterator[tuple[int, ClassPrompts]]:
    """Where each class's prompts begin among all that a photo is asked for."""
    begin = 0
    for one in classes:
        yield begin, one
        begin += len(one.prompts) + len(one.negatives)


def _best(phrases: Iterable[GroundedPhrase]) -> float:
    """The best score of all candidates; of none, that of what is there for sure."""
    return max((one.score for phrase in phrases for one in phrase.candidates), default=math.inf)


def _able(
    one: ClassPrompts,
    phrases: Iterator[GroundedPhrase],
    rule: LabelOptions,
    teachers: Sequence[str],
    outcome: Outcome,
) -> list[Choice]:
    """The boxes that may be the class's, each named after the prompt that found it; takes the class's phrases."""
    able = [
        replace(choice, name=f"{prompt}/{choice.name}")
        for prompt, phrase in zip(one.prompts, islice(phrases, len(one.prompts)), strict=True)
        for choice in choices(phrase.candidates, rule, teachers)[0]
    ]
    against = [
        choice
        for phrase in islice(phrases, len(one.negatives))
        for choice in choices(phrase.candidates, rule, teachers)[0]
    ]
    if not able or not against:
        return able
    overlap = iou_matrix_xyxy(_boxes(able), _boxes(against)) >= rule.nms_iou
    better = np.array([[other.candidate.score > own.candidate.score for other in against] for own in able])
    is_other = (overlap & better).any(axis=1)
    outcome.note(NEGATIVE, int(is_other.sum()))
    return [choice for choice, is_none in zip(able, is_other.tolist(), strict=True) if not is_none]


def _query(one: ClassPrompts, able: Sequence[Choice], group: str, rule: LabelOptions) -> BoxedQuery:
    """A class as its name, which as a whole names all boxes that are kept."""
    kept, _ = select_boxes(
        rule,
        boxes_xyxy=_boxes(able),
        scores=[choice.candidate.score for choice in able],
        agreement=[None for _ in able],
        is_plural=True,
        count=None,
    )
    chosen = [able[i] for i in kept]
    masks = tuple(choice.candidate.mask for choice in chosen)
    phrase = BoxedPhrase(
        spans=((0, len(one.name)),),
        boxes_xyxy=tuple(choice.candidate.box_xyxy for choice in chosen),
        annotation_ids=tuple(choice.name for choice in chosen),
        score=chosen[0].candidate.score if chosen else None,
        detail=class_detail(one.id),
        masks=masks if any(masks) else (),
    )
    return BoxedQuery(text=one.name, group=group, source="grounder", phrases=(phrase,))


def _boxes(able: Sequence[Choice]) -> np.ndarray:
    return np.array([choice.candidate.box_xyxy for choice in able], dtype=np.float64).reshape(-1, 4)
