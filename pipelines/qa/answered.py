"""Answers of ``xdetr-search`` in FiftyOne: the instances that were found, on the photos of the dataset."""

from collections import defaultdict
from typing import Any

from pipelines import console
from pipelines.search.answers import Answers
from xdetr_data.boxes import normalise_xyxy, xyxy_to_xywh

ANSWERS = "answers"  # the field, and the saved view
LONGEST = 80  # characters of a query as a label


def show_answers(fo: Any, dataset: Any, answers: Answers) -> int:
    """Adds the field ``answers`` to a dataset of ``qa``, and a saved view of that name with the photos that have one.

    A box is labelled with its query, its confidence is its score, ``rank`` and ``object`` are those of the answer.
    What an earlier call showed is gone. Returns how many are shown; photos that the dataset has not are told.
    """
    boxes: dict[str, list[Any]] = defaultdict(list)
    for found in answers.queries:
        for one in found.answers:
            place = xyxy_to_xywh(normalise_xyxy(one.box_xyxy, (one.height, one.width)))
            boxes[one.key].append(
                fo.Detection(
                    label=found.query[:LONGEST],
                    bounding_box=list(place),
                    confidence=one.score,
                    rank=one.rank,
                    object=one.object,
                )
            )
    if ANSWERS in dataset.get_field_schema():
        dataset.clear_sample_field(ANSWERS)
    else:
        dataset.add_sample_field(ANSWERS, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    keys = dict(zip(dataset.values("key"), dataset.values("id"), strict=True))
    shown = {keys[key]: fo.Detections(detections=of_photo) for key, of_photo in boxes.items() if key in keys}
    dataset.set_values(ANSWERS, shown, key_field="id")
    view = dataset.exists(f"{ANSWERS}.detections")
    queries = ", ".join(found.query[:LONGEST] for found in answers.queries)
    dataset.save_view(ANSWERS, view, description=f"what xdetr-search found for: {queries}"[:300], overwrite=True)
    if missing := len(boxes) - len(shown):
        console.warn(f"{missing:,} photos with answers are not in this dataset, or not among the chosen ones")
    return sum(len(one.detections) for one in shown.values())
