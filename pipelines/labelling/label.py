"""From what the grounder said of a photo to its labels: the part of pseudo-labelling that needs no model."""

import numpy as np

from pipelines.engine.outcome import Outcome
from pipelines.labelling.options import LabelOptions
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.record import GroundedImage
from xdetr_data.shards.grounded import GroundedPhoto, GroundedPhrase, GroundedQuery
from xdetr_data.spans import span_text
from xdetr_data.stages.grounding.ground_phrases import SelectionRule, select_boxes
from xdetr_data.stages.merge_boxes import merge_boxes
from xdetr_data.stages.merge_regions import merge_regions

STAGE = "ground_phrases"


def label_photo(photo: GroundedPhoto, rule: LabelOptions) -> Outcome:
    """The record of a photo; phrases without a label and boxes that repeat one are rejects.

    A photo whose phrases all lost their boxes stays: its textless boxes and its sentences are still true.
    """
    outcome = Outcome(key=photo.key)
    queries = [_label_query(query, rule, outcome) for query in photo.queries]
    regions, merged = merge_regions(queries, min_iou=rule.merge_iou, order=rule.box_order)
    record = GroundedImage(key=photo.key, image=photo.image, regions=regions, queries=merged)
    outcome.record, duplicates = merge_boxes(record, photo.boxes, dedupe_iou=rule.dedupe_iou, order=rule.box_order)
    outcome.rejects += duplicates
    outcome.use("photo")
    outcome.use("box", len(photo.boxes) - len(duplicates))
    return outcome


def _label_query(query: GroundedQuery, rule: SelectionRule, outcome: Outcome) -> BoxedQuery:
    phrases: list[BoxedPhrase] = []
    for phrase in query.phrases:
        kept, reason = _choose(phrase, rule)
        if reason is None:
            phrases.append(_label(phrase, kept, rule))
            outcome.use("phrase")
        else:
            name = span_text(phrase.spans, query.text)
            detail = f"{name!r} at {list(phrase.spans)} ({phrase.fit})"
            outcome.reject("phrase", STAGE, reason, detail, where=query.group)
    return BoxedQuery(text=query.text, group=query.group, source="grounder", phrases=tuple(phrases))


def _choose(phrase: GroundedPhrase, rule: SelectionRule) -> tuple[list[int], str | None]:
    return select_boxes(
        rule,
        boxes_xyxy=np.array([one.box_xyxy for one in phrase.candidates], dtype=np.float64).reshape(-1, 4),
        scores=[one.score for one in phrase.candidates],
        agreement=[one.agreement for one in phrase.candidates],
        is_plural=phrase.is_plural,
        count=phrase.count,
    )


def _label(phrase: GroundedPhrase, kept: list[int], rule: SelectionRule) -> BoxedPhrase:
    chosen = [phrase.candidates[i] for i in kept]
    agreement = chosen[0].agreement
    return BoxedPhrase(
        spans=phrase.spans,
        boxes_xyxy=tuple(one.box_xyxy for one in chosen),
        annotation_ids=tuple(f"candidate-{i}" for i in kept),
        score=chosen[0].score,
        detail="" if rule.trace == "off" or agreement is None else f"trace {agreement:.4f}",
    )
