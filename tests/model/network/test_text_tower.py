"""Texts of like length are encoded together on a CPU: faster, and the same states."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from tests.model.tiny import TEXT
from xdetr_model.network.presets import preset
from xdetr_model.network.text_tower import build_text_encoder, encode_states

TOY = preset("xdetr-toy").config.text_config.to_dict()


def encoder_of(values: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return build_text_encoder(AutoConfig.for_model(**values)).eval()


def texts(lengths: list[int], padded_to: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(padded_to)[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, 60, mask.shape, generator=generator).masked_fill(~mask, 0)
    return ids, mask.long()


@pytest.mark.parametrize("values", [TEXT, TOY], ids=["bert", "modernbert"])
def test_states_and_gradients_are_those_of_one_call(values: dict[str, Any]) -> None:
    encoder = encoder_of(values)
    ids, mask = texts([3, 17, 4, 30, 9, 9, 2, 21] * 5, padded_to=32)
    wanted = encoder(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
    found = encode_states(encoder, ids, mask) * mask[..., None]
    assert (found - wanted).abs().max() < 1e-5
    weights = [p for p in encoder.parameters() if p.requires_grad]
    gradients = [torch.autograd.grad(states.square().sum(), weights, allow_unused=True) for states in (wanted, found)]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one - other).abs().max() <= 1e-4 * max(1.0, float(one.abs().max()))


def test_what_is_encoded_is_little_more_than_the_words() -> None:
    encoder = encoder_of(TEXT)
    sizes: list[int] = []
    encoder.register_forward_pre_hook(lambda _, __, given: sizes.append(given["input_ids"].numel()), with_kwargs=True)
    ids, mask = texts([4] * 24 + [32] * 8, padded_to=32)
    encode_states(encoder, ids, mask)
    assert sum(sizes) == int(mask.sum())


def test_padding_at_the_left_is_kept() -> None:
    encoder = encoder_of(TEXT)
    ids, mask = texts([5] * 16, padded_to=9)
    ids, mask = ids.flip(1), mask.flip(1)
    wanted = encoder(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
    assert ((encode_states(encoder, ids, mask) - wanted) * mask[..., None]).abs().max() < 1e-5
