"""Checkpoints: a directory with config.json, model.safetensors, tokenizer, preprocessor_config.json and a README.md."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.text_tower import check_tokenizer
from xdetr_model.weight_files import checkpoint_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model, in evaluation mode, and what turns texts and photos into its input."""

    model: XDetrModel
    tokenizer: PreTrainedTokenizerBase
    image_processor: DeformableDetrImageProcessorPil


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What README.md of a checkpoint says. ``figures`` are measured values by name, e.g. ``{"recall@1": 0.97}``."""

    title: str
    description: str
    licence: str = "apache-2.0"
    command: str | None = None
    data: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


def load_checkpoint(name: str | os.PathLike[str]) -> Checkpoint:
    """Everything in a checkpoint directory or on the hub. Raises CheckpointError."""
    directory = checkpoint_directory(name)
    model = XDetrModel.from_pretrained(directory)
    tokenizer = _load_part(directory, "tokenizer", "tokenizer.json", AutoTokenizer.from_pretrained)
    processor = _load_part(
        directory, "image processor", "preprocessor_config.json", DeformableDetrImageProcessorPil.from_pretrained
    )
    return Checkpoint(model=model, tokenizer=check_tokenizer(tokenizer), image_processor=processor)


def _load_part(directory: Path, what: str, file: str, load: Callable[..., Any]) -> Any:
    if not (directory / file).is_file():
        raise CheckpointError(f"{directory}: holds no {file}; save the {what} beside the model with save_checkpoint")
    try:
        return load(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the file's parser raises
        raise CheckpointError(f"{directory}/{file}: the {what} cannot be read ({one_line(error)})") from error


def save_checkpoint(
    directory: str | os.PathLike[str],
    model: XDetrModel,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: DeformableDetrImageProcessorPil,
    card: ModelCard,
) -> Path:
    """Write a checkpoint that :func:`load_checkpoint` reads back bit for bit."""
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path)
    check_tokenizer(tokenizer).save_pretrained(path)
    image_processor.save_pretrained(path)
    readme = path / "README.md"
    readme.write_text(card_text(card, model), encoding="utf-8")
    for file in path.iterdir():  # safetensors writes for its owner alone, whoever else may read the folder
        file.chmod(readme.stat().st_mode)
    return path


def card_text(card: ModelCard, model: XDetrModel) -> str:
    """README.md of a checkpoint: front matter for the hub, then what it is, how it was made, how well it does."""
    config = model.config
    detector = config.detector_config
    lines = [
        "---",
        f"license: {card.licence}",
        "library_name: xdetr-data",
        "pipeline_tag: zero-shot-object-detection",
        "---",
        "",
        f"# {card.title}",
        "",
        card.description,
        "",
        "| | |",
        "|---|---|",
        f"| parameters | {model.num_parameters():,} |",
        f"| object queries | {detector.two_stage_num_proposals if detector.two_stage else detector.num_queries} |",
        f"| text encoder | {config.text_config.model_type}, {config.text_config.num_hidden_layers} layers |",
        f"| alignment width, temperature | {config.alignment_dim}, {config.temperature} |",
    ]
    lines += ["", "## Made with", "", "```", card.command, "```"] if card.command else []
    lines += ["", "## Data", "", card.data] if card.data else []
    if card.figures:
        lines += ["", "## Measured", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in card.figures.items()]
    lines += [
        "",
        "## Use",
        "",
        "X-DETR data loads it (`pip install 'xdetr-data[label]'`); transformers alone does not:",
        "",
    ]
    lines += ["```", "xdetr-data ground PHOTO 'the red car' 'two dogs' --ckpt DIR --out boxes.png", "```"]
    lines += ["", "```python", "from xdetr_model import XDetrGrounder", 'XDetrGrounder.from_pretrained("DIR")', "```"]
    return "\n".join(lines) + "\n"
