"""Federated annotations: only what is known to be wrong is held against an object or a word."""

from dataclasses import replace
from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.model.losses import slow_losses
from tests.model.losses.test_criterion import (
    A_CAT,
    A_DOG,
    A_TREE,
    CRITERION,
    assignments,
    collate,
    query,
    random_output,
)
from tests.model.workers import run_ranks
from xdetr_model.losses.contrast import Pairs, Side, contrast
from xdetr_model.losses.federated import Known
from xdetr_model.losses.targets import PhotoTarget, QueryTarget
from xdetr_model.network.configuration import AlignmentRules
from xdetr_model.network.model import XDetrOutput

TEMPERATURE = 0.07


def class_query(text: str, *regions: int) -> QueryTarget:
    """A class as a query; without regions it is absent or unknown."""
    return query(text, (text, regions)) if regions else query(text)


STREET = PhotoTarget(  # not every cat is annotated, there is no tree, and of bows nothing is known
    boxes_xyxy_norm=(A_DOG, A_CAT, A_TREE),
    queries=(class_query("dog", 0, 2), class_query("cat", 1), class_query("tree"), class_query("bow")),
    known_texts=frozenset({"dog", "tree"}),
)
ROOM = PhotoTarget(  # of dogs and trees nothing is known, there is no second kind of bow beside this one
    boxes_xyxy_norm=(A_CAT, A_DOG),
    queries=(class_query("cat", 0), class_query("bow", 1), class_query("tree"), class_query("bow")),
    known_texts=frozenset({"cat", "bow"}),
)
PLAIN = PhotoTarget(boxes_xyxy_norm=(A_DOG,), queries=(query("a dog by a tree", ("a dog", (0,))),))
MIXED = [STREET, ROOM, PLAIN]


def run(photos: list[PhotoTarget]) -> tuple[XDetrOutput, Any, Any]:
    targets = collate(photos)
    output = random_output(targets, len(photos), with_proposals=False)
    return output, targets, CRITERION(output, targets)


def slow_alignment(photos: list[PhotoTarget], output: XDetrOutput, targets: Any) -> tuple[float, float]:
    """Eq. 4 and 5 of the last layer; a pair stays out unless it is right, or known to be wrong."""
    assigned = assignments(output, targets, -1)
    rows = [(b, q) for b, photo in enumerate(photos) for q in photo.queries]
    tokens = [
        (n, t) for n in range(len(rows)) for t in range(targets.input_ids.shape[1]) if bool(targets.is_word[n, t])
    ]
    right = {
        (int(region), int(token)) for region, token in zip(targets.positive_region, targets.positive_token, strict=True)
    }
    first = [sum(targets.regions_per_photo[:b]) for b in range(len(photos))]
    objects = [(b, q) for b in range(len(photos)) for q in range(output.objects.shape[2])]

    def region_of(b: int, q: int) -> int | None:
        return assigned[b].get(q)

    def is_right(o: tuple[int, int], t: tuple[int, int]) -> bool:
        region = region_of(*o)
        return region is not None and (first[o[0]] + region, t[0] * targets.input_ids.shape[1] + t[1]) in right

    def texts_of(o: tuple[int, int]) -> set[str]:
        region = region_of(*o)
        return {q.text for q in photos[o[0]].queries for p in q.phrases if region in p.regions}

    def is_seen(o: tuple[int, int], t: tuple[int, int]) -> bool:
        known, text = photos[o[0]].known_texts, rows[t[0]][1].text
        return is_right(o, t) or known is None or (text in known and text not in texts_of(o))

    named = [o for o in objects if region_of(*o) is None or any(is_right(o, t) for t in tokens)]
    score = {
        (o, t): slow_losses.dot(output.objects[-1, o[0], o[1]].tolist(), output.tokens[t[0], t[1]].tolist())
        / TEMPERATURE
        for o in named
        for t in tokens
    }

    def mean(pairs_by_row: list[list[tuple[Any, Any]]]) -> float:
        losses = []
        for pairs in pairs_by_row:
            positives = [pair for pair in pairs if is_right(*pair)]
            if positives:
                spread = log(sum(exp(score[pair]) for pair in pairs if is_seen(*pair)))
                losses.append(sum(spread - score[pair] for pair in positives) / len(positives))
        return sum(losses) / len(losses)

    return mean([[(o, t) for t in tokens] for o in named]), mean([[(o, t) for o in named] for t in tokens])


@pytest.mark.parametrize("photos", [[STREET], [ROOM], MIXED], ids=["street", "room", "mixed"])
def test_the_losses_equal_the_reference(photos: list[PhotoTarget]) -> None:
    output, targets, losses = run(photos)
    o2t, t2o = slow_alignment(photos, output, targets)
    assert losses.o2t.tolist() == pytest.approx([o2t], abs=1e-9)
    assert losses.t2o.tolist() == pytest.approx([t2o], abs=1e-9)


def pull(photos: list[PhotoTarget], loss: str) -> Tensor:
    """How much each query's words matter to a loss, ``[N]``."""
    output, _, losses = run(photos)
    (gradient,) = torch.autograd.grad(getattr(losses, loss).sum(), [output.tokens])
    return gradient.abs().sum((1, 2))


def test_an_absence_is_a_negative_of_its_photos_objects_and_an_unknown_class_is_none() -> None:
    dog, cat, tree, bow = pull([STREET], "o2t").tolist()
    assert min(dog, cat, tree) > 1e-3
    assert bow == 0
    assert pull([STREET], "t2o")[2:].tolist() == [0, 0], "words that name nothing have no objects to find"
    exhaustive = replace(STREET, known_texts=None)
    assert pull([exhaustive], "o2t")[3] > 1e-3, "where the annotation speaks of everything it is one"


def test_two_classes_of_one_text_are_no_negatives_of_one_another() -> None:
    assert pull([ROOM], "o2t")[3] > 0, "the cat is known to be no bow"
    bow = replace(ROOM, boxes_xyxy_norm=(A_DOG,), queries=(class_query("bow", 0), class_query("bow")))
    assert pull([bow], "o2t")[1] == 0, "what is a bow is not held against another class called bow"


def test_photos_that_are_not_federated_are_compared_as_ever() -> None:
    photos = [replace(one, known_texts=None) for one in MIXED]
    output, targets, losses = run(photos)
    assert losses.o2t.tolist() == pytest.approx([slow_alignment(photos, output, targets)[0]], abs=1e-9)
    assert len(targets.federated_photo) == 0


def test_that_words_are_alike_elsewhere_is_ignored_there_too() -> None:
    output, targets, losses = run(MIXED)
    ignoring = replace(CRITERION, rules=AlignmentRules(same_text="ignore"))(output, targets)
    plain, same = (replace(one, known_texts=None) for one in (PLAIN, PLAIN))
    assert ignoring.o2t <= losses.o2t
    output, targets, losses = run([plain, same])
    assert replace(CRITERION, rules=AlignmentRules(same_text="ignore"))(output, targets).o2t < losses.o2t


def _side(values: Tensor, ranks: list[int], per_rank: int, text: Tensor | None = None) -> Side:
    rows = torch.cat([values[r * per_rank : (r + 1) * per_rank] for r in ranks])
    photo = torch.arange(len(rows)) // (per_rank // 2)
    return Side(
        rows, photo, None if text is None else torch.cat([text[r * per_rank : (r + 1) * per_rank] for r in ranks])
    )


def _compare(ranks: list[int], gather: bool) -> list[float]:
    """Two photos of two objects and two words a rank; the photos of rank 1 alone are federated."""
    generator = torch.Generator().manual_seed(0)
    objects, words = (torch.randn(8, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    text = torch.tensor([1, 2, 3, 1, 2, 3, 4, 1])
    known = [(2, 2), (2, 1), (3, 4)]
    left, right = _side(objects, ranks, 4), _side(words, ranks, 4, text)
    own = torch.arange(len(left.vectors))
    first = 2 * ranks[0]
    federated = torch.tensor([p - first for p in (2, 3) if 0 <= p - first < 2 * len(ranks)], dtype=torch.long)
    pairs = [(p - first, t) for p, t in known if 0 <= p - first < 2 * len(ranks)]
    photo, said = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    assert right.text is not None
    found = contrast(left, right, Pairs(own, own, right.text), Known(federated, photo, said), 0.5, False, gather)
    return [float(found.left_to_right), float(found.right_to_left)]


def _of_rank(rank: int) -> list[float]:
    return _compare([rank], gather=True)


def test_what_is_known_of_other_processes_photos_is_gathered() -> None:
    apart = torch.tensor(run_ranks(2, _of_rank), dtype=torch.float64).mean(0)
    assert apart.tolist() == pytest.approx(_compare([0, 1], gather=False), abs=1e-9)
