"""The worst mistakes of a set: what each kind is, and which of them are kept."""

import numpy as np
import pytest

from pipelines.evaluate.page import render_page
from pipelines.evaluate.predictions import Answer
from pipelines.evaluate.result import Figure, Mistake, Result, Worst, figure
from pipelines.evaluate.show import percent
from pipelines.evaluate.tasks.phrases import OnePhrase, note_mistake
from tests.pipelines.evaluate.sets import refcoco_record

RECORD = refcoco_record("coco_000000000001")
LEFT, BLUE = (np.array([one.box_xyxy]) for one in RECORD.regions)
NOWHERE = np.array([[0.0, 0.0, 1.0, 1.0]])
NO_BOX = np.zeros((0, 4))


def kind_of(found: np.ndarray, true: np.ndarray) -> str | None:
    query = RECORD.queries[0]
    answer = Answer(boxes_xyxy=found, scores=np.full(len(found), 0.5))
    worst = Worst()
    note_mistake(OnePhrase(RECORD, query, query.phrases[0], answer, true), worst)
    return next((one.kind for one in worst.mistakes()), None)


@pytest.mark.parametrize(
    ("found", "true", "kind"),
    [
        (LEFT, LEFT, None),
        (NOWHERE, LEFT, "wrong box"),
        (BLUE, LEFT, "wrong attribute"),  # "the blue ball" instead of "left red ball"
        (NO_BOX, LEFT, "missed"),
        (LEFT, NO_BOX, "invented"),
        (NO_BOX, NO_BOX, None),
    ],
)
def test_kinds_of_mistakes(found: np.ndarray, true: np.ndarray, kind: str | None) -> None:
    assert kind_of(found, true) == kind


def mistake(score: float, kind: str = "missed", text: str = "a cat") -> Mistake:
    return Mistake(kind=kind, key="k", text=text, score=score, found_xyxy=[], true_xyxy=[])  # type: ignore[arg-type]


def test_of_each_kind_the_surest_are_kept_worst_first() -> None:
    worst = Worst(most=2)
    for score in (0.1, 0.9, 0.5, 0.7):
        worst.add(mistake(score))
    worst.add(mistake(0.2, "invented"))
    assert [(one.kind, one.score) for one in worst.mistakes()] == [("invented", 0.2), ("missed", 0.9), ("missed", 0.7)]


def test_what_cannot_be_measured_is_a_dash_and_nothing_is_minus_zero() -> None:
    assert (percent(figure("AP", float("nan"), "p").value), percent(-0.00001), percent(0.12345)) == (
        "–",
        "0.00",
        "12.35",
    )


def test_a_page_escapes_what_data_says_and_shows_figures_of_both_runs_in_one_row() -> None:
    runs = [
        Result(task="t", measured={}, figures=[Figure(name="<b>AP", value=value, protocol="p")]) for value in (0.1, 0.2)
    ]
    page = render_page([("one<script>", "data", runs[0]), ("two", "data", runs[1])]).decode()
    assert "<script>" not in page
    assert "&lt;b&gt;AP</td><td>10.00</td><td>20.00</td>" in page
