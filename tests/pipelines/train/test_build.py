"""The model that a run file starts from: published directories leave nothing random, and what does is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ResNetConfig, ResNetModel, RobertaConfig, RobertaModel

from pipelines.train.build import build
from pipelines.train.runfile import RunFile, parse_run_file
from tests.data.loading.painted import painted_set
from tests.model.tiny import detector_values
from tests.pipelines.train.tiny_run import train_here, write_run_file
from xdetr_data.errors import ConfigError
from xdetr_model.errors import CheckpointError, ModelConfigError
from xdetr_model.network.tokenizer import word_tokenizer

PRETRAIN = (Path(__file__).parents[3] / "manifests" / "runs" / "pretrain.yaml").read_text()
NARROW = {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 64], "layer_type": "bottleneck"}
R101 = [3, 4, 23, 3]


def roberta(directory: Path, layers: int = 12, positions: int = 514) -> RobertaModel:
    """As RoBERTa, but narrow, with its tokenizer beside it."""
    tokenizer = word_tokenizer()
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=positions, type_vocab_size=1,
    )  # fmt: skip
    source = RobertaModel(config)
    source.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return source


def resnet(directory: Path) -> ResNetModel:
    """As ResNet-101, but narrow, with running means and variances of its own."""
    source = ResNetModel(ResNetConfig(**NARROW, depths=R101))
    with torch.no_grad():
        for name, value in source.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + (0.5 if "var" in name else -0.5))
    source.save_pretrained(directory)
    processor = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    return source


def run_from(folder: Path, **model: Any) -> RunFile:
    """pretrain.yaml with a narrow network, from directories; nothing of the text encoder's shape is said."""
    detector = {
        k: v for k, v in detector_values(with_box_refine=True).items() if k not in ("backbone_config", "num_labels")
    }
    config = {"detector_config": {**detector, "backbone_config": NARROW}, **model}
    start = {
        "from": "published",
        "backbone": str(folder / "resnet"),
        "detector": None,
        "text_encoder": str(folder / "text"),
    }
    return parse_run_file(
        PRETRAIN, "a.yaml", [f"model.start={json.dumps(start)}", f"model.config={json.dumps(config)}"]
    )


def test_roberta_and_resnet_101_leave_nothing_random(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backbone, text = resnet(tmp_path / "resnet"), roberta(tmp_path / "text")
    built = build(run_from(tmp_path))
    own = built.model.state_dict()
    published = {f"model.backbone.model.{k}": v for k, v in backbone.state_dict().items()}
    published |= {f"text_encoder.{k}": v for k, v in text.state_dict().items()}
    names = [name for name in own if name.startswith(("model.backbone.", "text_encoder."))]
    assert len(names) > 600
    for name in names:
        assert torch.equal(own[name], published[name]), name
    assert built.model.config.text_config.num_hidden_layers == 12
    said = capsys.readouterr().err
    assert "left random" not in said
    assert "of the backbone's" in said
    assert "of the text encoder's" in said
    assert built.image_processor.image_mean == (0.5, 0.4, 0.3)
    assert built.image_processor.image_std == (0.2, 0.2, 0.1)


def test_a_text_encoder_brings_its_own_depth_and_width(tmp_path: Path) -> None:
    resnet(tmp_path / "resnet"), roberta(tmp_path / "text", layers=2)
    assert build(run_from(tmp_path)).model.config.text_config.num_hidden_layers == 2
    with pytest.raises(CheckpointError, match=r"only \d+ of the text encoder's \d+ weights"):
        build(run_from(tmp_path, text_config={"num_hidden_layers": 6}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"depths": [3, 4, 24, 3]}, r"has depths \[3, 4, 24, 3\], the model \[3, 4, 23, 3\]; set model.preset, or"),
        ({"hidden_act": "gelu"}, 'has hidden_act "gelu", the model "relu"'),
        ({"downsample_in_bottleneck": True}, "has downsample_in_bottleneck true, the model false"),
    ],
)
def test_a_backbone_whose_weights_the_model_would_use_for_another_function_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    ResNetModel(ResNetConfig(**NARROW | {"depths": R101} | changed)).save_pretrained(tmp_path / "resnet")
    roberta(tmp_path / "text", layers=1)
    with pytest.raises(CheckpointError, match=message):
        build(run_from(tmp_path))


def test_a_text_encoder_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    resnet(tmp_path / "resnet"), roberta(tmp_path / "text", layers=1)
    for file in (tmp_path / "text").glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CheckpointError, match=r"holds no tokenizer \(tokenizer\.json, .*copy it beside"):
        build(run_from(tmp_path))
    word_tokenizer(f"word{number}" for number in range(9)).save_pretrained(tmp_path / "text")
    with pytest.raises(CheckpointError, match=r"the tokenizer has [\d,]+ tokens, the text encoder vectors for [\d,]+ "):
        build(run_from(tmp_path))


def plan_from(folder: Path, backbone: str, text: str) -> int:
    """Exit code of the plan of a narrow ResNet-101 and RoBERTa, of photos of 64 pixels."""
    run = run_from(folder)
    start = {"from": "published", "backbone": backbone, "detector": None, "text_encoder": text}
    detector = run.model.config["detector_config"] | {"d_model": 32}
    file = write_run_file(
        folder, batch__weak=0, data__unit="photo", model__preset="xdetr-r101", model__start=start,
        model__config={"detector_config": detector},
    )  # fmt: skip
    full = folder / "full"
    return train_here("--run", file, "--full", full if full.is_dir() else painted_set(full, [6], "full"), "--dry-run")


def test_a_plan_looks_at_the_starting_weights_that_are_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resnet(tmp_path / "resnet"), roberta(tmp_path / "text", layers=1)
    here = str(tmp_path / "resnet"), str(tmp_path / "text")
    assert plan_from(tmp_path, *here) == 0
    said = capsys.readouterr().err
    assert f"{here[0]}: 515 of the backbone's 515 weights taken" in said
    assert f"{here[1]}: 21 of the text encoder's 21 weights taken" in said
    assert plan_from(tmp_path, "microsoft/resnet-101", here[1]) == 0
    said = capsys.readouterr().err
    assert "microsoft/resnet-101 is not here: not looked at" in said
    assert "21 of the text encoder's 21 weights taken" in said
    ResNetModel(ResNetConfig(**NARROW, depths=[3, 4, 6, 3])).save_pretrained(tmp_path / "r50")
    assert plan_from(tmp_path, str(tmp_path / "r50"), here[1]) == 1
    assert "only 260 of the backbone's 515 weights are in it" in capsys.readouterr().err
    assert plan_from(tmp_path, str(tmp_path / "nothing"), here[1]) == 1
    assert f"{tmp_path / 'nothing'}: no such directory" in capsys.readouterr().err
    (tmp_path / "resnet" / "preprocessor_config.json").write_text("{")
    assert plan_from(tmp_path, *here) == 1
    assert "preprocessor_config.json: cannot be read" in capsys.readouterr().err


def test_a_text_encoder_with_fewer_positions_than_tokens_is_refused_at_the_start(tmp_path: Path) -> None:
    resnet(tmp_path / "resnet"), roberta(tmp_path / "text", layers=1, positions=60)
    with pytest.raises(ModelConfigError, match="max_text_tokens=256 is more than the 58 tokens"):
        build(run_from(tmp_path))
    assert build(run_from(tmp_path, max_text_tokens=58)).model.config.max_text_tokens == 58


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batch.full=0", "batch.full is 0, but optimiser.scale_rates multiplies all rates"),
        (
            "optimiser.rates={backbone: 0, text_encoder: 0, deformable_projections: 0, rest: 0}",
            "optimiser.rates are all 0",
        ),
        (
            "schedule.rest={kind: step_drop, after_epoch: 0, gamma: 0, warmup_steps: 0}",
            "schedule.rest has after_epoch 0 and gamma 0, so its rates would be 0 in every step",
        ),
    ],
)
def test_rates_of_zero_are_refused_by_their_key(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_run_file(PRETRAIN, "a.yaml", [change])
