"""What a dry run says of a step's activations, beside what autograd keeps of one."""

from collections.abc import Iterator

import pytest
import torch

from pipelines.train.memory import TEXT_TOKENS, activation_bytes, kept_bytes
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import preset


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> XDetrModel:
    """The layers of the paper's network (batch norms, encoder and decoder of six layers), narrow."""
    torch.manual_seed(0)
    config = preset("xdetr-r50").config.to_dict()
    config["detector_config"] |= {
        "d_model": 64, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "num_queries": 50,
    }  # fmt: skip
    config["detector_config"]["backbone_config"] |= {"embedding_size": 16, "hidden_sizes": [32, 64, 128, 256]}
    config["text_config"] |= {"hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 99}
    return XDetrModel(type(preset("xdetr-r50").config).from_dict(config))


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize(
    ("photos", "size_hw", "is_padded"),
    [(2, (320, 448), False), (3, (448, 320), False), (2, (448, 448), True)],
    ids=["wide", "upright", "both"],
)
def test_activations_are_told_within_15_per_cent(
    model: XDetrModel, precision: str, photos: int, size_hw: tuple[int, int], is_padded: bool
) -> None:
    texts = 4
    ids = torch.zeros(photos * texts, TEXT_TOKENS, dtype=torch.long)
    mask = None
    if is_padded:  # a wide one and an upright one
        mask = torch.zeros(photos, *size_hw, dtype=torch.bool)
        mask[0, :320], mask[1:, :, :320] = True, True
    measured = kept_bytes(model, precision, torch.rand(photos, 3, *size_hw), mask, ids, torch.ones_like(ids))  # type: ignore[arg-type]
    told = activation_bytes(model, [photos], size_hw, precision, texts, is_padded=is_padded)  # type: ignore[arg-type]
    assert told == pytest.approx(measured, rel=0.15)


def test_half_precision_saves_less_than_half(model: XDetrModel) -> None:
    narrow, wide = (
        activation_bytes(model, [4, 2, 4], (800, 1066), precision, 8, is_padded=False)
        for precision in ("bfloat16", "float32")
    )
    assert 0.5 * wide < narrow < wide
