"""The detector gives what transformers' own Deformable DETR gives, and padding does not change it."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection

from tests.model.tiny import REFINED, TWO_STAGE, detector_values, tiny_model
from xdetr_model.network.model import ImageEncoding, XDetrModel

VARIANTS: list[dict[str, Any]] = [{}, REFINED, TWO_STAGE, {"num_feature_levels": 5}, {"encoder_layers": 1} | TWO_STAGE]
SIZES = [(96, 128), (97, 131), (64, 65)]


def library_twin(model: XDetrModel, detector: dict[str, Any]) -> DeformableDetrForObjectDetection:
    """transformers' model with the same weights."""
    values = detector_values(**detector, tie_word_embeddings=False)
    twin = DeformableDetrForObjectDetection(DeformableDetrConfig(**values)).eval()
    own = model.state_dict()
    weights = {}
    for name in twin.state_dict():
        source = name.replace("model.decoder.bbox_embed", "bbox_embed").replace(
            "model.decoder.class_embed", "class_embed"
        )
        if source not in own:  # without refinement all layers share one head
            kind, _, rest = source.split(".", 2)
            source = f"{kind}.0.{rest}"
        weights[name] = own[source]
    twin.load_state_dict(weights)
    return twin


@pytest.mark.parametrize("detector", VARIANTS, ids=["plain", "refined", "two_stage", "five_levels", "one_layer"])
@pytest.mark.parametrize("size_hw", SIZES)
def test_boxes_and_scores_equal_the_librarys(detector: dict[str, Any], size_hw: tuple[int, int]) -> None:
    model = tiny_model(detector)
    twin = library_twin(model, detector)
    photos = torch.randn(2, 3, *size_hw, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = model.encode_image(photos), twin(pixel_values=photos)
    assert (ours.objectness - theirs.logits[..., 0]).abs().max() < 1e-5
    assert (ours.boxes_cxcywh_norm - theirs.pred_boxes).abs().max() < 1e-5


@pytest.mark.parametrize("detector", [REFINED, TWO_STAGE], ids=["refined", "two_stage"])
def test_every_decoder_layer_equals_the_librarys(detector: dict[str, Any]) -> None:
    model = tiny_model(detector)
    twin = library_twin(model, detector)
    photos = torch.randn(1, 3, 96, 80)
    with torch.no_grad():
        ours = model(photos, None, torch.zeros(0, 0, dtype=torch.long), torch.zeros(0, 0, dtype=torch.long))
        theirs = twin.model(photos)
        assert torch.allclose(
            twin.class_embed[1](theirs.intermediate_hidden_states[:, 1])[..., 0], ours.objectness_logits[1], atol=1e-5
        )
    assert torch.allclose(theirs.intermediate_reference_points[:, 1], ours.boxes_cxcywh_norm[1], atol=1e-5)


def pad_together(photos: list[Tensor]) -> tuple[Tensor, Tensor]:
    height, width = (max(p.shape[i] for p in photos) for i in (1, 2))
    pixels, mask = torch.zeros(len(photos), 3, height, width), torch.zeros(len(photos), height, width)
    for index, photo in enumerate(photos):
        pixels[index, :, : photo.shape[1], : photo.shape[2]] = photo
        mask[index, : photo.shape[1], : photo.shape[2]] = 1
    return pixels, mask


def difference(alone: ImageEncoding, batch: ImageEncoding, index: int) -> float:
    return max(float((a[0] - b[index]).abs().max()) for a, b in zip(alone, batch, strict=True))


@pytest.mark.parametrize("detector", VARIANTS[:4], ids=["plain", "refined", "two_stage", "five_levels"])
def test_a_photo_alone_and_in_a_padded_batch_is_the_same(detector: dict[str, Any]) -> None:
    model = tiny_model(detector)
    generator = torch.Generator().manual_seed(2)
    photos = [torch.randn(3, h, w, generator=generator) for h, w in [(75, 61), (97, 131), (64, 140), (101, 70)]]
    with torch.no_grad():
        together = model.encode_image(*pad_together(photos))
        worst = max(difference(model.encode_image(p[None]), together, i) for i, p in enumerate(photos))
    assert worst < 1e-4


def test_group_norms_in_the_backbone_do_not_see_the_padding() -> None:
    model = tiny_model(REFINED, backbone_norm="group")
    photos = [torch.randn(3, 75, 61), torch.randn(3, 97, 131)]
    with torch.no_grad():
        together = model.encode_image(*pad_together(photos))
        assert max(difference(model.encode_image(p[None]), together, i) for i, p in enumerate(photos)) < 1e-4


def test_padding_of_a_rounded_up_size_changes_nothing() -> None:
    model = tiny_model(TWO_STAGE)
    photo = torch.randn(1, 3, 75, 61)
    pixels, mask = torch.zeros(1, 3, 128, 192), torch.zeros(1, 128, 192)
    pixels[..., :75, :61], mask[:, :75, :61] = photo, 1
    with torch.no_grad():
        assert difference(model.encode_image(photo), model.encode_image(pixels, mask), 0) < 1e-4


@pytest.mark.parametrize("detector", [{}, TWO_STAGE], ids=["plain", "two_stage"])
def test_unmasked_padding_is_the_librarys_behaviour_when_asked_for(detector: dict[str, Any]) -> None:
    model = tiny_model(detector, mask_padding=False)
    twin = library_twin(model, detector)
    pixels, mask = pad_together([torch.randn(3, 75, 61), torch.randn(3, 97, 131)])
    with torch.no_grad():
        ours, theirs = model.encode_image(pixels, mask), twin(pixel_values=pixels, pixel_mask=mask.long())
        alone = model.encode_image(pixels[:1, :, :75, :61])
    assert (ours.boxes_cxcywh_norm - theirs.pred_boxes).abs().max() < 1e-5
    assert difference(alone, ours, 0) > 1e-3  # the leak that mask_padding closes


def test_objects_do_not_depend_on_the_image_query() -> None:
    model = tiny_model(REFINED)
    photo = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        before = model.encode_image(photo)
        model.model.image_query.weight.add_(1.0)
        after = model.encode_image(photo)
    assert torch.equal(before.objects, after.objects)
    assert torch.equal(before.boxes_cxcywh_norm, after.boxes_cxcywh_norm)
    assert not torch.allclose(before.image, after.image, atol=1e-3)


def test_the_image_query_sees_the_objects() -> None:
    model = tiny_model(REFINED)
    photo = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        before = model.encode_image(photo)
        model.model.query_position_embeddings.weight.add_(1.0)
        after = model.encode_image(photo)
    assert not torch.allclose(before.image, after.image, atol=1e-4)


@pytest.mark.parametrize(("count", "trained"), [(0, 5), (2, 3), (5, 0)])
def test_freezing_counts_the_stem_as_the_first_stage(count: int, trained: int) -> None:
    backbone = tiny_model(frozen_backbone_stages=count).model.backbone.model
    parts = [backbone.embedder, *backbone.encoder.stages]
    assert [all(p.requires_grad for p in part.parameters()) for part in parts] == [index >= count for index in range(5)]
    assert sum(any(p.requires_grad for p in part.parameters()) for part in parts) == trained


def test_a_photo_smaller_than_the_proposals_wanted_gives_fewer_objects() -> None:
    encoding = tiny_model(TWO_STAGE).encode_image(torch.randn(1, 3, 16, 16))
    assert encoding.objects.shape[1] == 4 + 1 + 1 + 1


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_weights_keep_coordinates_in_float32(precision: torch.dtype) -> None:
    model = tiny_model(TWO_STAGE)
    photo = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        exact = model.encode_image(photo).boxes_cxcywh_norm
        half = model.to(precision).encode_image(photo.to(precision))
    assert half.boxes_cxcywh_norm.dtype == half.objects.dtype == torch.float32
    on_grid = half.boxes_cxcywh_norm == half.boxes_cxcywh_norm.to(precision).float()
    assert on_grid.float().mean() < 0.5  # coordinates in half precision would all be on its coarse grid
    assert torch.isfinite(half.boxes_cxcywh_norm).all()
    assert (exact - half.boxes_cxcywh_norm).abs().median() < 0.05


def test_autocast_runs_with_either_attention() -> None:
    for attention in ("eager", "sdpa"):
        model = tiny_model(REFINED)
        model.config.detector_config._attn_implementation = attention
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            encoding = model.encode_image(torch.randn(1, 3, 64, 64))
        assert torch.isfinite(encoding.objects).all()


def test_activation_checkpointing_gives_the_same_gradients() -> None:
    photo, ids = torch.randn(1, 3, 64, 64), torch.tensor([[2, 300, 3]])
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(TWO_STAGE).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        output = model(photo, None, ids, torch.ones_like(ids))
        (output.boxes_cxcywh_norm.sum() + output.objects[-1, ..., 0].sum() + output.image[..., 1].sum()).backward()
        gradients.append(model.model.encoder.layers[0].mlp.fc1.weight.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


@pytest.mark.parametrize("detector", [REFINED, TWO_STAGE], ids=["refined", "two_stage"])
def test_a_photo_is_encoded_in_one_compiled_graph(detector: dict[str, Any]) -> None:
    model = tiny_model(detector)
    pixels, mask = pad_together([torch.randn(3, 64, 96), torch.randn(3, 50, 96)])
    compiled = torch.compile(model.encode_image, backend="eager", fullgraph=True)
    with torch.no_grad():
        for a, b in zip(model.encode_image(pixels, mask), compiled(pixels, mask), strict=True):
            assert torch.allclose(a, b, atol=1e-6)
