"""Small randomly initialised models for tests: every layer kind of the large ones, in milliseconds."""

from typing import Any

import torch

from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.tokenizer import word_tokenizer

TEXT: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": len(word_tokenizer()),
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
BACKBONE: dict[str, Any] = {
    "model_type": "resnet",
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64, 64],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage2", "stage3", "stage4"],
}


def detector_values(**values: Any) -> dict[str, Any]:
    """Keyword arguments of a small ``DeformableDetrConfig``."""
    return {
        "backbone_config": dict(BACKBONE),
        "d_model": 64,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "num_queries": 12,
        "two_stage_num_proposals": 12,
        "dropout": 0.0,
        "num_labels": 1,
        **values,
    }


def tiny_config(detector: dict[str, Any] | None = None, **values: Any) -> XDetrConfig:
    """A small configuration; ``detector`` overrides values of its detector."""
    return XDetrConfig(
        detector_config=detector_values(**(detector or {})),
        text_config=dict(TEXT),
        **{"alignment_dim": 16, "max_text_tokens": 48, "frozen_backbone_stages": 0, **values},
    )


def tiny_model(detector: dict[str, Any] | None = None, seed: int = 0, **values: Any) -> XDetrModel:
    """A small model in evaluation mode whose every weight is random, the zero-initialised ones too."""
    torch.manual_seed(seed)
    model = XDetrModel(tiny_config(detector, **values))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn_like(buffer))
            elif name.endswith(("running_var", "normalization.weight")):
                buffer.mul_(0.7 + 0.6 * torch.rand_like(buffer))
    return model.eval()


TWO_STAGE = {"with_box_refine": True, "two_stage": True}
REFINED = {"with_box_refine": True}
