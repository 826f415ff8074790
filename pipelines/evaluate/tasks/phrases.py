"""What the tasks on phrases share: the phrases that can be judged with their answers, and what went wrong."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.predictions import NOTHING, Answer
from pipelines.evaluate.result import Kind, Mistake, Worst
from pipelines.evaluate.tasks import Answered, all_phrases
from pipelines.labelling.grounding import Phrase
from xdetr_data.record import GroundedImage, Query
from xdetr_data.record import Phrase as LabelledPhrase
from xdetr_model.evaluate.overlap import iou_matrix

HIT = 0.5

Judged = Callable[[Query, LabelledPhrase], bool]


class OnePhrase(NamedTuple):
    """A phrase that is judged: where it stands, what was found and the boxes ``[R, 4]`` that it names."""

    record: GroundedImage
    query: Query
    phrase: LabelledPhrase
    answer: Answer
    true_xyxy: NDArray[np.float64]

    @property
    def words(self) -> str:
        """What it says."""
        return " ".join(self.query.text[begin:end] for begin, end in self.phrase.spans)


def asked(record: GroundedImage, judged: Judged) -> list[tuple[int, Phrase]]:
    """The phrases that a task judges, with their numbers among all of the photo."""
    labelled = [(query, phrase) for query in record.queries for phrase in query.phrases]
    return [one for one, (query, phrase) in zip(all_phrases(record), labelled, strict=True) if judged(query, phrase)]


def phrases_of(answered: Answered, judged: Judged) -> Iterator[OnePhrase]:
    """Every phrase that a task judges."""
    for record, answers in answered:
        number = -1
        for query in record.queries:
            for phrase in query.phrases:
                number += 1
                if judged(query, phrase):
                    boxes = np.array([record.regions[i].box_xyxy for i in phrase.regions], np.float64).reshape(-1, 4)
                    yield OnePhrase(record, query, phrase, answers.get(number, NOTHING), boxes)


def note_mistake(one: OnePhrase, worst: Worst) -> None:
    """Keeps a phrase whose best box is wrong; of a phrase that names nothing, any box is invented.

    Wrong attribute: the box is on an object that another phrase with the same last word names ("the red *ball*").
    """
    best = one.answer.boxes_xyxy[:1]
    if not len(one.true_xyxy):
        kind: Kind = "invented"
        if not len(best):
            return
    elif len(best) and (iou_matrix(best, one.true_xyxy) >= HIT).any():
        return
    else:
        kind = "missed" if not len(best) else "wrong attribute" if _is_other_of_its_kind(one, best) else "wrong box"
    worst.add(
        Mistake(
            kind=kind,
            key=one.record.key,
            text=one.words,
            score=float(one.answer.scores[0]) if len(best) else 0.0,
            found_xyxy=best.tolist(),
            true_xyxy=one.true_xyxy.tolist(),
        )
    )


def _is_other_of_its_kind(one: OnePhrase, best: NDArray[np.float64]) -> bool:
    last = one.words.lower().split()[-1:]
    boxes = [
        one.record.regions[index].box_xyxy
        for query in one.record.queries
        for phrase in query.phrases
        if query.text[phrase.spans[-1][0] : phrase.spans[-1][1]].lower().split()[-1:] == last
        for index in phrase.regions
    ]
    return bool((iou_matrix(best, np.array(boxes, np.float64).reshape(-1, 4)) >= HIT).any())
