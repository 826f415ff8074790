"""Weights lie where torch would put them, whichever door a model comes in by and wherever its file keeps them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel, DeformableDetrConfig, DeformableDetrForObjectDetection
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from tests.model.grounders.test_hugging_face import CIRCLE, FAMILIES, PHOTOS
from tests.model.tiny import BACKBONE, TEXT, TWO_STAGE, detector_values, tiny_model
from xdetr_model import HfZeroShotGrounder, XDetrGrounder, XDetrModel, from_deformable_detr
from xdetr_model.alignment import ALIGNMENT_BYTES, align, is_aligned
from xdetr_model.checkpoints.directory import ModelCard, load_checkpoint, save_checkpoint
from xdetr_model.network.tokenizer import word_tokenizer
from xdetr_model.photos import PhotoTransform

HEADERS = range(0, 64, 8)  # safetensors pads its header to 8 bytes: all the places that a file can put its data in
ROOT = Path(__file__).parents[2]


def weights_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())


def crooked(model: nn.Module) -> list[str]:
    """Names of parameters and buffers that do not begin at a multiple of 64 bytes."""
    return [name for name, tensor in weights_of(model) if tensor.numel() and tensor.data_ptr() % 64]


def shift(directory: Path, padding: int) -> None:
    """The same weights, ``padding`` bytes later in their file."""
    file = directory / "model.safetensors"
    save_file(load_file(file), file, metadata={"format": "pt", "padding": "x" * padding})


def moved(tensor: Tensor, offset: int) -> Tensor:
    """A copy that begins ``offset`` bytes after a multiple of 64, with the same strides."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.size(), tensor.stride(), strict=True))
    room = torch.empty(offset + extent * tensor.element_size(), dtype=torch.uint8)
    result = room[offset:].view(tensor.dtype).as_strided(tensor.size(), tensor.stride()).copy_(tensor)
    assert result.data_ptr() % 64 == offset
    return result


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A tiny X-DETR checkpoint."""
    processor = DeformableDetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    card = ModelCard(title="Tiny", description="For tests.")
    return save_checkpoint(tmp_path / "own", tiny_model(TWO_STAGE), word_tokenizer(), processor, card)


@pytest.fixture(params=FAMILIES)
def teacher(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny zero-shot detector of every family."""
    for part in FAMILIES[request.param]():
        part.save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


# --- the function -----------------------------------------------------------------------------------------------------


class Tied(nn.Module):
    """Weights in every way that memory can be shared, none of them where torch would put it."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Parameter(moved(torch.arange(6.0).reshape(2, 3), 8))
        self.same = self.plain
        self.transposed = nn.Parameter(self.plain.data.T, requires_grad=False)
        self.row = nn.Parameter(self.plain.data[1])
        self.apart = nn.Parameter(
            moved(torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last), 20)
        )
        self.gaps = nn.Parameter(moved(torch.arange(40.0).reshape(4, 10), 4)[:, ::3])
        self.register_buffer("count", moved(torch.tensor(7), 40))
        self.register_buffer("flags", moved(torch.tensor([True, False, True]), 1), persistent=False)
        self.register_buffer("nothing", torch.empty(0))
        self.register_buffer("far", torch.empty(3, device="meta"))


def test_values_strides_and_gradients_stay() -> None:
    model = Tied()
    before = {name: (t.clone(), t.stride(), t.requires_grad) for name, t in weights_of(model)}
    assert align(model) is model
    for name, tensor in weights_of(model):
        values, stride, requires_grad = before[name]
        assert tensor.device.type == "meta" or torch.equal(tensor, values), name
        assert (tensor.stride(), tensor.requires_grad) == (stride, requires_grad), name
    assert crooked(model) == ["row"]  # begins in the middle of another
    assert not is_aligned(model.row)


def test_tied_weights_stay_tied() -> None:
    model = align(Tied())
    assert model.same is model.plain
    with torch.no_grad():
        model.plain[1, 2] = 99
    assert model.transposed[2, 1] == model.row[2] == 99


def test_what_is_aligned_is_not_copied() -> None:
    model = tiny_model(TWO_STAGE)
    before = {name: tensor.data_ptr() for name, tensor in weights_of(model)}
    align(model)
    assert {name: tensor.data_ptr() for name, tensor in weights_of(model)} == before


def test_aligned_weights_train_and_are_saved(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    model.weight.data = moved(model.weight.data, 24)
    optimizer = torch.optim.SGD(align(model).parameters(), lr=0.1)
    before = model.weight.clone()
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert torch.allclose(model.weight, before - 0.1)
    save_file(model.state_dict(), tmp_path / "x.safetensors")
    assert torch.equal(load_file(tmp_path / "x.safetensors")["weight"], model.weight)


# --- the doors --------------------------------------------------------------------------------------------------------


def published(directory: Path) -> XDetrModel:
    """Weights of two published checkpoints, in files that keep them askew."""
    torch.manual_seed(0)
    config = DeformableDetrConfig(**detector_values(backbone_config=dict(BACKBONE), **TWO_STAGE))
    DeformableDetrForObjectDetection(config).save_pretrained(directory / "detector")
    BertModel(BertConfig(**{k: v for k, v in TEXT.items() if k != "model_type"})).save_pretrained(directory / "text")
    for part in ("detector", "text"):
        shift(directory / part, 8)
    fits = {"max_text_tokens": TEXT["max_position_embeddings"]}
    return from_deformable_detr(directory / "detector", text_encoder=directory / "text", **fits)[0]


def given(directory: Path) -> XDetrModel:
    """A model that somebody made crooked and gave to a grounder."""
    model = tiny_model(TWO_STAGE)
    for _, tensor in weights_of(model):
        tensor.data = moved(tensor.data, 24)
    transform = PhotoTransform.from_processor(load_checkpoint(directory).image_processor)
    return XDetrGrounder(model, word_tokenizer(), transform, device="cpu")._model


DOORS: dict[str, Callable[[Path], XDetrModel]] = {
    "from_pretrained": XDetrModel.from_pretrained,
    "with a report": lambda directory: XDetrModel.from_pretrained(directory, output_loading_info=True)[0],
    "load_checkpoint": lambda directory: load_checkpoint(directory).model,
    "grounder": lambda directory: XDetrGrounder.from_pretrained(directory, device="cpu")._model,
    "bfloat16": lambda directory: XDetrGrounder.from_pretrained(directory, device="cpu", precision="bfloat16")._model,
    "a given model": given,
    "published weights": published,
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_gives_aligned_weights(door: str, own: Path) -> None:
    for padding in HEADERS:
        shift(own, padding)
        assert crooked(DOORS[door](own)) == []


def test_every_teacher_has_aligned_weights(teacher: Path) -> None:
    for padding in HEADERS:
        shift(teacher, padding)
        assert crooked(HfZeroShotGrounder.from_pretrained(teacher, device="cpu")._adapter._d.model) == []


def test_files_do_keep_weights_askew(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdetr_model.network.loading.align", lambda model: model)
    places = set()
    for padding in HEADERS:
        shift(own, padding)
        places |= {tensor.data_ptr() % ALIGNMENT_BYTES for _, tensor in weights_of(load_checkpoint(own).model)}
    assert len(places) > 3, "no test here shows anything: this release of safetensors aligns by itself"


# --- what comes of it -------------------------------------------------------------------------------------------------


def own_outputs(directory: Path) -> list[Tensor]:
    loaded = load_checkpoint(directory)
    torch.manual_seed(1)
    with torch.no_grad():
        text = loaded.tokenizer(["a red circle"], return_tensors="pt")
        photo = loaded.model.encode_image(torch.randn(1, 3, 64, 80))
        return [*photo, *loaded.model.encode_text(text["input_ids"], text["attention_mask"])]


def teacher_outputs(directory: Path) -> list[Tensor]:
    grounder = HfZeroShotGrounder.from_pretrained(directory, device="cpu")
    found = grounder.ground(PHOTOS[:2], [[CIRCLE]] * 2, keep=100)
    return [torch.from_numpy(np.asarray(one)) for (c,) in found for one in (c.boxes_xyxy, c.scores)]


def check_shifts(directory: Path, outputs: Callable[[Path], list[Tensor]]) -> None:
    """Wherever the file keeps the weights, the outputs are the same bits."""
    expected = outputs(directory)
    for padding in HEADERS:
        shift(directory, padding)
        assert all(torch.equal(a, b) for a, b in zip(outputs(directory), expected, strict=True)), padding


def test_outputs_do_not_depend_on_where_a_file_keeps_the_weights(own: Path) -> None:
    check_shifts(own, own_outputs)


def test_a_teachers_scores_do_not_depend_on_where_a_file_keeps_the_weights(teacher: Path) -> None:
    check_shifts(teacher, teacher_outputs)


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_saved_models_give_the_same_bits_with_the_kernels_of_every_processor(capability: str) -> None:
    """The tests that failed on some processors, in processes that take their kernels. One thread, as labelling has."""
    environment: dict[str, Any] = {**os.environ, "ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": "1"}
    probe = [sys.executable, "-c", "import torch; print(torch.backends.cpu.get_cpu_capability())"]
    took = subprocess.run(probe, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    if took.lower() != capability:
        pytest.skip(f"this processor has no {capability}: torch took {took}")
    tests = ["checkpoints/test_directory.py", "grounders/test_hugging_face.py", "test_alignment.py"]
    chosen = "bit_for_bit or loads_from_its_directory or where_a_file_keeps"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen]
    ended = subprocess.run(
        [*command, *(f"tests/model/{name}" for name in tests)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
