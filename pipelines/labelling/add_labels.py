"""New labels beside those of a record: phrases without a box get theirs, nothing that is there changes."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from pipelines.engine.outcome import Outcome
from pipelines.labelling.label import label_photo
from pipelines.labelling.options import LabelOptions
from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage, Phrase, Query, Region
from xdetr_data.schema import from_json
from xdetr_data.shards.grounded import GroundedPhoto


def label_record(photo: GroundedPhoto, rule: LabelOptions, teachers: Sequence[str]) -> Outcome:
    """The record that was grounded with labels added; its photo's sentences are the record's queries, in order.

    A box that overlaps one of the record's by ``--merge-iou`` or more is the same object. Absences come last.
    """
    assert photo.record is not None
    before = from_json(photo.record)
    outcome = label_photo(photo, rule, teachers)
    found = outcome.record
    assert found is not None
    regions, place = _placed(before.regions, found.regions, rule.merge_iou)
    told, absent = found.queries[: len(before.queries)], found.queries[len(before.queries) :]
    queries = [_added(old, new, place) for old, new in zip(before.queries, told, strict=True)]
    outcome.record = GroundedImage(key=before.key, image=before.image, regions=regions, queries=(*queries, *absent))
    return outcome


def wants_labels(phrase: Phrase, query: Query) -> bool:
    """Whether a phrase of a record has no box, and nobody verified that it names nothing."""
    return not phrase.regions and not query.is_exhaustive


def _placed(
    before: Sequence[Region], found: Sequence[Region], same_iou: float
) -> tuple[tuple[Region, ...], dict[int, int]]:
    """All regions, those of the record first, and the place of each new one among them."""
    able = [index for index, one in enumerate(before) if not one.is_crowd]
    overlap = iou_matrix_xyxy(_boxes(found), _boxes([before[index] for index in able]))
    regions, place = list(before), dict[int, int]()
    for number, one in enumerate(found):
        best = int(overlap[number].argmax()) if able else -1
        if able and overlap[number, best] >= same_iou:
            place[number] = able[best]
        else:
            place[number] = len(regions)
            regions.append(one)
    return tuple(regions), place


def _added(old: Query, new: Query, place: dict[int, int]) -> Query:
    labelled = {
        phrase.spans: replace(phrase, regions=tuple(dict.fromkeys(place[index] for index in phrase.regions)))
        for phrase in new.phrases
    }
    kept = [labelled.pop(one.spans, one) if wants_labels(one, old) else one for one in old.phrases]
    return replace(old, phrases=(*kept, *(labelled.values() if not old.phrases else ())))


def _boxes(regions: Sequence[Region]) -> np.ndarray:
    return np.array([one.box_xyxy for one in regions], dtype=np.float64).reshape(-1, 4)
