"""Checkpoints come back bit for bit, and whatever is wrong with one is said in a line."""

import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard as HubCard
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, BertConfig, BertModel
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from tests.model.tiny import TWO_STAGE, tiny_config, tiny_model
from xdetr_model import XDetrConfig, XDetrModel
from xdetr_model.checkpoints.directory import ModelCard, load_checkpoint, save_checkpoint
from xdetr_model.errors import CheckpointError, ModelConfigError
from xdetr_model.grounders.fingerprint import fingerprint
from xdetr_model.network.presets import PRESET_NAMES, preset
from xdetr_model.network.tokenizer import word_tokenizer

CARD = ModelCard(title="Tiny", description="For tests.", command="make tiny", data="None.", figures={"recall@1": 0.5})


@pytest.fixture(scope="module")
def model() -> XDetrModel:
    return tiny_model(TWO_STAGE)


@pytest.fixture
def directory(model: XDetrModel, tmp_path: Path) -> Path:
    processor = DeformableDetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    return save_checkpoint(tmp_path / "tiny", model, word_tokenizer(), processor, CARD)


def test_a_saved_model_gives_the_same_outputs_bit_for_bit(model: XDetrModel, directory: Path) -> None:
    loaded = load_checkpoint(directory)
    photo = torch.randn(1, 3, 64, 80)
    text = loaded.tokenizer(["a red circle"], return_tensors="pt")
    with torch.no_grad():
        for a, b in zip(model.encode_image(photo), loaded.model.encode_image(photo), strict=True):
            assert torch.equal(a, b)
        ids, mask = text["input_ids"], text["attention_mask"]
        for a, b in zip(model.encode_text(ids, mask), loaded.model.encode_text(ids, mask), strict=True):
            assert torch.equal(a, b)
    assert not loaded.model.training
    assert loaded.image_processor.size["shortest_edge"] == 64
    assert loaded.tokenizer("a zebrafish")["input_ids"] == word_tokenizer()("a zebrafish")["input_ids"]


def test_the_fingerprint_survives_saving_and_changes_with_weights_and_options(
    model: XDetrModel, directory: Path
) -> None:
    tokenizer = word_tokenizer()
    loaded = load_checkpoint(directory)
    assert fingerprint(model, tokenizer, "x") == fingerprint(loaded.model, loaded.tokenizer, "x")
    assert fingerprint(model, tokenizer, "x") != fingerprint(model, tokenizer, "y")
    with torch.no_grad():
        loaded.model.image_projection.bias[0] += 1e-6
    assert fingerprint(model, tokenizer, "x") != fingerprint(loaded.model, tokenizer, "x")


def test_all_names_can_be_imported_from_the_package() -> None:
    import xdetr_model

    assert all(getattr(xdetr_model, name) is not None for name in xdetr_model.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = xdetr_model.nonsense


def test_only_safetensors_json_and_text_are_written(directory: Path) -> None:
    assert {p.name for p in directory.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert {p.suffix for p in directory.iterdir()} <= {".json", ".safetensors", ".md"}


def test_the_model_card_can_be_read_by_the_hub(directory: Path) -> None:
    card = HubCard.load(directory / "README.md")
    assert card.data.license == "apache-2.0"
    assert "make tiny" in card.text
    assert "| recall@1 | 0.5 |" in card.text


def refusal(directory: Path | str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    return message


def test_a_wrong_directory(tmp_path: Path) -> None:
    assert "no such directory" in refusal(tmp_path / "nowhere")
    assert "no such directory" in refusal("./nowhere")
    assert "no such directory" in refusal("nowhere")
    assert "holds no config.json" in refusal(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    assert "is a file" in refusal(file)


@pytest.mark.parametrize("keep", [0, 5, 1000, -10])
def test_damaged_weights(directory: Path, keep: int) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    assert "model.safetensors: is damaged" in refusal(directory)


def test_weights_of_another_shape_missing_or_left_over(directory: Path) -> None:
    file = directory / "model.safetensors"
    weights = load_file(file)
    name = "object_projection.weight"
    save_file({k: v for k, v in weights.items() if k != name}, file, metadata={"format": "pt"})
    assert f"1 weights are missing (first: {name})" in refusal(directory)
    save_file(weights | {name: torch.zeros(3, 3)}, file, metadata={"format": "pt"})
    assert "do not" in refusal(directory)
    save_file(weights | {"extra": torch.zeros(3)}, file, metadata={"format": "pt"})
    assert "1 weights are unexpected (first: extra)" in refusal(directory)


def test_a_pickle_is_never_opened(directory: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("a pickle was executed",))

    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    assert "pytorch_model.bin is a pickle" in refusal(directory)


def test_other_models_and_broken_configurations(directory: Path, tmp_path: Path) -> None:
    config = directory / "config.json"
    values = json.loads(config.read_text())
    config.write_text("{")
    assert "cannot be read" in refusal(directory)
    config.write_text(json.dumps(values | {"class_loss": "hinge"}))
    assert "class_loss='hinge' is unknown: use one of bce, focal" in refusal(directory)
    config.write_text(json.dumps(values | {"alignment_dim": "wide"}))
    assert "cannot be read" in refusal(directory)
    other = tmp_path / "bert"
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(other)
    assert "holds a 'bert' model, not 'xdetr'" in refusal(other)


def test_a_missing_or_slow_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").rename(directory / "vocab.json")
    assert "holds no tokenizer.json" in refusal(directory)
    (directory / "tokenizer.json").write_text("{}")
    assert "the tokenizer cannot be read" in refusal(directory)


def test_a_missing_preprocessor(directory: Path) -> None:
    (directory / "preprocessor_config.json").unlink()
    assert "holds no preprocessor_config.json" in refusal(directory)


def test_a_hub_name_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("Temporary failure in name resolution")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    message = refusal("someone/xdetr-r101")
    assert "the hub cannot be reached" in message
    assert "hf download someone/xdetr-r101 --local-dir DIR" in message
    with pytest.raises(CheckpointError, match="cannot be reached"):
        XDetrModel.from_pretrained("someone/xdetr-r101")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"same_text": "maybe"}, "same_text='maybe' is unknown"),
        ({"temperature": 0.0}, "temperature=0.0 must be positive"),
        ({"l1_weight": -1.0}, "l1_weight=-1.0 must not be negative"),
        ({"detector": {"backbone_config": None}}, "backbone_config is a 'timm_backbone'"),
        ({"detector": {"position_embedding_type": "learned"}}, "position_embedding_type must be 'sine'"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ModelConfigError, match=message):
        tiny_config(**values)  # type: ignore[arg-type]


def test_presets() -> None:
    assert PRESET_NAMES == ("xdetr-r101", "xdetr-r50", "xdetr-toy")
    toy = preset("xdetr-toy")
    assert 1.5e6 < XDetrModel(toy.config).num_parameters() < 2.5e6
    large = preset("xdetr-r101")
    assert large.config.detector_config.backbone_config.depths == [3, 4, 23, 3]
    assert large.config.detector_config.num_queries == 300
    assert (large.shortest_px, large.longest_px) == (800, 1333)
    assert dict(large.image_processor().size) == {"shortest_edge": 800, "longest_edge": 1333}
    with pytest.raises(ModelConfigError, match="preset 'xdetr-r18' is unknown: use one of xdetr-r101, xdetr-r50"):
        preset("xdetr-r18")


def test_the_default_configuration_is_the_papers() -> None:
    config = XDetrConfig()
    weights, costs = config.detection_weights(), config.matching_costs()
    assert (weights.objectness, weights.giou, weights.l1) == (costs.objectness, costs.giou, costs.l1) == (1, 2, 5)
    align = config.alignment_weights()
    assert (align.o2t, align.t2o, align.i2c, align.c2i) == (1, 1, 1, 1)
    assert config.objectness_loss().kind == "bce"
    assert config.alignment_rules().textless_regions == "ignore"
    assert config.alignment_rules().same_text == "negative"


def test_the_librarys_auto_classes_know_the_model(directory: Path) -> None:
    loaded = AutoModel.from_pretrained(directory)
    assert type(loaded) is XDetrModel
    assert type(AutoConfig.from_pretrained(directory)) is XDetrConfig


def test_all_files_have_the_folders_permissions_and_the_card_says_what_loads_them(directory: Path) -> None:
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in directory.iterdir()}
    assert set(modes.values()) == {modes["README.md"]}
    card = (directory / "README.md").read_text()
    assert "library_name: xdetr-data" in card
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(program.replace("DIR", str(directory)), {})
