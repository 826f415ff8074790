"""``xdetr-eval presence``: does a model find what is there and invent nothing, over phrases verified to be absent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.evaluate.result import Curve, Figure, Result, Table, Worst, figure
from pipelines.evaluate.tasks import Answered
from pipelines.evaluate.tasks.phrases import asked, note_mistake, phrases_of
from pipelines.labelling.grounding import Phrase
from xdetr_data.errors import InputError
from xdetr_data.manifest import Manifest
from xdetr_data.record import GroundedImage, Query
from xdetr_data.record import Phrase as LabelledPhrase
from xdetr_model.errors import TargetError
from xdetr_model.evaluate.presence import (
    AskedPhrase,
    PresenceScores,
    absence_bounds,
    presence_scores,
    threshold_curve,
)

THRESHOLD = 0.5  # of SA-Co
RATES = (0.005, 0.01, 0.02, 0.05)  # of wrong absences
GIVEN = "SA-Co's cgF1 with boxes, of those that score at least {threshold:.3g}"
BEST = "the same at the threshold that was best on this very set"
COMPARABLE = "only with models measured here: SA-Co has masks and other photos"
TUNED = "with nothing: the threshold was chosen on this set"


def of(manifest: Manifest) -> "Presence":
    """Where nothing is verified absent ``score`` says so."""
    return Presence()


@dataclass(frozen=True)
class Presence:
    """See the module."""

    threshold: float = THRESHOLD
    asks_proposals = False

    def questions(self, record: GroundedImage) -> Sequence[tuple[int, Phrase]]:
        """Phrases of exhaustive queries: all their objects are boxed, or there is none."""
        return asked(record, _is_verified)

    def check(self, records: Iterable[GroundedImage]) -> None:
        """See ``Task``."""
        seen: set[bool] = set()
        for record in records:
            verified = (query for query in record.queries if query.is_exhaustive)
            seen |= {bool(phrase.regions) for query in verified for phrase in query.phrases}
            if len(seen) == 2:
                return
        raise InputError(
            "--data: presence needs phrases of both kinds, there and verified absent; give a dataset with verified "
            "absences, as 'xdetr-data build lvis' makes"
        )

    def score(self, answered: Answered) -> Result:
        """See ``Task``."""
        phrases, worst = [], Worst()
        for one in phrases_of(answered, _is_verified):
            phrases.append(
                AskedPhrase(found_xyxy=one.answer.boxes_xyxy, scores=one.answer.scores, true_xyxy=one.true_xyxy)
            )
            note_mistake(one, worst)
        try:
            scores, curve = presence_scores(phrases, self.threshold), threshold_curve(phrases)
        except TargetError as error:
            raise InputError(
                f"--data: {error}; give a dataset with verified absences, as 'xdetr-data build lvis' makes"
            ) from error
        best = max(curve, key=lambda one: one.cgf1)
        return Result(
            task="presence",
            measured={"present": scores.present, "absent": scores.absent},
            figures=[
                *_figures(scores, "", GIVEN.format(threshold=scores.threshold), COMPARABLE),
                *_figures(best, " best", BEST, TUNED),
            ],
            tables=[_thresholds(scores, best), _bounds(phrases)],
            curves=[
                Curve(
                    title="cgF1 over the threshold",
                    x_label="threshold of the score",
                    y_label="cgF1",
                    x=[one.threshold for one in curve],
                    y=[one.cgf1 for one in curve],
                )
            ],
            mistakes=worst.mistakes(),
        )


def _is_verified(query: Query, phrase: LabelledPhrase) -> bool:
    return query.is_exhaustive


def _thresholds(given: PresenceScores, best: PresenceScores) -> Table:
    """What each threshold gives, with itself."""
    columns = ["", "threshold", "cgF1", "micro-F1", "MCC", "invented", "missed"]
    rows: list[list[str | float | None]] = [
        [name, one.threshold, one.cgf1, one.f1, one.mcc, one.invented, one.missed]
        for name, one in (("given", given), ("best", best))
    ]
    return Table(title="by threshold", columns=columns, rows=rows)


def _bounds(phrases: Sequence[AskedPhrase]) -> Table:
    """Below which score a phrase is absent, by how often that may be wrong."""
    rows: list[list[str | float | None]] = [
        [f"{one.rate:.1%}", one.bound, one.found] for one in absence_bounds(phrases, RATES)
    ]
    columns = ["wrong at most", "--absent-below", "of the absent found"]
    return Table(title="bounds for --absent-below of pseudo-label, on this set", columns=columns, rows=rows)


def _figures(scores: PresenceScores, suffix: str, protocol: str, comparable: str) -> Iterator[Figure]:
    shown = (
        ("cgF1", scores.cgf1),
        ("positive micro-F1", scores.f1),
        ("image-level MCC", scores.mcc),
        ("absent phrases invented", scores.invented),
        ("present phrases missed", scores.missed),
    )
    for name, value in shown:
        yield figure(f"{name}{suffix}", value, protocol, comparable)
