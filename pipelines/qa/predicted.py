"""A model's predictions beside the truth in FiftyOne, with FiftyOne's own evaluation fields."""

from collections.abc import Mapping
from typing import Any

from pipelines import console
from pipelines.evaluate.predictions import Answer, answered, read_predictions
from pipelines.evaluate.tasks import Task, task_of
from pipelines.qa.labels import PHRASES
from xdetr_data.boxes import normalise_xyxy, xyxy_to_xywh
from xdetr_data.errors import ConfigError
from xdetr_data.manifest import read_manifest
from xdetr_data.record import GroundedImage
from xdetr_data.spans import span_text
from xdetr_data.storage import Folder

PREDICTIONS, EVALUATION = "predictions", "eval"  # the field, and the prefix of FiftyOne's evaluation fields
SHOWN = 20  # boxes of a photo at most
IOU = 0.5


def show_predictions(fo: Any, dataset: Any, source: Folder, kept: Folder) -> int:
    """Adds the field ``predictions`` to a dataset of ``qa``, and has FiftyOne say which are right (``eval_tp`` …).

    Of each phrase as many of the best boxes as it has true ones, or its best one; of a photo the best ``SHOWN``.
    A prediction and a box of a phrase match where the words are the same. Returns how many boxes are shown. Raises
    ConfigError where the predictions are of another dataset, or name no words.
    """
    manifest, found = read_manifest(source), read_predictions(kept)
    if found.asked.config_hash != manifest.config_hash:
        raise ConfigError(f"--predictions {kept.url}: are of {found.asked.dataset} as it was built then; predict again")
    task = task_of(found.asked.task, manifest)
    if task.asks_proposals:
        raise ConfigError(f"--predictions {kept.url}: are boxes without words; give those of another task than boxes")
    count = 0
    with console.progress("importing predictions", len(dataset.view())) as advance:
        for record, answers in answered(source, manifest, kept):
            sample = next(iter(dataset.match(fo.ViewField("key") == record.key).iter_samples()), None)
            if sample is None:  # not among the photos that were chosen
                continue
            boxes = _detections(fo, record, answers, task)
            sample[PREDICTIONS] = fo.Detections(detections=boxes)
            sample.save()
            count += len(boxes)
            advance(1)
    dataset.evaluate_detections(
        PREDICTIONS, gt_field=PHRASES, eval_key=EVALUATION, iou=IOU, classwise=True, compute_mAP=False
    )
    return count


def _detections(fo: Any, record: GroundedImage, answers: Mapping[int, Answer], task: Task) -> list[Any]:
    true = _true_boxes(record)
    shown = []
    for number, question in task.questions(record):
        answer = answers.get(number)
        if answer is None:
            continue
        words = span_text(question.spans, question.text)
        most = max(1, true.get(words, 0))
        for box, score in zip(answer.boxes_xyxy[:most].tolist(), answer.scores[:most].tolist(), strict=True):
            inner = xyxy_to_xywh(normalise_xyxy((box[0], box[1], box[2], box[3]), record.image.size_hw))
            shown.append((score, fo.Detection(label=words, confidence=score, bounding_box=list(inner))))
    shown.sort(key=lambda one: -one[0])
    return [one for _, one in shown[:SHOWN]]


def _true_boxes(record: GroundedImage) -> dict[str, int]:
    """How many boxes words name, of all their phrases the most."""
    counts: dict[str, int] = {}
    for query in record.queries:
        for phrase in query.phrases:
            words = span_text(phrase.spans, query.text)
            counts[words] = max(counts.get(words, 0), len(phrase.regions))
    return counts
