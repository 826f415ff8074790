"""What is kept of LVIS's boxes shard by shard gives the figures that all of them give."""

import numpy as np
import pytest

from pipelines.evaluate import cutting
from pipelines.evaluate.cutting import LvisCut
from pipelines.evaluate.predictions import Answer
from pipelines.evaluate.tasks.lvis import _columns, join
from tests.model.evaluate.references import Case, random_case
from xdetr_model.evaluate import lvis
from xdetr_model.evaluate.lvis import PROTOCOLS, lvis_scores


def answers_of(case: Case) -> list[tuple[str, dict[int, Answer]]]:
    """By photo and class, each class's boxes best first, as a grounder gives them."""
    photos = []
    for photo in range(len(case.absent)):
        answers = {}
        for label in range(len(case.frequencies)):
            own = case.found.take((case.found.photo == photo) & (case.found.label == label))
            own = own.take(np.argsort(-own.scores, kind="stable"))
            if len(own):
                scores = own.scores.astype(np.float32).astype(np.float64)
                answers[label] = Answer(boxes_xyxy=own.boxes_xyxy, scores=scores)
        photos.append((str(photo), answers))
    return photos


@pytest.mark.parametrize("seed", range(40))
def test_figures_of_what_is_kept_are_those_of_all_boxes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cutting, lvis):
        monkeypatch.setattr(module, "MOST_OF_A_PHOTO", 9)
        monkeypatch.setattr(module, "MOST_OF_A_CLASS", 12)
    case = random_case(seed, most=60)
    photos = answers_of(case)
    kept = []
    for shard in (photos[::2], photos[1::2]):
        cut = LvisCut(most_rows=30)  # so that it is cut more than once
        for key, answers in shard:
            cut.add(key, answers)
        if shard:
            kept += list(cut.photos())
    kept.sort(key=lambda one: int(one[0]))
    for _, answers in kept:
        for one in answers.values():
            assert (np.diff(one.scores) <= 0).all()
    assert sum(len(one.scores) for _, own in kept for one in own.values()) <= len(case.found)
    whole, part = (join([_columns(n, own) for n, (_, own) in enumerate(some)]) for some in (photos, kept))
    for protocol in PROTOCOLS:
        ours, theirs = (lvis_scores(found, case.federation, protocol).scalars() for found in (part, whole))
        assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)


def test_much_of_what_is_found_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "MOST_OF_A_PHOTO", 1)
    monkeypatch.setattr(cutting, "MOST_OF_A_CLASS", 1)
    cut = LvisCut()
    boxes = np.tile([0.0, 0.0, 1.0, 1.0], (4, 1))
    cut.add("a", {0: Answer(boxes_xyxy=boxes, scores=np.array([4.0, 3, 2, 1]))})
    cut.add("b", {0: Answer(boxes_xyxy=boxes, scores=np.array([9.0, 8, 7, 6]))})
    cut.add("c", {})
    assert [(key, {n: one.scores.tolist() for n, one in own.items()}) for key, own in cut.photos()] == [
        ("a", {0: [4.0]}), ("b", {0: [9.0]}), ("c", {}),
    ]  # fmt: skip
