"""Two processes that gather their negatives train as one process with the joint batch does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.model.tiny import TWO_STAGE, tiny_model
from tests.model.workers import run_ranks
from xdetr_model.losses.criterion import Criterion
from xdetr_model.losses.gather import gather_rows, mean_count
from xdetr_model.losses.targets import PhotoTarget, PhraseTarget, QueryTarget, collate_targets
from xdetr_model.network.tokenizer import word_tokenizer

TOKENIZER = word_tokenizer()


def photo(text: str, boxes: int, *spans: tuple[int, int], is_caption: bool = True) -> PhotoTarget:
    corners = tuple((0.1 + 0.1 * i, 0.2, 0.4 + 0.1 * i, 0.5 + 0.05 * i) for i in range(boxes))
    phrases = tuple(PhraseTarget(spans_char=(s,), regions=(i,)) for i, s in enumerate(spans))
    return PhotoTarget(
        boxes_xyxy_norm=corners, queries=(QueryTarget(text=text, phrases=phrases, is_caption=is_caption),)
    )


LOPSIDED = (
    [photo("a dog and a cat", 2, (0, 5), (10, 15)), photo("the dog", 3, (0, 7)), photo("a dog", 1, (0, 5))],
    [photo("a dog near a red circle and a tree", 3, (0, 5), (11, 23), (28, 34), is_caption=False)],
)
ONE_EMPTY = (LOPSIDED[0], [PhotoTarget(boxes_xyxy_norm=()), PhotoTarget(boxes_xyxy_norm=())])
BATCHES = {"lopsided": LOPSIDED, "one_empty": ONE_EMPTY}
RULES = {"paper": {}, "ignore": {"same_text": "ignore", "unmatched_objects": "ignore"}}


def pixels(count: int, rank: int) -> Tensor:
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(count, 3, 64, 64, generator=generator, dtype=torch.float64)


def gradients(case: str, ranks: Sequence[int], rules: dict[str, str], parallel: bool) -> dict[str, Tensor]:
    # in double precision, because a wrong share of the gradient must not hide in rounding
    model = tiny_model(TWO_STAGE, gather_words=parallel, gather_captions=parallel, **rules).double().train()
    criterion = Criterion.from_config(model.config)
    photos = [p for rank in ranks for p in BATCHES[case][rank]]
    images = torch.cat([pixels(len(BATCHES[case][rank]), rank) for rank in ranks])
    collated = collate_targets(photos, TOKENIZER, 48)
    targets = replace(collated, boxes_cxcywh_norm=collated.boxes_cxcywh_norm.double())
    network = DistributedDataParallel(model) if parallel else model
    criterion(network(images, None, targets.input_ids, targets.attention_mask), targets).total.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


CASES = [(case, rules) for case in BATCHES for rules in RULES]


def gather_uneven(rank: int) -> dict[str, Tensor]:
    rows = (torch.arange(6.0).reshape(3, 2) + 10 * rank)[: 3 if rank == 0 else 0].requires_grad_()
    joined = gather_rows(rows)
    (joined * torch.tensor([[1.0], [2.0], [3.0]]) * (rank + 1)).sum().backward()
    return {"joined": joined.detach(), "gradient": rows.grad, "count": mean_count(torch.tensor(3 * rank))}


def everything_of_a_rank(rank: int) -> dict[str, Any]:
    found = {f"{case}-{rules}": gradients(case, [rank], RULES[rules], parallel=True) for case, rules in CASES}
    return {**found, "uneven": gather_uneven(rank)}


@pytest.fixture(scope="module")
def gathered() -> list[dict[str, Any]]:
    """One start of two processes for all tests: starting takes longer than training."""
    return run_ranks(2, everything_of_a_rank)


@pytest.mark.parametrize(("case", "rules"), CASES)
def test_gathered_gradients_equal_those_of_the_joint_batch(
    case: str, rules: str, gathered: list[dict[str, Any]]
) -> None:
    joint = gradients(case, [0, 1], RULES[rules], parallel=False)
    for rank in gathered:
        found = rank[f"{case}-{rules}"]
        assert found.keys() == joint.keys()
        worst = max(float((found[name] - joint[name]).abs().max()) for name in joint)
        assert worst < 1e-5


def test_uneven_rows_are_joined_and_gradients_come_home(gathered: list[dict[str, Any]]) -> None:
    first, second = (rank["uneven"] for rank in gathered)
    assert torch.equal(first["joined"], second["joined"])
    assert first["joined"].shape == (3, 2)
    assert torch.equal(first["gradient"], torch.tensor([[3.0, 3.0], [6.0, 6.0], [9.0, 9.0]]))  # both ranks' uses
    assert second["gradient"].shape == (0, 2)
    assert float(first["count"]) == float(second["count"]) == 1.5


def test_a_single_process_gathers_itself() -> None:
    rows = torch.ones(2, 3)
    assert gather_rows(rows) is rows
    assert float(mean_count(torch.tensor(0))) == 1.0
