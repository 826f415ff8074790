"""What an untrained network is: Deformable DETR's published initialisation, which its training depends on."""

import torch
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention

from tests.model.toy_photos import draw_toy_photo
from tests.model.toy_training import toy_pixels
from xdetr_model import XDetrModel, preset


def test_sampling_starts_as_a_grid_that_is_the_same_for_every_query() -> None:
    attentions = [
        module
        for module in XDetrModel(preset("xdetr-toy").config).modules()
        if isinstance(module, DeformableDetrMultiscaleDeformableAttention)
    ]
    assert attentions
    for attention in attentions:
        assert not attention.sampling_offsets.weight.any()
        assert not attention.attention_weights.weight.any()
        assert not attention.attention_weights.bias.any()
        offsets = attention.sampling_offsets.bias.detach().reshape(
            attention.n_heads, attention.n_levels, attention.n_points, 2
        )
        radius = torch.arange(1, attention.n_points + 1).float()
        assert torch.equal(offsets.abs().amax(-1), radius.expand_as(offsets[..., 0]))


def test_boxes_of_an_untrained_network_stay_where_the_proposals_are() -> None:
    torch.manual_seed(0)
    model = XDetrModel(preset("xdetr-toy").config).eval()
    pixels = toy_pixels([draw_toy_photo(seed) for seed in range(2)])
    with torch.no_grad():
        trunk = model.model(pixels, None, model.class_embed, model.bbox_embed)
    proposed = trunk.proposals.box_logits_cxcywh.sigmoid()
    for boxes in trunk.boxes_cxcywh_norm:
        distance = (boxes[:, :, None] - proposed[:, None]).abs().amax(-1).amin(-1)
        assert float(distance.max()) < 1e-5


def test_an_untrained_network_finds_objects_rare() -> None:
    torch.manual_seed(0)
    model = XDetrModel(preset("xdetr-toy").config).eval()
    with torch.no_grad():
        logits = model.encode_image(toy_pixels([draw_toy_photo(0)])).objectness
    assert float(logits.sigmoid().mean()) < 0.05
