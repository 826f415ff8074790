"""Checkpoints: a directory with config.json, model.safetensors, tokenizer, preprocessor_config.json and a README.md.

Only safetensors and JSON are read; nothing in a checkpoint is ever executed. A name that is no directory is taken as
a name on the Hugging Face hub and fetched once; everything is then loaded from the files.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from xdetr_model.alignment import align
from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.text_tower import check_tokenizer

SAFE_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class Loader(Protocol):
    """``PreTrainedModel.from_pretrained`` of the class to load."""

    def __call__(self, name: Path, **kwargs: Any) -> Any:
        """Load from a directory."""


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


def checkpoint_directory(name: str | os.PathLike[str]) -> Path:
    """The directory of a checkpoint, downloading it if ``name`` is one on the hub. Raises CheckpointError."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise CheckpointError(f"{name}: is a file; give the directory that holds config.json and model.safetensors")
    if _looks_like_path(str(name)):
        raise CheckpointError(f"{name}: no such directory; give a checkpoint directory or a hub name OWNER/MODEL")
    return _download(str(name))


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") != 1 or "\\" in name or name.endswith("/")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(SAFE_FILES)))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(f"{name}: no such directory and no such model on the hub; check the name") from error
    except Exception as error:  # the hub client raises the errors of whatever HTTP library it uses
        raise CheckpointError(
            f"{name}: no such directory, and the hub cannot be reached ({type(error).__name__}); where there is a "
            f"network run `hf download {name} --local-dir DIR`, then give DIR"
        ) from error


def check_safe_weights(directory: Path) -> None:
    """Raises CheckpointError unless the directory holds undamaged safetensors weights and a config.json."""
    if not (directory / "config.json").is_file():
        raise CheckpointError(f"{directory}: holds no config.json, so it is no checkpoint; give the one that does")
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        pickles = sorted(p.name for p in directory.iterdir() if p.suffix in PICKLES)
        if pickles:
            raise CheckpointError(
                f"{directory}: {pickles[0]} is a pickle, which can run code and is not loaded; save the model again "
                "with save_pretrained to get model.safetensors"
            )
        raise CheckpointError(f"{directory}: holds no model.safetensors; copy or download the checkpoint again")
    for file in weights:
        check_safetensors(file)


def check_safetensors(file: Path) -> None:
    """Raises CheckpointError for a file that is not whole."""
    try:
        with safe_open(file, framework="pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file}: is damaged ({one_line(error)}); copy or download the checkpoint again"
        ) from error


def load_model(name: str | os.PathLike[str], loader: Loader, **kwargs: Any) -> XDetrModel:
    """An X-DETR model in evaluation mode, its weights aligned in memory (:mod:`xdetr_model.alignment`).

    Raises CheckpointError: no such directory or hub name, not an X-DETR checkpoint, damaged, a pickle, or weights
    that are missing, of another shape, or left over.
    """
    directory = checkpoint_directory(name)
    check_safe_weights(directory)
    config = kwargs.pop("config", None) or load_config(directory)
    wants_report = kwargs.pop("output_loading_info", False)
    try:
        model, report = loader(
            directory, config=config, use_safetensors=True, local_files_only=True, output_loading_info=True, **kwargs
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: the weights do not fit config.json ({one_line(error)})") from error
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(str(k) for k in report[problem])
        if names:
            word = problem.removesuffix("_keys")
            raise CheckpointError(
                f"{directory}: {len(names)} weights are {word} (first: {names[0]}); config.json and model.safetensors "
                "do not belong together"
            )
    align(model)
    return (model, report) if wants_report else model  # type: ignore[return-value]


def load_config(directory: Path) -> XDetrConfig:
    """The configuration of a checkpoint directory. Raises CheckpointError."""
    try:
        values, _ = XDetrConfig.get_config_dict(directory)
        if values.get("model_type") != XDetrConfig.model_type:
            raise CheckpointError(
                f"{directory}: holds a {values.get('model_type')!r} model, not 'xdetr'; zero-shot detectors are "
                "loaded by HfZeroShotGrounder"
            )
        config: XDetrConfig = XDetrConfig.from_dict(values)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged config.json fails in as many ways as it has fields
        raise CheckpointError(f"{directory}/config.json: cannot be read ({one_line(error)})") from error
    return config


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
        return load(directory, local_files_only=True)
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
    (path / "README.md").write_text(card_text(card, model), encoding="utf-8")
    return path


def card_text(card: ModelCard, model: XDetrModel) -> str:
    """README.md of a checkpoint: front matter for the hub, then what it is, how it was made, how well it does."""
    config = model.config
    detector = config.detector_config
    lines = [
        "---",
        f"license: {card.licence}",
        "library_name: transformers",
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
    lines += ["", "```python", "from xdetr_model import XDetrGrounder", 'XDetrGrounder.from_pretrained("DIR")', "```"]
    return "\n".join(lines) + "\n"
