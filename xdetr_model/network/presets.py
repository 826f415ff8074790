"""Named configurations: ``xdetr-r101`` (the paper's size), ``xdetr-r50`` and ``xdetr-toy`` (trains on two CPU cores).

The large ones are Deformable DETR with box refinement and 300 learned queries beside roberta-base, so that the
published weights of both fit (``checkpoints/published.py``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from xdetr_model.errors import ModelConfigError
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.tokenizer import word_tokenizer

ROBERTA_BASE: dict[str, Any] = {
    "model_type": "roberta",
    "vocab_size": 50265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A configuration, the size its photos are resized to, and its tokenizer where one can be built offline."""

    config: XDetrConfig
    shortest_px: int
    longest_px: int
    tokenizer: PreTrainedTokenizerBase | None

    def image_processor(self) -> DeformableDetrImageProcessorPil:
        """The library's processor at the preset's size; what a checkpoint saves as preprocessor_config.json."""
        size = {"shortest_edge": self.shortest_px, "longest_edge": self.longest_px}
        return DeformableDetrImageProcessorPil(size=size)


def _resnet(depths: tuple[int, ...]) -> dict[str, Any]:
    return {"model_type": "resnet", "depths": list(depths), "out_features": ["stage2", "stage3", "stage4"]}


def _paper(depths: tuple[int, ...]) -> Preset:
    detector = {"backbone_config": _resnet(depths), "num_queries": 300, "with_box_refine": True, "num_labels": 1}
    config = XDetrConfig(detector_config=detector, text_config=dict(ROBERTA_BASE))
    return Preset(config=config, shortest_px=800, longest_px=1333, tokenizer=None)


# No published weights to start from: norms that are trained, losses that fall fast at small batches; photos of one
# kind name the same few things, so a phrase of another photo that says the same is no negative.
_FROM_SCRATCH: dict[str, Any] = {
    "frozen_backbone_stages": 0,
    "backbone_norm": "group",
    "class_loss": "focal",
    "objectness_weight": 2.0,
    "objectness_cost": 2.0,
    "aligned_layers": "all",
    "same_text": "ignore",
}


def _toy() -> Preset:
    """Small objects want fine maps (strides 4, 8, 16), which are cheap without encoder layers."""
    tokenizer = word_tokenizer()
    width = 128
    backbone = {
        "model_type": "resnet",
        "embedding_size": 32,
        "hidden_sizes": [32, 64, 128, 128],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage1", "stage2", "stage3"],
    }
    detector = {
        "backbone_config": backbone,
        "d_model": width,
        "encoder_layers": 0,
        "decoder_layers": 3,
        "encoder_n_points": 2,
        "encoder_ffn_dim": 256,
        "decoder_ffn_dim": 256,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "num_feature_levels": 3,
        "num_queries": 20,
        "two_stage_num_proposals": 20,
        "with_box_refine": True,
        "two_stage": True,
        "dropout": 0.0,
        "num_labels": 1,
    }
    # Rotary positions and windows of four words to each side: which colour goes with which shape is told by neighbours,
    # which absolute positions learn slowly. Trained from nothing, BERT's confuse "a red circle and a blue square".
    text = {
        "model_type": "modernbert",
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "global_attn_every_n_layers": 3,
        "local_attention": 8,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "max_position_embeddings": 128,
        "initializer_range": 0.06,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    config = XDetrConfig(
        detector_config=detector,
        text_config=text,
        alignment_dim=64,
        max_text_tokens=96,
        **_FROM_SCRATCH,
    )
    return Preset(config=config, shortest_px=128, longest_px=192, tokenizer=tokenizer)


_PRESETS: dict[str, Callable[[], Preset]] = {
    "xdetr-r101": lambda: _paper((3, 4, 23, 3)),
    "xdetr-r50": lambda: _paper((3, 4, 6, 3)),
    "xdetr-toy": _toy,
}

PRESET_NAMES = tuple(_PRESETS)


def preset(name: str) -> Preset:
    """A preset by name. Raises ModelConfigError for an unknown one.

    The tokenizer of the large presets is roberta-base's and comes with its weights, so it is None here.
    """
    if name not in _PRESETS:
        raise ModelConfigError(f"preset {name!r} is unknown: use one of {', '.join(PRESET_NAMES)}")
    return _PRESETS[name]()
