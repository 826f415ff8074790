"""What siblings of a phrase say: whether its attribute is sure, and which of them are not on the photo."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.labelling.choosing import Choice
from xdetr_data.boxed import BoxedPhrase, BoxedQuery
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.schema import from_json
from xdetr_data.shards.grounded import Candidate, GroundedPhoto, GroundedPhrase
from xdetr_data.spans import span_text

UNSURE = "attribute-unsure"
ABSENCES = "absences"


def sure(phrase: GroundedPhrase, kept: Sequence[Choice], margin: float, nms_iou: float) -> list[Choice]:
    """The choices whose boxes no sibling fits but for ``margin``: more than half of the teachers that see one say so.

    ``nms_iou`` says which boxes are the same.
    """
    if not phrase.contrasts or not kept:
        return list(kept)
    return [one for one in kept if _is_sure(phrase, one, margin, nms_iou)]


def _is_sure(phrase: GroundedPhrase, choice: Choice, margin: float, nms_iou: float) -> bool:
    own = [phrase.candidates[i] for i in choice.members]
    others = [candidate for contrast in phrase.contrasts for candidate in contrast.candidates]
    if not others:
        return True
    iou = iou_matrix_xyxy(_boxes(own), _boxes(others))
    votes = sum(
        all(
            candidate.score - other.score >= margin
            for other, overlap in zip(others, overlaps, strict=True)
            if other.teacher == candidate.teacher and overlap >= nms_iou
        )
        for candidate, overlaps in zip(own, iou.tolist(), strict=True)
    )
    return 2 * votes > len(own)


def absences(photo: GroundedPhoto, below: float) -> Iterator[BoxedQuery]:
    """Siblings of what the photo's phrases say that score less than ``below`` everywhere on it, and that no phrase
    says, neither one that was grounded nor one of the record: each a query of its own whose phrase has no box."""
    queries = [*photo.queries, *(from_json(photo.record).queries if photo.record is not None else ())]
    said = {span_text(phrase.spans, query.text).lower() for query in queries for phrase in query.phrases}
    for query in photo.queries:
        for phrase in query.phrases:
            for contrast in phrase.contrasts:
                best = max((one.score for one in contrast.candidates), default=None)
                if contrast.text.lower() not in said and best is not None and best < below:
                    said.add(contrast.text.lower())
                    yield absent_query(contrast.text, query.group, best)


def absent_query(text: str, group: str, best: float) -> BoxedQuery:
    """A text that as a whole names nothing on the photo; ``best`` is the score of what fits it best."""
    phrase = BoxedPhrase(
        spans=((0, len(text)),), boxes_xyxy=(), annotation_ids=(), score=best, detail=f"absent: best {best:.4f}"
    )
    return BoxedQuery(text=text, group=group, source="grounder", phrases=(phrase,))


def _boxes(candidates: Sequence[Candidate]) -> np.ndarray:
    return np.array([one.box_xyxy for one in candidates], dtype=np.float64).reshape(-1, 4)
