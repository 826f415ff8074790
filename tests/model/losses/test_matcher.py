"""The matching is the cheapest one-to-one assignment, in every layer and photo."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xdetr_model.errors import NonFiniteError
from xdetr_model.losses.matcher import match_layers, matching_cost
from xdetr_model.network.configuration import DetectionWeights, ObjectnessLoss

COSTS = DetectionWeights(objectness=1, giou=2, l1=5)


def random_boxes(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, 4, generator=generator) * 0.4 + 0.1


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**20),
    st.integers(1, 5),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.sampled_from(["bce", "focal"]),
)
def test_it_equals_brute_force(seed: int, queries: int, per_photo: list[int], kind: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    form = ObjectnessLoss(kind="focal" if kind == "focal" else "bce")
    logits = torch.randn(2, len(per_photo), queries, generator=generator)
    predicted, boxes = random_boxes(generator, 2, len(per_photo), queries), random_boxes(generator, sum(per_photo))
    found = match_layers(logits, predicted, boxes, per_photo, COSTS, form)
    for layer in range(2):
        start = 0
        for photo, count in enumerate(per_photo):
            cost = matching_cost(
                logits[layer : layer + 1, photo], predicted[layer : layer + 1, photo], boxes[start : start + count],
                COSTS, form,
            )[0]  # fmt: skip
            mine = found[layer].photo == photo
            total = cost[found[layer].prediction[mine], found[layer].region[mine] - start].sum()
            assert int(mine.sum()) == min(count, queries)
            assert float(total) == pytest.approx(cheapest(cost), abs=1e-5)
            start += count


def cheapest(cost_QR: Tensor) -> float:
    rows, columns = cost_QR.shape
    if columns > rows:
        return cheapest(cost_QR.T)
    if columns == 0:
        return 0.0
    return min(float(cost_QR[list(p), range(columns)].sum()) for p in permutations(range(rows), columns))


def test_the_cost_is_the_weighted_sum_of_the_three_terms() -> None:
    logits, same = torch.tensor([[0.0]]), torch.tensor([[[0.5, 0.5, 0.2, 0.2]]])
    cost = matching_cost(logits, same, same[0], COSTS, ObjectnessLoss())
    assert float(cost) == pytest.approx(-0.5)  # probability 0.5, no distance, GIoU 1
    apart = matching_cost(logits, same, torch.tensor([[0.6, 0.5, 0.2, 0.2]]), COSTS, ObjectnessLoss())
    assert float(apart) == pytest.approx(-0.5 + 5 * 0.1 + 2 * (1 - 1 / 3), abs=1e-5)


def test_no_boxes_and_no_photos_match_nothing() -> None:
    for photos in (0, 2):
        matches = match_layers(
            torch.zeros(3, photos, 4), torch.full((3, photos, 4, 4), 0.5), torch.zeros(0, 4), [0] * photos, COSTS,
            ObjectnessLoss(),
        )  # fmt: skip
        assert len(matches) == 3
        assert all(m.region.numel() == 0 for m in matches)


def test_regions_are_numbered_over_the_batch() -> None:
    box = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]])
    predicted = box.expand(1, 2, 2, 4)
    (matches,) = match_layers(torch.zeros(1, 2, 2), predicted, box, [1, 1], COSTS, ObjectnessLoss())
    assert matches.region.tolist() == [0, 1]
    assert matches.photo.tolist() == [0, 1]
    assert matches.prediction.tolist() == [0, 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_network_is_an_error_that_names_the_photo(value: float) -> None:
    predicted = torch.full((1, 2, 3, 4), 0.5)
    predicted[0, 1, 0, 2] = value
    with pytest.raises(NonFiniteError, match="photo 1 of the batch"):
        match_layers(torch.zeros(1, 2, 3), predicted, torch.rand(2, 4), [1, 1], COSTS, ObjectnessLoss())
