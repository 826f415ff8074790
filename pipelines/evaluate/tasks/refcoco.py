"""``xdetr-eval refcoco``: how often the best box of a referring expression is the one that is meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.evaluate.result import Result, Worst, figure
from pipelines.evaluate.tasks import Answered
from pipelines.evaluate.tasks.phrases import asked, note_mistake, phrases_of
from pipelines.labelling.grounding import Phrase
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage, Query
from xdetr_data.record import Phrase as LabelledPhrase
from xdetr_data.vocabulary import has_vocabulary
from xdetr_model.evaluate.overlap import giou_matrix, iou_matrix
from xdetr_model.evaluate.phrases import ALL, GroundedPhrase, phrase_recall

OVERLAPS = {"IoU": iou_matrix, "GIoU": giou_matrix}
SAYS = {"IoU": "IoU at least 0.5, as the field's tables", "GIoU": "generalised IoU at least 0.5, as MDETR's evaluator"}
NO_EXPRESSION = "--data: no query is an expression of one box; give a dataset of 'xdetr-data build refcoco'"
COMPARABLE = "with published P@k, if it is all of one set and split (val, testA, testB, test)"


def of(manifest: Manifest) -> "Refcoco":
    """Raises InputError for a set of classes: a name is no expression that tells one object from the others."""
    if has_vocabulary(manifest):
        raise InputError(
            f"dataset {manifest.prefix} (made by {manifest.recipe}) has names of classes, not referring expressions; "
            "give a dataset of 'xdetr-data build refcoco', or measure it with 'xdetr-eval lvis'"
        )
    return Refcoco(manifest.split)


@dataclass(frozen=True)
class Refcoco:
    """See the module; ``split`` is the set that the dataset was built of."""

    split: str
    asks_proposals = False

    def questions(self, record: GroundedImage) -> Sequence[tuple[int, Phrase]]:
        """Queries whose whole text names one box."""
        return asked(record, _is_expression)

    def check(self, records: Iterable[GroundedImage]) -> None:
        """See ``Task``."""
        if not any(self.questions(record) for record in records):
            raise InputError(NO_EXPRESSION)

    def score(self, answered: Answered) -> Result:
        """See ``Task``."""
        grounded, worst = [], Worst()
        for one in phrases_of(answered, _is_expression):
            grounded.append(GroundedPhrase(found_xyxy=one.answer.boxes_xyxy, true_xyxy=one.true_xyxy))
            note_mistake(one, worst)
        if not grounded:
            raise InputError(NO_EXPRESSION)
        scores = {name: phrase_recall(grounded, overlap=overlap)[ALL] for name, overlap in OVERLAPS.items()}
        return Result(
            task="refcoco",
            measured={"expressions": len(grounded)},
            figures=[
                figure(f"P@{k} {name} {self.split}", value, SAYS[name], COMPARABLE)
                for name, own in scores.items()
                for k, value in own.recall.items()
            ],
            mistakes=worst.mistakes(),
        )


def _is_expression(query: Query, phrase: LabelledPhrase) -> bool:
    return phrase.spans == ((0, len(query.text)),) and len(query.phrases) == 1 and len(phrase.regions) == 1
