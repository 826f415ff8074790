"""``xdetr-eval boxes``: class-agnostic average precision and recall over all regions of a dataset."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.evaluate.predictions import NOTHING
from pipelines.evaluate.result import Curve, Figure, Mistake, Result, Worst, figure
from pipelines.evaluate.tasks import Answered
from pipelines.labelling.grounding import Phrase
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage
from xdetr_model.errors import TargetError
from xdetr_model.evaluate.boxes import BoxScores, FoundBoxes, TrueBoxes, box_scores
from xdetr_model.evaluate.overlap import iou_matrix

AGNOSTIC = "COCO's, one class for everything, 100 boxes a photo"
COMPARABLE = "with class-agnostic AP of others, if all objects of the photos are boxed here as there"
OWN_SIZES = "with nothing published: sizes by area of the box, COCO's by area of the mask"
_HIT = 0.5


def of(manifest: Manifest) -> "Boxes":
    """Any dataset fits; where nothing is boxed ``score`` says so."""
    return Boxes()


@dataclass(frozen=True)
class Boxes:
    """See the module."""

    asks_proposals = True

    def questions(self, record: GroundedImage) -> Sequence[tuple[int, Phrase]]:
        """None: proposals are asked for, answer 0."""
        return ()

    def check(self, records: Iterable[GroundedImage]) -> None:
        """See ``Task``."""
        if not any(not one.is_crowd for record in records for one in record.regions):
            raise InputError("--data: has no region; give a dataset with regions")

    def score(self, answered: Answered) -> Result:
        """See ``Task``."""
        found, truth, worst = [], [], Worst()
        for record, answers in answered:
            answer = answers.get(0, NOTHING)
            boxes = np.array([one.box_xyxy for one in record.regions], np.float64).reshape(-1, 4)
            is_crowd = np.array([one.is_crowd for one in record.regions], np.bool_)
            found.append(FoundBoxes(boxes_xyxy=answer.boxes_xyxy, scores=answer.scores))
            truth.append(TrueBoxes(boxes_xyxy=boxes, is_crowd=is_crowd))
            missed = boxes[~is_crowd & ~(iou_matrix(boxes, answer.boxes_xyxy) >= _HIT).any(1)]
            if len(missed):
                worst.add(
                    Mistake(
                        kind="missed",
                        key=record.key,
                        text=f"{len(missed)} of {len(boxes)} objects",
                        score=float(len(missed)),
                        found_xyxy=[],
                        true_xyxy=missed.tolist(),
                    )
                )
        try:
            scores = box_scores(found, truth)
        except TargetError as error:
            raise InputError(f"--data: {error}; give a dataset with regions") from error
        return Result(
            task="boxes",
            measured={"photos": scores.photos, "regions": scores.regions},
            figures=list(_figures(scores)),
            curves=[_curve(scores)],
            mistakes=worst.mistakes(),
        )


def _figures(scores: BoxScores) -> Iterator[Figure]:
    for name, value in (("AP", scores.ap), ("AP50", scores.ap50), ("AP75", scores.ap75)):
        yield figure(name, value, AGNOSTIC, COMPARABLE)
    for size, value in scores.ap_by_size.items():
        yield figure(f"AP {size}", value, AGNOSTIC, OWN_SIZES)
    for limit, value in scores.ar.items():
        yield figure(f"AR@{limit}", value, f"COCO's, one class for everything, {limit} boxes a photo", COMPARABLE)


def _curve(scores: BoxScores) -> Curve:
    precision = scores.curves.precision[0, :, 0, 0, -1]
    return Curve(
        title="precision over recall, IoU 0.5",
        x_label="recall",
        y_label="precision",
        x=np.linspace(0, 1, 101).tolist(),
        y=precision.tolist(),
    )
