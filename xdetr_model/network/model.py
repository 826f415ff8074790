"""X-DETR: objects of a photo and tokens of a text as vectors of one space, from two streams that never touch.

Legend: B photos, Q object queries, L decoder layers, N texts, T tokens, d width of the common space.
"""

import math
import os
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, initialization
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMLPPredictionHead

from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.loading import load_model
from xdetr_model.network.precision import full
from xdetr_model.network.proposals import Proposals
from xdetr_model.network.text_tower import build_text_encoder, encode_states, pool_sentences
from xdetr_model.network.trunk import InitWholeModules, XDetrTrunk

PRIOR_OBJECT = 0.01  # probability of an object that an untrained query states (focal loss paper, sec. 3.3)


class ImageEncoding(NamedTuple):
    """``objects [B, Q, d]`` and ``image [B, d]`` of length 1, ``boxes_cxcywh_norm [B, Q, 4]``, ``objectness [B, Q]``
    (a logit)."""

    objects: Tensor
    boxes_cxcywh_norm: Tensor
    objectness: Tensor
    image: Tensor


class TextEncoding(NamedTuple):
    """``tokens [N, T, d]`` and ``sentence [N, d]`` of length 1; vectors of padding mean nothing."""

    tokens: Tensor
    sentence: Tensor


class XDetrOutput(NamedTuple):
    """What the losses need: scores, boxes and objects of every decoder layer (last = final), proposals, the rest.

    ``objectness_logits [L, B, Q]``, ``boxes_cxcywh_norm [L, B, Q, 4]``, ``objects [L, B, Q, d]``, ``image [B, d]``,
    ``tokens [N, T, d]``, ``sentence [N, d]``. Coordinates and embeddings are float32 whatever the weights are.
    """

    objectness_logits: Tensor
    boxes_cxcywh_norm: Tensor
    proposals: Proposals | None
    objects: Tensor
    image: Tensor
    tokens: Tensor
    sentence: Tensor


class ObjectnessHead(nn.Linear):
    """One logit per query."""

    def __init__(self, width: int):
        super().__init__(width, 1)


class BoxHead(DeformableDetrMLPPredictionHead):  # type: ignore[misc]
    """The library's box head, starting at "no change", or at a small box where it starts from a point."""

    def __init__(self, width: int, starts_from_point: bool):
        super().__init__(input_dim=width, hidden_dim=width, output_dim=4, num_layers=3)
        self.starts_from_point = starts_from_point


class XDetrModel(InitWholeModules, PreTrainedModel):  # type: ignore[misc]
    """The network. The names of its detector weights are those of ``DeformableDetrForObjectDetection``."""

    config_class = XDetrConfig
    base_model_prefix = "xdetr"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: XDetrConfig):
        super().__init__(config)
        detector: Any = config.detector_config
        width = int(detector.d_model)
        heads = (int(detector.decoder_layers) if detector.with_box_refine else 1) + int(detector.two_stage)
        self.model = XDetrTrunk(detector, config.mask_padding, config.backbone_norm)
        self.class_embed = nn.ModuleList(ObjectnessHead(width) for _ in range(heads))
        self.bbox_embed = nn.ModuleList(BoxHead(width, not detector.two_stage and i == 0) for i in range(heads))
        self.text_encoder = build_text_encoder(config.text_config)
        hidden = int(config.text_config.hidden_size)  # type: ignore[union-attr]
        self.object_projection = nn.Linear(width, config.alignment_dim)
        self.image_projection = nn.Linear(width, config.alignment_dim)
        self.token_projection = nn.Linear(hidden, config.alignment_dim)
        self.sentence_projection = nn.Linear(hidden, config.alignment_dim)
        self._freeze()
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ObjectnessHead):
            initialization.constant_(module.bias, -math.log((1 - PRIOR_OBJECT) / PRIOR_OBJECT))
        elif isinstance(module, BoxHead):
            for layer in list(module.layers)[:-1]:
                initialization.xavier_uniform_(layer.weight)
            initialization.zeros_(module.layers[-1].weight)
            small = -2.0 if module.starts_from_point else 0.0
            initialization.copy_(module.layers[-1].bias, torch.tensor([0.0, 0.0, small, small]))
        elif isinstance(module, nn.Linear):
            initialization.xavier_uniform_(module.weight)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> "XDetrModel":
        """Load a checkpoint directory or hub name; :func:`load_model` says which errors it raises."""
        loaded = load_model(pretrained_model_name_or_path, loader=super().from_pretrained, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded)._freeze()  # the library's loading makes all trainable
        return loaded  # type: ignore[no-any-return]

    def _freeze(self) -> None:
        """What is not trained: see ``frozen_backbone_stages``, and the embedding of levels that no encoder sees."""
        self.model.freeze_stages(self.config.frozen_backbone_stages)
        self.model.level_embed.requires_grad_(int(self.config.detector_config.encoder_layers) > 0)

    def recompute_activations(self) -> None:
        """Keep only the inputs of layers while training, and compute the rest again in the backward pass."""
        # the library renamed its method in the course of version 5
        new = getattr(self, "activation_checkpointing_enable", None)
        (self.gradient_checkpointing_enable if new is None else new)({"use_reentrant": False})
        self.model.recompute_backbone = True

    def encode_image(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> ImageEncoding:
        """Encode photos ``[B, 3, H, W]``; ``pixel_mask [B, H, W]`` is True on the photo, None if nothing is padded."""
        trunk = self.model(pixel_values, _as_bool(pixel_mask), self.class_embed, self.bbox_embed)
        last = self._head(self.class_embed, trunk.states.shape[0] - 1)
        return ImageEncoding(
            objects=_unit(self.object_projection(trunk.states[-1])),
            boxes_cxcywh_norm=trunk.boxes_cxcywh_norm[-1],
            objectness=full(last(trunk.states[-1])[..., 0]),
            image=_unit(self.image_projection(trunk.image)),
        )

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextEncoding:
        """Encode texts ``[N, T]``. No texts at all give empty vectors."""
        if input_ids.shape[0] == 0 or input_ids.shape[1] == 0:
            width = self.config.alignment_dim
            return TextEncoding(
                torch.zeros(*input_ids.shape, width, device=self.device),
                torch.zeros(input_ids.shape[0], width, device=self.device),
            )
        states = encode_states(self.text_encoder, input_ids, attention_mask)
        pooled = pool_sentences(states, attention_mask, self.config.sentence_pooling)
        return TextEncoding(_unit(self.token_projection(states)), _unit(self.sentence_projection(pooled)))

    def forward(
        self, pixel_values: Tensor, pixel_mask: Tensor | None, input_ids: Tensor, attention_mask: Tensor
    ) -> XDetrOutput:
        """Everything the losses need, in one call (so that DDP sees every parameter used).

        With no texts a dummy text runs through the encoder and is cut away: its gradients are zeros, not absent.
        """
        trunk = self.model(pixel_values, _as_bool(pixel_mask), self.class_embed, self.bbox_embed)
        logits = [full(self._head(self.class_embed, i)(states)[..., 0]) for i, states in enumerate(trunk.states)]
        count = input_ids.shape[0]
        if count == 0:
            input_ids = torch.zeros(1, 1, dtype=torch.long, device=pixel_values.device)
            attention_mask = torch.ones_like(input_ids)
        text = self.encode_text(input_ids, attention_mask)
        return XDetrOutput(
            objectness_logits=torch.stack(logits),
            boxes_cxcywh_norm=trunk.boxes_cxcywh_norm,
            proposals=trunk.proposals,
            objects=_unit(self.object_projection(trunk.states)),
            image=_unit(self.image_projection(trunk.image)),
            tokens=text.tokens[:count],
            sentence=text.sentence[:count],
        )

    def _head(self, heads: nn.ModuleList, layer: int) -> nn.Module:
        return heads[layer if self.config.detector_config.with_box_refine else 0]


def _unit(vectors: Tensor) -> Tensor:
    return nn.functional.normalize(full(vectors), dim=-1)


def _as_bool(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.bool()


AutoConfig.register(XDetrConfig.model_type, XDetrConfig, exist_ok=True)
AutoModel.register(XDetrConfig, XDetrModel, exist_ok=True)
