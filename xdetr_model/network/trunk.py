"""The detector: photo → object states and boxes, one layer after the other, and one image state without a box.

Backbone, encoder and decoder layers are the library's (names of weights too); what is written here is their order.
It differs from ``DeformableDetrModel`` in three ways: the image query (X-DETR, sec. 3.1) is decoded beside the object
queries, which cannot see it; padding has no influence (``padding.py``); coordinates are float32 whatever the weights
are, because a bfloat16 coordinate is off by pixels. Without padding and in float32 its boxes are the library's.

Legend: B photos, S positions of all levels, Q object queries, L decoder layers, D width of the model.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.models.deformable_detr.configuration_deformable_detr import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrConvEncoder,
    DeformableDetrDecoder,
    DeformableDetrEncoder,
    DeformableDetrFrozenBatchNorm2d,
    DeformableDetrPreTrainedModel,
    DeformableDetrSinePositionEmbedding,
)

from xdetr_model.network.deformable_attention import use_own_sampling
from xdetr_model.network.padding import FeatureMap, project_levels, resnet_feature_maps
from xdetr_model.network.precision import full, full_dtype
from xdetr_model.network.proposals import Proposals, grid_proposals, pick_proposals, proposal_embedding, refine

IMAGE_BOX_CXCYWH_NORM = (0.5, 0.5, 1.0, 1.0)
CHANNELS_PER_GROUP = 8


class Memory(NamedTuple):
    """The encoded photos: ``states [B, S, D]``, ``mask [B, S]`` (True on the photo), level sizes and valid ratios."""

    states: Tensor
    mask: Tensor
    shapes_hw: tuple[tuple[int, int], ...]
    valid_ratios_BL2: Tensor


class TrunkOutput(NamedTuple):
    """``states [L, B, Q, D]``, ``boxes_cxcywh_norm [L, B, Q, 4]``, ``image [B, D]``, and the encoder's proposals."""

    states: Tensor
    boxes_cxcywh_norm: Tensor
    image: Tensor
    proposals: Proposals | None


class _Queries(NamedTuple):
    content_BQD: Tensor
    position_BQD: Tensor
    reference_BQ4: Tensor


class InitWholeModules:
    """Makes the library call ``_init_weights`` for modules that have no parameters of their own, too.

    It leaves those out in models defined outside of it ("custom code"), in case they overwrite loaded weights. The
    functions of ``transformers.initialization`` never do, and without the call sampling offsets would start as random
    functions of the query instead of Deformable DETR's grid, and box heads away from "no change".
    """

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        super()._initialize_weights(module, is_custom_code=False)  # type: ignore[misc]


class _XavierInit(InitWholeModules):
    """Weights as in the original Deformable DETR; the library's normal with 0.02 trains slowly from scratch."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, nn.Linear | nn.Conv2d):
            initialization.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Embedding):
            initialization.normal_(module.weight)


class Encoder(_XavierInit, DeformableDetrEncoder):  # type: ignore[misc]
    """The library's encoder."""


class Decoder(_XavierInit, DeformableDetrDecoder):  # type: ignore[misc]
    """The library's decoder layers; :meth:`XDetrTrunk.decode` runs them."""


class XDetrTrunk(_XavierInit, DeformableDetrPreTrainedModel):  # type: ignore[misc]
    """See the module."""

    def __init__(self, config: DeformableDetrConfig, mask_padding: bool = True, backbone_norm: str = "frozen_batch"):
        super().__init__(config)
        width = config.d_model
        self.mask_padding = mask_padding
        self.recompute_backbone = False
        self.backbone = DeformableDetrConvEncoder(config)
        if backbone_norm == "group":
            _use_group_norms(self.backbone)
        self.position_embedding = DeformableDetrSinePositionEmbedding(width // 2, normalize=True)
        self.input_proj = _input_projections(
            self.backbone.intermediate_channel_sizes, width, int(config.num_feature_levels)
        )
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        # only encoder layers look at positions
        is_used = int(config.encoder_layers) > 0
        self.level_embed = nn.Parameter(torch.empty(config.num_feature_levels, width), requires_grad=is_used)
        self.image_query = nn.Embedding(1, 2 * width)
        if config.two_stage:
            self.enc_output = nn.Linear(width, width)
            self.enc_output_norm = nn.LayerNorm(width)
            self.pos_trans = nn.Linear(2 * width, 2 * width)
            self.pos_trans_norm = nn.LayerNorm(2 * width)
        else:
            self.query_position_embeddings = nn.Embedding(config.num_queries, 2 * width)
            self.reference_points = nn.Linear(width, 2)
        use_own_sampling(self)
        self.post_init()

    def freeze_stages(self, count: int) -> None:
        """Freeze the stem and the first ``count - 1`` stages, and those behind the last feature map, which no loss
        reaches (DDP waits for the gradient of whatever is trained); train the rest.

        The library means to do this by name but looks for ``stage.1`` where its own ResNet says ``stages.1``, and so
        freezes the whole backbone.
        """
        backbone = self.backbone.model
        last = max(backbone.stage_names.index(name) for name in backbone.out_features)
        for index, part in enumerate([backbone.embedder, *backbone.encoder.stages]):
            part.requires_grad_(count <= index <= last)

    def forward(
        self, pixels_BCHW: Tensor, mask_BHW: Tensor | None, class_embed: nn.ModuleList, bbox_embed: nn.ModuleList
    ) -> TrunkOutput:
        """``mask_BHW`` is True on the photo, None where no photo is padded. The heads score and place the queries."""
        memory = self.encode(self.feature_levels(pixels_BCHW, mask_BHW))
        queries, proposals = self.queries(memory, class_embed[-1], bbox_embed[-1])
        states, boxes, image = self.decode(queries, memory, bbox_embed)
        return TrunkOutput(states, boxes, image, proposals)

    def feature_levels(self, pixels_BCHW: Tensor, mask_BHW: Tensor | None) -> list[FeatureMap]:
        """One map ``[B, D, H, W]`` and its mask per level, finest first."""
        if self.mask_padding:
            recompute = self.recompute_backbone and self.training
            maps = resnet_feature_maps(self.backbone.model, pixels_BCHW, mask_BHW, recompute)
            return project_levels(self.input_proj, maps)
        mask = torch.ones_like(pixels_BCHW[:, 0], dtype=torch.bool) if mask_BHW is None else mask_BHW
        return _library_levels(self.input_proj, self.backbone(pixels_BCHW, mask), mask)

    def encode(self, levels: Sequence[FeatureMap]) -> Memory:
        """Run the encoder over all levels at once; without layers the projected maps are the memory."""
        masks = [torch.ones_like(source[:, 0], dtype=torch.bool) if mask is None else mask for source, mask in levels]
        shapes_hw = tuple((int(s.shape[-2]), int(s.shape[-1])) for s, _ in levels)
        states = torch.cat([source.flatten(2).transpose(1, 2) for source, _ in levels], 1)
        mask_BS = torch.cat([m.flatten(1) for m in masks], 1)
        ratios = torch.stack([_valid_ratio(m, full_dtype(states)) for m in masks], 1)
        if not self.encoder.layers:
            return Memory(states, mask_BS, shapes_hw, ratios)
        encoded = self.encoder(
            inputs_embeds=states,
            attention_mask=mask_BS,
            spatial_position_embeddings=self._positions(levels, masks),
            valid_ratios=ratios,
            **_geometry(shapes_hw, mask_BS.device),
        ).last_hidden_state
        return Memory(encoded, mask_BS, shapes_hw, ratios)

    def _positions(self, levels: Sequence[FeatureMap], masks: Sequence[Tensor]) -> Tensor:
        """Sine embeddings plus the level's vector ``[B, S, D]``: what encoder layers tell places by."""
        positions = []
        for index, ((source, _), mask) in enumerate(zip(levels, masks, strict=True)):
            position = self.position_embedding(
                shape=source.shape, device=source.device, dtype=full_dtype(source), mask=mask
            )
            positions.append(position.flatten(2).transpose(1, 2).to(source.dtype) + self.level_embed[index])
        return torch.cat(positions, 1)

    def queries(self, memory: Memory, class_head: nn.Module, box_head: nn.Module) -> tuple[_Queries, Proposals | None]:
        """Learned queries, or (two-stage) the best proposals of the encoder."""
        batch = memory.states.shape[0]
        if not self.config.two_stage:
            position, content = self.query_position_embeddings.weight.chunk(2, dim=1)
            reference = full(self.reference_points(position)).sigmoid()
            expanded = [t.unsqueeze(0).expand(batch, -1, -1) for t in (content, position, reference)]
            return _Queries(*expanded), None
        logits_BS4, usable_BS = grid_proposals(memory.mask, memory.shapes_hw, full_dtype(memory.states))
        states = self.enc_output_norm(self.enc_output(memory.states * usable_BS[..., None].to(memory.states.dtype)))
        proposals = Proposals(
            objectness_logits=full(class_head(states)[..., 0]),
            box_logits_cxcywh=full(box_head(states)) + logits_BS4,
            is_usable=usable_BS,
        )
        rankable = memory.mask if self.mask_padding else torch.ones_like(memory.mask)
        picked = pick_proposals(proposals, rankable, int(self.config.two_stage_num_proposals))
        embedded = proposal_embedding(picked, self.config.d_model // 2).to(memory.states.dtype)
        position, content = self.pos_trans_norm(self.pos_trans(embedded)).chunk(2, dim=2)
        return _Queries(content, position, picked.sigmoid()), proposals

    def decode(self, queries: _Queries, memory: Memory, bbox_embed: nn.ModuleList) -> tuple[Tensor, Tensor, Tensor]:
        """Run the decoder layers → states ``[L, B, Q, D]``, boxes ``[L, B, Q, 4]``, image state ``[B, D]``."""
        batch, count, _ = queries.content_BQD.shape
        image_position, image_content = self.image_query.weight.unsqueeze(0).expand(batch, -1, -1).chunk(2, dim=2)
        hidden = torch.cat([queries.content_BQD, image_content.to(queries.content_BQD.dtype)], 1)
        position = torch.cat([queries.position_BQD, image_position.to(queries.position_BQD.dtype)], 1)
        reference = queries.reference_BQ4
        geometry = _geometry(memory.shapes_hw, hidden.device)
        blind = _objects_blind_to_image(count, hidden)
        states, boxes = [], []
        for index, layer in enumerate(self.decoder.layers):
            hidden = layer(
                hidden,
                position,
                _scaled(_with_image(reference), memory.valid_ratios_BL2),
                geometry["spatial_shapes"],
                geometry["spatial_shapes_list"],
                geometry["level_start_index"],
                memory.states,
                memory.mask,
                attention_mask=blind,
            )
            box = refine(bbox_embed[min(index, len(bbox_embed) - 1)](hidden[:, :count]), reference)
            if self.config.with_box_refine:
                reference = box.detach()
            states.append(hidden)
            boxes.append(box)
        stacked = torch.stack(states)
        return stacked[:, :, :count], torch.stack(boxes), stacked[-1, :, count]


def _input_projections(channels: Sequence[int], width: int, levels: int) -> nn.ModuleList:
    kept = list(channels) if levels > 1 else list(channels)[-1:]
    projections = [nn.Sequential(nn.Conv2d(c, width, kernel_size=1), nn.GroupNorm(32, width)) for c in kept]
    source = kept[-1]
    for _ in range(levels - len(kept)):
        coarser = nn.Conv2d(source, width, kernel_size=3, stride=2, padding=1)
        projections.append(nn.Sequential(coarser, nn.GroupNorm(32, width)))
        source = width
    return nn.ModuleList(projections)


def _use_group_norms(backbone: nn.Module) -> None:
    """Norms that can be trained from scratch at small batches, in place of frozen ones."""
    for module in list(backbone.modules()):
        for name, child in module.named_children():
            if isinstance(child, DeformableDetrFrozenBatchNorm2d):
                channels = child.weight.numel()
                setattr(module, name, nn.GroupNorm(max(1, channels // CHANNELS_PER_GROUP), channels))


def _library_levels(
    projections: nn.ModuleList, maps: Sequence[tuple[Tensor, Tensor]], mask_BHW: Tensor
) -> list[FeatureMap]:
    """The levels as ``DeformableDetrModel`` makes them, padding and all."""
    levels: list[FeatureMap] = []
    for index, project in enumerate(projections):
        if index < len(maps):
            levels.append((project(maps[index][0]), maps[index][1]))
            continue
        coarse = project(maps[-1][0] if index == len(maps) else levels[-1][0])
        resized = nn.functional.interpolate(mask_BHW[None].float(), size=coarse.shape[-2:]).bool()[0]
        levels.append((coarse, resized))
    return levels


def _valid_ratio(mask_BHW: Tensor, dtype: torch.dtype) -> Tensor:
    """Share of a level's width and height that the photo fills ``[B, 2]`` (x, y)."""
    valid = torch.stack([mask_BHW[:, 0, :].sum(1), mask_BHW[:, :, 0].sum(1)], -1).to(dtype)
    return valid / valid.new_tensor([mask_BHW.shape[2], mask_BHW.shape[1]])


def _geometry(shapes_hw: tuple[tuple[int, int], ...], device: torch.device) -> dict[str, Any]:
    shapes = torch.tensor(shapes_hw, dtype=torch.long, device=device)
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
    return {"spatial_shapes": shapes, "spatial_shapes_list": list(shapes_hw), "level_start_index": starts}


def _with_image(reference_BQ4: Tensor) -> Tensor:
    """References of the objects and, last, of the image query: the whole photo, or its middle where points are used."""
    whole = reference_BQ4.new_tensor(IMAGE_BOX_CXCYWH_NORM[: reference_BQ4.shape[-1]])
    return torch.cat([reference_BQ4, whole.expand(reference_BQ4.shape[0], 1, -1)], 1)


def _scaled(reference_BQ4: Tensor, ratios_BL2: Tensor) -> Tensor:
    """References in units of the photo → in units of each padded level ``[B, Q, levels, 2 or 4]``."""
    ratios = torch.cat([ratios_BL2] * (reference_BQ4.shape[-1] // 2), -1)
    return reference_BQ4[:, :, None] * ratios[:, None]


def _objects_blind_to_image(count: int, like: Tensor) -> Tensor:
    """Additive mask ``[1, 1, Q+1, Q+1]``: the objects do not see the image query, so they are as without it."""
    dtype = torch.get_autocast_dtype(like.device.type) if torch.is_autocast_enabled(like.device.type) else like.dtype
    mask = torch.zeros(1, 1, count + 1, count + 1, dtype=dtype, device=like.device)
    mask[..., :count, count] = torch.finfo(dtype).min
    return mask
