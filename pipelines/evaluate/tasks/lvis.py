"""``xdetr-eval lvis``: average precision over LVIS's classes, fixed and standard."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.evaluate.predictions import NOTHING, Answer
from pipelines.evaluate.result import Curve, Figure, Result, Table, Worst, figure
from pipelines.evaluate.tasks import Answered
from pipelines.evaluate.tasks.phrases import OnePhrase, note_mistake
from pipelines.labelling.grounding import Phrase
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage
from xdetr_data.vocabulary import NamedClass, class_of, vocabulary_of
from xdetr_model.evaluate.columns import Found, Truth, photo_numbers
from xdetr_model.evaluate.lvis import PROTOCOLS, Federation, LvisScores, Protocol, lvis_scores

SAYS = {
    "fixed": "fixed AP (Dave et al. 2021): 10,000 boxes a class over all photos, federated",
    "standard": "standard (lvis 0.5.3): 300 boxes a photo, federated",
}
COMPARABLE = "with published {protocol} AP, if the photos are all of LVIS v1 val (or minival)"
NO_BOX = "--data: no photo has a box of a class; give a dataset of 'xdetr-data build lvis'"
OWN_SIZES = "with nothing published: sizes by area of the box, LVIS's by area of the mask"


def of(manifest: Manifest) -> "Lvis":
    """Raises InputError where a dataset has no vocabulary."""
    return Lvis(vocabulary_of(manifest))


@dataclass(frozen=True)
class Lvis:
    """See the module. The number of a question is the class's place in the vocabulary."""

    vocabulary: tuple[NamedClass, ...]
    protocols: tuple[Protocol, ...] = PROTOCOLS
    asks_proposals = False

    def questions(self, record: GroundedImage) -> Sequence[tuple[int, Phrase]]:
        """All classes: which of them are known of the photo is the score's matter, after its cut."""
        return [(number, Phrase(one.text, ((0, len(one.text)),))) for number, one in enumerate(self.vocabulary)]

    def check(self, records: Iterable[GroundedImage]) -> None:
        """See ``Task``."""
        if not any(record.regions for record in records):
            raise InputError(NO_BOX)

    def score(self, answered: Answered) -> Result:
        """See ``Task``."""
        worst = Worst()
        known, found = self._collect(answered, worst)
        if not len(known.truth.photo):
            raise InputError(NO_BOX)
        scores = [lvis_scores(found, known, protocol) for protocol in self.protocols]
        return Result(
            task="lvis",
            measured={
                "photos": len(known.absent),
                "boxes": len(known.truth.photo),
                "classes": len(self.vocabulary),
                "classes_with_boxes": len(np.unique(known.truth.label)),
            },
            figures=[one for own in scores for one in _figures(own)],
            tables=[self._by_class(scores, known)],
            curves=[_curve(own) for own in scores],
            mistakes=worst.mistakes(),
        )

    def _collect(self, answered: Answered, worst: Worst) -> tuple[Federation, Found]:
        place = {one.id: number for number, one in enumerate(self.vocabulary)}
        truth: list[tuple[int, int, tuple[float, ...]]] = []
        absent: list[list[int]] = []
        unsure: list[list[int]] = []
        columns: list[Found] = []
        for photo, (record, answers) in enumerate(answered):
            absent.append([])
            unsure.append([])
            for query in record.queries:
                for phrase in query.phrases:
                    label = place.get(-1 if (number := class_of(phrase)) is None else number)
                    if label is None:
                        raise InputError(
                            f"--data: {record.key}: {query.text!r} is of no class of the vocabulary; build it again"
                        )
                    if not query.is_exhaustive:
                        unsure[-1].append(label)
                    elif not phrase.regions:
                        absent[-1].append(label)
                    own = [record.regions[index].box_xyxy for index in phrase.regions]
                    if query.is_exhaustive or own:  # of others nothing is known to be wrong
                        boxes = np.array(own, np.float64).reshape(-1, 4)
                        note_mistake(OnePhrase(record, query, phrase, answers.get(label, NOTHING), boxes), worst)
                    truth += [(photo, label, box) for box in own]
            columns.append(_columns(photo, answers))
        federation = Federation(
            truth=Truth(
                photo=np.array([photo for photo, _, _ in truth], np.int64),
                label=np.array([label for _, label, _ in truth], np.int64),
                boxes_xyxy=np.array([box for _, _, box in truth], np.float64).reshape(-1, 4),
                is_crowd=np.zeros(len(truth), np.bool_),
            ),
            frequencies=[one.frequency for one in self.vocabulary],
            absent=absent,
            not_exhaustive=unsure,
        )
        return federation, join(columns)

    def _by_class(self, scores: Sequence[LvisScores], known: Federation) -> Table:
        boxes = Counter(known.truth.label.tolist())
        values = [own.by_class for own in scores]
        rows: list[list[str | float | None]] = []
        for number, one in enumerate(self.vocabulary):
            if boxes[number]:
                rows.append([one.name, one.frequency, boxes[number], *(float(own[number]) for own in values)])
        return Table(
            title="by class",
            columns=["class", "frequency", "boxes", *(f"AP {own.protocol}" for own in scores)],
            rows=rows,
        )


def _columns(photo: int, answers: Mapping[int, Answer]) -> Found:
    counts = [len(one.scores) for one in answers.values()]
    label = np.repeat(np.array(list(answers), np.int64), counts)
    return Found(
        photo=np.full(len(label), photo, np.int64),
        label=label,
        boxes_xyxy=np.concatenate([np.zeros((0, 4)), *(one.boxes_xyxy for one in answers.values())]),
        scores=np.concatenate([np.zeros(0), *(one.scores for one in answers.values())]),
    )


def join(columns: Sequence[Found]) -> Found:
    """Boxes of all photos, in their order."""
    return Found(
        photo=np.concatenate([photo_numbers([]), *(one.photo for one in columns)]),
        label=np.concatenate([photo_numbers([]), *(one.label for one in columns)]),
        boxes_xyxy=np.concatenate([np.zeros((0, 4)), *(one.boxes_xyxy for one in columns)]),
        scores=np.concatenate([np.zeros(0), *(one.scores for one in columns)]),
    )


def _figures(scores: LvisScores) -> Iterator[Figure]:
    for name, value in scores.scalars().items():
        comparable = OWN_SIZES if "_" in name else COMPARABLE.format(protocol=scores.protocol)
        yield figure(f"{name.replace('_', ' ')} {scores.protocol}", value, SAYS[scores.protocol], comparable)


def _curve(scores: LvisScores) -> Curve:
    return Curve(
        title=f"precision over recall, IoU 0.5, mean of classes, {scores.protocol}",
        x_label="recall",
        y_label="precision",
        x=np.linspace(0, 1, 101).tolist(),
        y=np.nanmean(scores.curves.precision[0, :, :, 0, 0], axis=1).tolist(),
    )
