"""Two processes take the step that one process with the joint batch takes, and none waits for the other for ever."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.model.tiny import TWO_STAGE, tiny_model
from tests.model.toy_photos import draw_toy_photo
from tests.model.toy_training import toy_target
from tests.model.train.batches import toy_source
from tests.model.workers import run_ranks
from xdetr_model.losses.criterion import Criterion, Losses
from xdetr_model.losses.targets import PhotoTarget
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.train.batch import SOURCE_NAMES, SourceBatch, SourceName, StepBatch
from xdetr_model.train.loss import SourceWeights, StepLoss
from xdetr_model.train.parameters import GROUP_NAMES
from xdetr_model.train.schedules import CoolDown
from xdetr_model.train.step import GroupPlan, StepOptions, TrainStep

WEIGHTS = SourceWeights(full=1.0, pseudo=0.5, weak=2.0)
EMPTY = PhotoTarget(boxes_xyxy_norm=())  # nothing on it and nothing said of it
Sources = dict[SourceName, list[int]]
LOCAL = ("even", "a rank without boxes", "disjoint sources")
ACCUMULATED = ("even", "a rank without pseudo")

# seeds of each source's photos, per rank; negative seeds are photos without boxes and texts
CASES: dict[str, tuple[Sources, Sources]] = {
    "even": ({"full": [1, 2], "pseudo": [3], "weak": [4, 5]}, {"full": [6, 7], "pseudo": [8], "weak": [9, 10]}),
    "a rank without pseudo": ({"full": [1, 2], "pseudo": [3], "weak": [4]}, {"full": [6], "weak": [9, 10]}),
    "a rank without boxes": ({"full": [1, 2], "weak": [4, 5]}, {"weak": [9]}),
    "a photo without queries": ({"full": [1, -2], "pseudo": [3]}, {"full": [-6], "pseudo": [8, 11]}),
    "a rank without photos": ({"full": [1, 2], "pseudo": [3], "weak": [4, 5]}, {}),
    "disjoint sources": ({"pseudo": [3, 4]}, {"full": [1, 2], "weak": [5, 6]}),
}


def source(name: SourceName, seeds: list[int]) -> SourceBatch:
    targets = [EMPTY if seed < 0 else toy_target(draw_toy_photo(seed, 64)) for seed in seeds]
    return toy_source(name, [abs(seed) for seed in seeds], targets=targets, dtype=torch.float64)


def batch(*ranks: Sources) -> StepBatch:
    """The photos of these ranks as one batch."""
    joined = {name: [seed for rank in ranks for seed in rank.get(name, [])] for name in SOURCE_NAMES}
    return StepBatch(**{name: source(name, seeds) if seeds else None for name, seeds in joined.items()})


def model(gather: bool) -> Any:
    # in double precision, because a wrong share of the gradient must not hide in rounding
    small = {**TWO_STAGE, "encoder_layers": 1, "decoder_layers": 2}
    return tiny_model(small, gather_words=gather, gather_captions=gather).double().train()


def trainer(gather: bool) -> TrainStep:
    plans = {name: GroupPlan(rate=0.0, schedule=CoolDown()) for name in GROUP_NAMES}
    options = StepOptions(weights=WEIGHTS, clip_norm=None)
    return TrainStep(model(gather), plans, total_steps=10, steps_per_epoch=5, options=options)


def gradients(step: TrainStep) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in step.model.named_parameters() if p.grad is not None}


def everything_of_a_rank(rank: int) -> dict[str, Any]:
    """One start of two processes for all tests: starting takes longer than training."""
    found: dict[str, Any] = {}
    for how, gather in (("gathered", True), ("local", False)):
        step = trainer(gather)
        for case in CASES if gather else LOCAL:
            step([batch(CASES[case][rank])])
            found[f"{how} {case}"] = gradients(step)
    step = trainer(gather=True)
    step([batch(CASES[case][rank]) for case in ACCUMULATED])
    found["accumulated"] = gradients(step)
    step([unequal_sizes(rank)])
    found["unequal sizes"] = gradients(step)
    return found


def unequal_sizes(rank: int) -> StepBatch:
    """Rank 0 runs the network once for each source, rank 1 once."""
    own = batch({"full": [1, 2], "pseudo": [3]} if rank == 0 else {"full": [4]})
    if own.pseudo is None:
        return own
    return replace(own, pseudo=replace(own.pseudo, pixel_values=torch.ones(1, 3, 96, 160, dtype=torch.float64)))


@pytest.fixture(scope="module")
def parallel() -> list[dict[str, Any]]:
    return run_ranks(2, everything_of_a_rank)


def agree(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    worst = max(float((found[name] - expected[name]).abs().max()) for name in expected)
    assert worst < 1e-5
    assert max(float(value.abs().max()) for value in expected.values()) > 1e-2  # there was something to compare


@pytest.mark.parametrize("case", CASES)
def test_gathered_negatives_give_the_gradients_of_the_joint_batch(case: str, parallel: list[dict[str, Any]]) -> None:
    joint = trainer(gather=False)
    joint([batch(*CASES[case])])
    for found in parallel:
        agree(found[f"gathered {case}"], gradients(joint))


@pytest.mark.parametrize("case", LOCAL)
def test_local_negatives_give_the_gradients_of_the_joint_counts(case: str, parallel: list[dict[str, Any]]) -> None:
    expected = local_negatives_in_one_process(CASES[case])
    for found in parallel:
        agree(found[f"local {case}"], expected)


def test_accumulated_gradients_are_the_mean_of_the_micro_batches(parallel: list[dict[str, Any]]) -> None:
    joint = trainer(gather=False)
    total: dict[str, Tensor] = {}
    for name in ACCUMULATED:
        joint([batch(*CASES[name])])
        total = {n: total.get(n, 0) + g / len(ACCUMULATED) for n, g in gradients(joint).items()}
    for found in parallel:
        agree(found["accumulated"], total)


def test_ranks_that_run_the_network_differently_often_end_with_one_gradient(parallel: list[dict[str, Any]]) -> None:
    joint = trainer(gather=False)
    alone = unequal_sizes(0)
    joint([replace(alone, full=source("full", [1, 2, 4]))])
    for found in parallel:
        agree(found["unequal sizes"], gradients(joint))


def local_negatives_in_one_process(ranks: tuple[Sources, Sources]) -> dict[str, Tensor]:
    """The slow way: every rank's losses alone, put together by what each is the mean of."""
    network = model(gather=False)
    criterion = Criterion.from_config(network.config)
    total = torch.zeros((), dtype=torch.float64)
    for name in SOURCE_NAMES:
        alone = StepLoss(network, criterion, SourceWeights())
        losses = [alone(batch({name: rank[name]})).sources[name] for rank in ranks if name in rank]
        if losses:
            total = total + getattr(WEIGHTS, name) * together(losses, network.config)
    total.backward()
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def together(losses: list[Losses], config: XDetrConfig) -> Tensor:
    def mean(parts: list[Tensor], weights: list[int], least: int) -> Tensor:
        """From means over ``weights`` to the mean over all; an empty one was divided by ``least``."""
        sums = torch.stack([part * max(weight, least) for part, weight in zip(parts, weights, strict=True)])
        return sums.sum() / max(sum(weights), 1)

    boxes = [part.counts.regions_matched + part.counts.regions_unmatched for part in losses]
    detection = [part.layers.weighted(config.detection_weights()) for part in losses]
    proposals = [part.proposals.weighted(config.detection_weights()) for part in losses if part.proposals is not None]
    total = mean(detection, boxes, 1) + mean(proposals, boxes, 1)
    for name, count in (("o2t", "objects"), ("t2o", "tokens"), ("i2c", "images"), ("c2i", "captions")):
        rows = [getattr(part.counts, f"{count}_aligned") for part in losses]
        total = total + mean([getattr(part, name).sum() for part in losses], rows, 1)
    return total
