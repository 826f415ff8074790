"""The average of the weights is the textbook's, survives a restart exactly, and lends itself to the network."""

import copy
import io

import pytest
import torch
from torch import nn

from xdetr_model.errors import CheckpointError, ModelConfigError
from xdetr_model.train.average import WeightAverage


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.register_buffer("seen", torch.tensor(0))


def moved(model: Small, by: float) -> None:
    with torch.no_grad():
        model.weight += by
        model.seen += 1  # type: ignore[operator]


def test_the_average_is_the_sum_with_falling_weights() -> None:
    model = Small()
    average = WeightAverage(model, 0.9)
    for _ in range(3):
        moved(model, 1.0)
        average.update(model)
    expected = 1.0 * 0.9**3 + 2.0 * 0.1 * 0.9**2 + 3.0 * 0.1 * 0.9 + 4.0 * 0.1
    assert float(average.state_dict()["values"]["weight"][0]) == pytest.approx(expected, rel=1e-6)
    assert int(average.state_dict()["values"]["seen"]) == 3


def test_the_warm_up_forgets_the_random_beginning() -> None:
    average = WeightAverage(Small(), 0.9998, warm_up=True)
    assert [average.decay_at(t) for t in (1, 8)] == [pytest.approx(2 / 11), pytest.approx(0.5)]
    assert average.decay_at(10**6) == 0.9998
    assert WeightAverage(Small(), 0.9998).decay_at(1) == 0.9998


def test_a_restart_goes_on_exactly() -> None:
    model = Small()
    whole = WeightAverage(model, 0.99, warm_up=True)
    moved(model, 0.3)
    whole.update(model)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    second = WeightAverage(Small(), 0.99, warm_up=True)
    second.load_state_dict(torch.load(file, weights_only=True))
    for average in (whole, second):
        average.update(copy.deepcopy(model))
    assert whole.updates == second.updates == 2
    for name, value in whole.state_dict()["values"].items():
        assert torch.equal(value, second.state_dict()["values"][name])


def test_a_network_borrows_the_average_and_gets_its_own_weights_back() -> None:
    model = Small()
    average = WeightAverage(model, 0.5)
    moved(model, 2.0)
    average.update(model)

    def borrow_and_fail() -> None:
        with average.applied_to(model):
            assert model.weight.tolist() == [2.0, 3.0]
            raise KeyError

    with pytest.raises(KeyError):
        borrow_and_fail()
    assert model.weight.tolist() == [3.0, 4.0]


def test_half_precision_is_averaged_in_float32() -> None:
    model = Small().bfloat16()
    average = WeightAverage(model, 0.9998)
    moved(model, 1.0)
    average.update(model)
    value = average.state_dict()["values"]["weight"]
    assert value.dtype == torch.float32
    assert float(value[0]) == pytest.approx(1.0002)


def test_averages_of_another_network_and_a_decay_that_is_none_are_refused() -> None:
    with pytest.raises(CheckpointError, match="weight averages: bias is only in one"):
        WeightAverage(nn.Linear(2, 2), 0.9).load_state_dict({"updates": 1, "values": {"weight": torch.zeros(2, 2)}})
    with pytest.raises(ModelConfigError, match=r"decay=1\.0"):
        WeightAverage(Small(), 1.0)
