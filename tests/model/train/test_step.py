"""One step: what it computes for each source, what it leaves alone, and what it says when something is wrong."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.model.tiny import TWO_STAGE, tiny_model
from tests.model.train.batches import toy_source, toy_step
from xdetr_model.errors import CheckpointError, ModelConfigError, NonFiniteError, TargetError
from xdetr_model.losses.criterion import Criterion
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import preset
from xdetr_model.train import loss as loss_module
from xdetr_model.train.batch import SourceBatch, StepBatch
from xdetr_model.train.loss import SourceWeights, StepLoss
from xdetr_model.train.parameters import GROUP_NAMES
from xdetr_model.train.schedules import CoolDown, LinearDecay
from xdetr_model.train.step import GroupPlan, StepOptions, TrainStep

FLAT = CoolDown(warmup_share=0.0, cooldown_share=0.0)
ALL = toy_step(full=[1, 2], pseudo=[3], weak=[4, 5])
ALL_DOUBLE = toy_step(full=[1, 2], pseudo=[3], weak=[4, 5], dtype=torch.float64)


def network(**values: Any) -> XDetrModel:
    return tiny_model({**TWO_STAGE, "encoder_layers": 1, "decoder_layers": 2}, **values)


def trainer(model: XDetrModel | None = None, rate: float = 1e-3, total: int = 10, **options: Any) -> TrainStep:
    plans = {name: GroupPlan(rate=rate, schedule=FLAT) for name in GROUP_NAMES}
    return TrainStep(model or network(), plans, total_steps=total, steps_per_epoch=5, options=StepOptions(**options))


@pytest.mark.parametrize("encoder_layers", [0, 1])
def test_every_trained_parameter_has_a_gradient_in_every_step(encoder_layers: int) -> None:
    # DDP ends a run where one is missing; a shape without encoder layers and with finer maps leaves weights unused
    detector = preset("xdetr-toy").config.detector_config.to_dict()
    finer = detector["backbone_config"] | {"out_features": ["stage1", "stage2", "stage3"], "out_indices": [1, 2, 3]}
    model = XDetrModel(
        XDetrConfig(
            detector_config=detector | {"encoder_layers": encoder_layers, "backbone_config": finer},
            text_config=preset("xdetr-toy").config.text_config.to_dict(),
            frozen_backbone_stages=0,
        )
    )
    StepLoss(model, Criterion.from_config(model.config), SourceWeights())(toy_step(full=[1])).total.backward()
    absent = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert absent == []
    frozen = {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == ({"backbone"} if encoder_layers else {"backbone", "level_embed"})


def losses_of(batch: StepBatch, weights: SourceWeights | None = None, **values: Any) -> tuple[float, dict[str, Any]]:
    model = network(**values).double()
    found = StepLoss(model, Criterion.from_config(model.config), weights or SourceWeights())(batch)
    return float(found.total.detach()), {name: part.scalars() for name, part in found.sources.items()}


def flat(model: XDetrModel) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


def test_the_total_is_the_weighted_sum_of_the_sources() -> None:
    total, parts = losses_of(ALL_DOUBLE, SourceWeights(full=1.0, pseudo=0.5, weak=2.0))
    expected = parts["full"]["total"] + 0.5 * parts["pseudo"]["total"] + 2.0 * parts["weak"]["total"]
    assert total == pytest.approx(expected, rel=1e-6)


def test_weak_photos_are_trained_on_their_captions_alone() -> None:
    _, parts = losses_of(ALL_DOUBLE)
    weak = parts["weak"]
    assert weak["total"] == pytest.approx(weak["i2c"] + weak["c2i"], rel=1e-6)
    assert weak["i2c"] > 0
    assert {weak[name] for name in ("objectness", "giou", "l1", "proposal_objectness", "o2t", "t2o")} == {0.0}
    assert all(parts["full"][name] > 0 for name in ("objectness", "giou", "l1", "o2t", "t2o", "i2c", "c2i"))


def test_a_source_has_the_losses_it_has_alone() -> None:
    _, together = losses_of(ALL_DOUBLE)
    for part in ALL_DOUBLE:
        _, alone = losses_of(StepBatch(**{part.source: part}))
        assert together[part.source] == pytest.approx(alone[part.source], rel=1e-9)


def test_one_forward_for_all_sources_equals_one_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    # photos and texts of different sizes, so that the joint forward pads
    uneven = replace(ALL, pseudo=toy_source("pseudo", [3], side=48))
    found = {}
    for how in (True, False):
        monkeypatch.setattr(loss_module, "pays_to_join", lambda _, how=how: how)
        model = network().double()
        criterion = Criterion.from_config(model.config)
        batch = StepBatch(**{p.source: replace(p, pixel_values=p.pixel_values.double()) for p in uneven})
        StepLoss(model, criterion, SourceWeights())(batch).total.backward()
        found[how] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert found[True].shape == found[False].shape
    assert float((found[True] - found[False]).abs().max()) < 1e-6


@pytest.mark.parametrize("batch", [StepBatch(), toy_step(weak=[1]), toy_step(pseudo=[2])], ids=["none", "weak", "one"])
def test_every_parameter_gets_a_gradient_whatever_is_there(batch: StepBatch) -> None:
    step = trainer()
    report = step([batch])
    assert [name for name, p in step.model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert set(report.losses) == {part.source for part in batch}


def test_micro_batches_are_averaged() -> None:
    model = network()
    gradients = []
    for batches in ([ALL], [toy_step(full=[7])], [ALL, toy_step(full=[7])]):
        step = trainer(model, rate=0.0, clip_norm=None)
        report = step(batches)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[2], (gradients[0] + gradients[1]) / 2, atol=1e-5)
    assert len(report.counts["full"]) == 2
    assert len(report.counts["weak"]) == 1


def test_clipping_cuts_the_gradient_and_the_report_says_what_it_was() -> None:
    step = trainer(clip_norm=0.1)
    report = step([ALL])
    after = torch.cat([p.grad.flatten() for p in step.model.parameters() if p.grad is not None]).norm()
    assert report.gradient_norm > 1
    assert float(after) == pytest.approx(0.1, rel=1e-3)


def test_recomputed_activations_give_the_same_gradients() -> None:
    norms = [trainer(checkpoint_activations=recompute)([ALL]).gradient_norm for recompute in (False, True)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_bfloat16_stays_near_float32_and_keeps_the_weights_in_float32() -> None:
    exact, rough = trainer(precision="float32"), trainer(precision="bfloat16")
    assert rough([ALL]).total == pytest.approx(exact([ALL]).total, rel=0.05)
    assert {p.dtype for p in rough.model.parameters()} == {torch.float32}


def test_rates_follow_each_groups_schedule() -> None:
    plans = {name: GroupPlan(rate=1.0, schedule=FLAT) for name in GROUP_NAMES}
    plans["text_encoder"] = GroupPlan(rate=0.0, schedule=LinearDecay(warmup_share=0.0))
    plans["rest"] = GroupPlan(rate=1e-9, schedule=LinearDecay(warmup_share=0.0))
    plans["backbone"] = plans["deformable_projections"] = GroupPlan(rate=0.0, schedule=FLAT)
    step = TrainStep(network(), plans, total_steps=4, steps_per_epoch=2, options=StepOptions())
    before = {name: p.detach().clone() for name, p in step.model.named_parameters()}
    reports = [step([toy_step(full=[1])]) for _ in range(2)]
    assert [r.rates["rest"] for r in reports] == pytest.approx([1e-9, 0.75e-9])
    assert all(
        torch.equal(before[name], p)
        for name, p in step.model.named_parameters()
        if name.startswith(("text_encoder.", "model.backbone."))
    )


def test_a_resumed_step_is_the_uninterrupted_one_bit_for_bit(tmp_path: Any) -> None:
    batches = [toy_step(full=[10 + i, 20 + i], weak=[30 + i]) for i in range(4)]
    whole = trainer(average_warm_up=True)
    for batch in batches[:2]:
        whole([batch])
    torch.save({"model": whole.model.state_dict(), "step": whole.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    model = network()
    model.load_state_dict(state["model"])
    resumed = trainer(model, average_warm_up=True)
    resumed.load_state_dict(state["step"])
    reports = [[step([batch]) for batch in batches[2:]] for step in (whole, resumed)]
    assert reports[0] == reports[1]
    assert torch.equal(flat(whole.model), flat(resumed.model))
    assert whole.average is not None
    assert resumed.average is not None
    for name, value in whole.average.state_dict()["values"].items():
        assert torch.equal(value, resumed.average.state_dict()["values"][name])


def test_a_state_of_other_options_is_refused() -> None:
    with pytest.raises(CheckpointError, match="keeps an average"):
        trainer(average_decay=None).load_state_dict(trainer().state_dict())


def broken(part: SourceBatch) -> SourceBatch:
    """Boxes so wide that each one's cost is finite and the sum of their distances is not."""
    boxes = part.targets.boxes_cxcywh_norm.clone()
    assert len(boxes) > 6
    boxes[:, 2] = 0.6e38
    return replace(part, targets=replace(part.targets, boxes_cxcywh_norm=boxes))


def test_an_infinite_loss_names_the_term_and_the_photos_and_leaves_the_weights() -> None:
    step = trainer()
    before = flat(step.model)
    pseudo = broken(toy_source("pseudo", [3, 11, 12, 13]))
    with pytest.raises(NonFiniteError, match=r"step 0: NaN or infinite loss pseudo/.*l1.*pseudo:toy-3") as raised:
        step([replace(ALL, pseudo=pseudo)])
    assert "\n" not in str(raised.value)
    assert torch.equal(before, flat(step.model))
    assert step.steps_done == 0


def test_a_network_that_predicts_nan_names_the_photos() -> None:
    model = network()
    with torch.no_grad():
        model.bbox_embed[0].layers[0].weight.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match=r"photo 0 of the batch.*source full, photos toy-1, toy-2"):
        trainer(model)([ALL])


def test_a_finite_loss_with_an_infinite_gradient_is_caught() -> None:
    step = trainer()
    parameter = step.model.object_projection.weight
    parameter.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(NonFiniteError, match=r"gradient \(norm inf; the losses are finite\).*full:toy-1"):
        step([ALL])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clip_norm": 0.0}, "clip_norm=0.0 must be positive"),
        ({"precision": "float16"}, "use bfloat16 or float32"),
        ({"weights": {"pseudo": -1.0}}, "pseudo=-1.0: a source's weight"),
    ],
)
def test_options_that_cannot_be_are_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelConfigError, match=words):
        StepOptions(**{name: SourceWeights(**v) if name == "weights" else v for name, v in options.items()})


def test_a_batch_that_contradicts_itself_is_refused() -> None:
    part = toy_source("full", [1, 2])
    with pytest.raises(TargetError, match="1 keys, 2 photos and targets of 2"):
        replace(part, keys=("one",))
    with pytest.raises(TargetError, match="source='half' is unknown: use one of full, pseudo, weak"):
        replace(part, source="half")  # type: ignore[arg-type]
    with pytest.raises(TargetError, match=r"StepBatch\.weak holds a batch of source 'full'"):
        StepBatch(weak=part)
    with pytest.raises(TargetError, match="weak: 2 of its photos have boxes"):
        replace(part, source="weak")


def test_keys_are_named_behind_their_source() -> None:
    assert ALL.keys == ("full:toy-1", "full:toy-2", "pseudo:toy-3", "weak:toy-4", "weak:toy-5")
    assert ALL.to("cpu").keys == ALL.keys
