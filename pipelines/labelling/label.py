"""From what the grounders said of a photo to its labels: the part of pseudo-labelling that needs no model."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from pipelines.engine.outcome import Outcome
from pipelines.labelling.choosing import Choice, choices
from pipelines.labelling.options import LabelOptions
from pipelines.labelling.verify import ABSENCES, UNSURE, absences, sure
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.record import GroundedImage
from xdetr_data.shards.grounded import GroundedPhoto, GroundedPhrase, GroundedQuery
from xdetr_data.spans import span_text
from xdetr_data.stages.grounding.ground_phrases import SelectionRule, select_boxes
from xdetr_data.stages.merge_boxes import merge_boxes
from xdetr_data.stages.merge_regions import merge_regions

STAGE = "ground_phrases"


def label_photo(photo: GroundedPhoto, rule: LabelOptions, teachers: Sequence[str] = ("grounder",)) -> Outcome:
    """The record of a photo; phrases without a label and boxes that repeat one are rejects.

    ``teachers`` are the names of those that grounded it.

    A photo whose phrases all lost their boxes stays: its textless boxes and its sentences are still true.
    """
    outcome = Outcome(key=photo.key)
    queries = [_label_query(query, rule, teachers, outcome) for query in photo.queries]
    absent = [] if rule.absent_below is None else list(absences(photo, rule.absent_below))
    if absent:
        outcome.note(ABSENCES, len(absent))
    regions, merged = merge_regions([*queries, *absent], min_iou=rule.merge_iou, order=rule.box_order)
    merged = (*merged[: len(queries)], *(replace(one, is_exhaustive=True) for one in merged[len(queries) :]))
    record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    outcome.record, duplicates = merge_boxes(record, photo.boxes, dedupe_iou=rule.dedupe_iou, order=rule.box_order)
    outcome.rejects += duplicates
    outcome.use("photo")
    outcome.use("box", len(photo.boxes) - len(duplicates))
    return outcome


def _label_query(query: GroundedQuery, rule: LabelOptions, teachers: Sequence[str], outcome: Outcome) -> BoxedQuery:
    phrases: list[BoxedPhrase] = []
    for phrase in query.phrases:
        able, reason = choices(phrase.candidates, rule, teachers)
        kept: list[Choice] = []
        if reason is None:
            kept, reason = _select(phrase, able, rule)
        if kept and rule.attribute_margin is not None:
            kept = sure(phrase, kept, rule.attribute_margin, rule.nms_iou)
            reason = None if kept else UNSURE
        if reason is None:
            phrases.append(_label(phrase, kept, rule))
            outcome.use("phrase")
        else:
            name = span_text(phrase.spans, query.text)
            detail = f"{name!r} at {list(phrase.spans)} ({phrase.fit})"
            outcome.reject("phrase", STAGE, reason, detail, where=query.group)
    return BoxedQuery(text=query.text, group=query.group, source="grounder", phrases=tuple(phrases))


def _select(phrase: GroundedPhrase, able: Sequence[Choice], rule: SelectionRule) -> tuple[list[Choice], str | None]:
    candidates = [one.candidate for one in able]
    kept, reason = select_boxes(
        rule,
        boxes_xyxy=np.array([one.box_xyxy for one in candidates], dtype=np.float64).reshape(-1, 4),
        scores=[one.score for one in candidates],
        agreement=[one.agreement for one in candidates],
        is_plural=phrase.is_plural,
        count=phrase.count,
    )
    return [able[i] for i in kept], reason


def _label(phrase: GroundedPhrase, kept: Sequence[Choice], rule: SelectionRule) -> BoxedPhrase:
    chosen = [one.candidate for one in kept]
    agreement = chosen[0].agreement
    trace = "" if rule.trace == "off" or agreement is None else f"trace {agreement:.4f}"
    return BoxedPhrase(
        spans=phrase.spans,
        boxes_xyxy=tuple(one.box_xyxy for one in chosen),
        annotation_ids=tuple(one.name for one in kept),
        score=chosen[0].score,
        detail="; ".join(part for part in (trace, kept[0].detail) if part),
        masks=tuple(one.mask for one in chosen) if any(one.mask for one in chosen) else (),
    )
