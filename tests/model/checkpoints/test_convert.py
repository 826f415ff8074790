"""Pickled weights become safetensors without running anything that a pickle says."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from tests.model.tiny import TEXT, tiny_model
from xdetr_model.checkpoints.convert import convert, main
from xdetr_model.checkpoints.published import load_text_encoder
from xdetr_model.errors import CheckpointError


def pickled(directory: Path) -> BertModel:
    """A published text encoder as releases before safetensors left it."""
    source = BertModel(BertConfig(**{k: v for k, v in TEXT.items() if k != "model_type"}), add_pooling_layer=False)
    source.config.save_pretrained(directory)
    torch.save(source.state_dict(), directory / "pytorch_model.bin")
    return source


def test_a_pickle_is_refused_with_the_command_that_converts_it_and_loads_whole_after_it(tmp_path: Path) -> None:
    source = pickled(tmp_path)
    with pytest.raises(CheckpointError, match=f"python -m xdetr_model.checkpoints.convert {tmp_path}"):
        load_text_encoder(tiny_model(), tmp_path)
    assert main([str(tmp_path)]) == 0
    model = tiny_model()
    report = load_text_encoder(model, tmp_path)
    assert report.initialised == ()
    for name, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[f"text_encoder.{name}"], value)


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("harm"),))


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds more than tensors") as refused:
        convert(tmp_path)
    assert "\n" not in str(refused.value)
    assert [one.name for one in tmp_path.iterdir()] == ["pytorch_model.bin"]


def test_what_is_nothing_to_convert_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "holds no pytorch_model.bin to convert" in capsys.readouterr().err
    pickled(tmp_path)
    convert(tmp_path)
    assert main([str(tmp_path)]) == 1
    assert "has model.safetensors already" in capsys.readouterr().err
