"""Nothing in a checkpoint is ever executed, whatever its configurations ask for."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from tests.model.tiny import TWO_STAGE, tiny_model
from xdetr_model.checkpoints.directory import ModelCard, load_checkpoint, save_checkpoint
from xdetr_model.checkpoints.published import load_text_encoder
from xdetr_model.errors import CheckpointError
from xdetr_model.grounders.hugging_face import HfZeroShotGrounder
from xdetr_model.network.tokenizer import word_tokenizer

ROOT = Path(__file__).parents[3]
LOADING = ("from_pretrained", "from_config")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole checkpoint, beside it code that leaves a mark, and a person who says yes to everything."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    card = ModelCard(title="Tiny", description="For tests.")
    processor = DeformableDetrImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    made = save_checkpoint(tmp_path / "tiny", tiny_model(TWO_STAGE), word_tokenizer(), processor, card)
    code = f"open({str(tmp_path / 'ran')!r}, 'w').close()\nfrom transformers import PreTrainedConfig\n"
    code += "\n".join(f"class {name}(PreTrainedConfig): model_type = 'evil'" for name in ("Evil", "EvilFast"))
    (made / "evil.py").write_text(code)
    return made


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def of_tokenizer(directory: Path) -> None:
    names = {"AutoTokenizer": ["evil.Evil", "evil.EvilFast"]}
    change(directory / "tokenizer_config.json", tokenizer_class="Evil", auto_map=names)


def of_detector(directory: Path) -> None:
    names = {"AutoConfig": "evil.Evil", "AutoModelForZeroShotObjectDetection": "evil.Evil", "AutoModel": "evil.Evil"}
    change(directory / "config.json", model_type="evil", auto_map=names)


def of_processor(directory: Path) -> None:
    names = {"AutoImageProcessor": "evil.Evil"}
    change(directory / "preprocessor_config.json", image_processor_type="Evil", auto_map=names)


LOADERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "tokenizer": (of_tokenizer, load_checkpoint),
    "tokenizer-of-a-detector": (of_tokenizer, HfZeroShotGrounder.from_pretrained),
    "detector": (of_detector, HfZeroShotGrounder.from_pretrained),
    "text-encoder": (of_detector, lambda directory: load_text_encoder(tiny_model(), directory)),
    "processor": (of_processor, HfZeroShotGrounder.from_pretrained),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_code_that_a_checkpoint_brings_is_not_run_though_somebody_would_agree(directory: Path, kind: str) -> None:
    spoil, load = LOADERS[kind]
    spoil(directory)
    with pytest.raises(CheckpointError) as caught:
        load(directory)
    assert "trust_remote_code" not in str(caught.value)
    assert not list(directory.parent.glob("ran"))


def test_code_beside_a_processor_of_ours_is_not_looked_at(directory: Path) -> None:
    of_processor(directory)
    load_checkpoint(directory)
    assert not list(directory.parent.glob("ran"))


def loading_calls() -> list[tuple[str, ast.Call]]:
    """Every call that loads by a class of the library's, which finds out by itself what to load."""
    found = []
    for path in [*(ROOT / "xdetr_model").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADING:
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                if isinstance(node.func.value, ast.Name) and node.func.value.id.startswith("Auto"):
                    found.append((place, node))
    return found


def test_no_loading_by_a_class_of_the_library_may_run_code() -> None:
    calls = loading_calls()
    assert len(calls) >= 6
    refused = {
        place
        for place, call in calls
        for one in call.keywords
        if one.arg == "trust_remote_code" and isinstance(one.value, ast.Constant) and one.value.value is False
    }
    assert {place for place, _ in calls} == refused


def test_no_class_of_the_library_is_handed_on_to_load_but_where_code_is_refused() -> None:
    handed_on = []
    for path in [*(ROOT / "xdetr_model").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in LOADING and id(node) not in called:
                handed_on.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert sorted(handed_on) == [
        "xdetr_model/checkpoints/directory.py: AutoTokenizer.from_pretrained",
        "xdetr_model/checkpoints/directory.py: DeformableDetrImageProcessorPil.from_pretrained",
        "xdetr_model/network/model.py: super().from_pretrained",
    ]
    for file, call in (("checkpoints/directory.py", "load"), ("network/loading.py", "loader")):
        tree = ast.parse((ROOT / "xdetr_model" / file).read_text())
        calls = [
            one
            for one in ast.walk(tree)
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == call
        ]
        assert calls
        assert all("trust_remote_code=False" in ast.unparse(one) for one in calls)
