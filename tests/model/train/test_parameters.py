"""Every trained parameter is in one group, at the rate of the paper."""

import pytest
import torch
from torch import nn

from tests.model.tiny import REFINED, TWO_STAGE, tiny_model
from xdetr_model import XDetrModel, preset
from xdetr_model.errors import ModelConfigError
from xdetr_model.train.parameters import (
    GROUP_NAMES,
    OptimizerName,
    ParameterGroup,
    build_optimizer,
    group_of,
    parameter_groups,
    scaled_rate,
)


@pytest.mark.parametrize("detector", [{}, REFINED, TWO_STAGE], ids=["plain", "refined", "two-stage"])
def test_every_trained_parameter_is_in_exactly_one_group(detector: dict[str, bool]) -> None:
    model = tiny_model(detector, frozen_backbone_stages=2)
    groups = parameter_groups(model)
    names = [name for group in groups for name in group.parameter_names]
    assert sorted(names) == sorted(name for name, p in model.named_parameters() if p.requires_grad)
    assert any(not p.requires_grad for p in model.parameters())
    assert sum(group.numbers for group in groups) == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_groups_are_the_papers() -> None:
    with torch.device("meta"):
        model = XDetrModel(preset("xdetr-r50").config)
    members = {group.name: group.parameter_names for group in parameter_groups(model)}
    assert tuple(members) == GROUP_NAMES
    # 6 encoder and 6 decoder layers with weight and bias, and the reference points of the queries
    assert len(members["deformable_projections"]) == 26
    assert all(name.startswith("model.backbone.") for name in members["backbone"])
    assert all(name.startswith("text_encoder.") for name in members["text_encoder"])
    assert "token_projection.weight" in members["rest"]
    assert "model.input_proj.0.0.weight" in members["rest"]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("model.encoder.layers.0.self_attn.sampling_offsets.weight", "deformable_projections"),
        ("model.reference_points.bias", "deformable_projections"),
        ("model.backbone.model.embedder.embedder.convolution.weight", "backbone"),
        ("text_encoder.encoder.layer.0.output.dense.weight", "text_encoder"),
        ("model.encoder.layers.0.self_attn.attention_weights.weight", "rest"),
        ("model.image_query.weight", "rest"),
    ],
)
def test_a_parameters_group_follows_from_its_name(name: str, group: str) -> None:
    assert group_of(name) == group


def test_rates_grow_with_the_batch_of_full_photos() -> None:
    assert scaled_rate(1e-4, 16) == 1e-4
    assert scaled_rate(1e-4, 64) == pytest.approx(4e-4)


def test_the_optimiser_has_each_groups_rate() -> None:
    groups = parameter_groups(tiny_model(TWO_STAGE))
    rates = {group.name: 0.1 * (i + 1) for i, group in enumerate(groups)}
    optimizer = build_optimizer(groups, rates, "adam", 1e-4)
    assert {g["name"]: g["lr"] for g in optimizer.param_groups} == rates
    assert {g["weight_decay"] for g in optimizer.param_groups} == {1e-4}


def test_what_the_optimiser_cannot_do_is_said() -> None:
    groups = parameter_groups(tiny_model(TWO_STAGE))
    with pytest.raises(ModelConfigError, match="optimizer='sgd' is unknown: use one of adam, adamw"):
        build_optimizer(groups, {group.name: 1.0 for group in groups}, "sgd", 0.0)  # type: ignore[arg-type]
    with pytest.raises(ModelConfigError, match="no rate for parameter group 'text_encoder'"):
        build_optimizer(groups, {"backbone": 1.0}, "adam", 0.0)


def norm_of_an_unused_row(kind: OptimizerName, steps: int) -> float:
    """Of a row of an embedding that no step uses, beside one that every step uses; it begins at 1."""
    words = nn.Embedding(2, 8)
    nn.init.constant_(words.weight, 8**-0.5)
    group = ParameterGroup(name="text_encoder", parameter_names=("words",), parameters=(words.weight,))
    optimizer = build_optimizer((group,), {"text_encoder": 1e-3}, kind, 1e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        words(torch.tensor([0])).square().sum().backward()
        nn.utils.clip_grad_norm_(words.parameters(), 0.1)
        optimizer.step()
    return float(words.weight[1].norm())


def test_a_rare_word_keeps_its_vector_with_the_papers_optimiser_and_loses_it_with_adam() -> None:
    assert norm_of_an_unused_row("adamw", 300) == pytest.approx(1.0, abs=1e-3)
    assert norm_of_an_unused_row("adam", 300) < 0.5
