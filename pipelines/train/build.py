"""The model that a run file describes, with its tokenizer and what turns photos into its input."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from pipelines.train.runfile import FromCheckpoint, FromPublished, FromScratch, ModelPart, RunFile
from pipelines.train.say import say
from pipelines.train.typed import nearest
from xdetr_data.errors import ConfigError
from xdetr_model.checkpoints.directory import load_checkpoint
from xdetr_model.checkpoints.published import WeightReport, load_backbone, load_detector, load_text_encoder
from xdetr_model.errors import CheckpointError, XdetrModelError, one_line
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.loading import load_config
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import PRESET_NAMES, Preset, preset
from xdetr_model.network.text_tower import check_tokenizer
from xdetr_model.weight_files import checkpoint_directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A model with its tokenizer and the image processor that its checkpoints carry (the largest training size)."""

    model: XDetrModel
    tokenizer: PreTrainedTokenizerBase
    image_processor: DeformableDetrImageProcessorPil


def build(run: RunFile, *, start: bool = True) -> Built:
    """The model, at its starting weights; ``start=False`` leaves them random, as a resumed run puts its own there.

    Raises ConfigError and the model's own errors.
    """
    size = {"shortest_edge": max(run.data.shortest_px), "longest_edge": run.data.longest_px}
    processor = DeformableDetrImageProcessorPil(size=size)
    model, tokenizer = _parts(run.model, start)
    return Built(model=model, tokenizer=tokenizer, image_processor=processor)


def shape(part: ModelPart) -> XDetrModel:
    """The model with random weights, for a plan: published weights and tokenizers are not fetched."""
    if isinstance(part.start, FromCheckpoint):
        return _parts(part, start=False)[0]
    return _new_model(changed_config(_preset(part).config, part.config))


def _preset(part: ModelPart) -> Preset:
    if part.preset not in PRESET_NAMES:
        raise ConfigError(f"model.preset {part.preset!r} is unknown; use one of {', '.join(PRESET_NAMES)}")
    return preset(part.preset)


def _parts(part: ModelPart, start: bool) -> tuple[XDetrModel, PreTrainedTokenizerBase]:
    if isinstance(part.start, FromCheckpoint):
        if part.preset is not None:
            raise ConfigError(f"model.preset is {part.preset!r}: a checkpoint brings its own shape, say null")
        return _from_checkpoint(part.start, part.config, start)
    chosen = _preset(part)
    model = _new_model(changed_config(chosen.config, part.config))
    if isinstance(part.start, FromPublished):
        tokenizer = _load_tokenizer(part.start.text_encoder)
        if start:
            _load_published(model, part.start)
        return model, tokenizer
    assert isinstance(part.start, FromScratch)
    if chosen.tokenizer is None:
        raise ConfigError(
            f"model.start is 'scratch', but preset {part.preset} has no tokenizer of its own: "
            "say {from: published, text_encoder: FacebookAI/roberta-base, …}"
        )
    return model, chosen.tokenizer


def _from_checkpoint(
    start: FromCheckpoint, values: Mapping[str, Any], load: bool
) -> tuple[XDetrModel, PreTrainedTokenizerBase]:
    directory = checkpoint_directory(start.path)
    config = changed_config(load_config(directory), values)
    tokenizer = load_checkpoint(directory).tokenizer
    return (XDetrModel.from_pretrained(directory, config=config) if load else _new_model(config)), tokenizer


def _new_model(config: XDetrConfig) -> XDetrModel:
    try:
        return XDetrModel(config)
    except XdetrModelError:
        raise
    except Exception as error:  # as many ways as a network has of not fitting together
        raise ConfigError(f"model.config: gives no network ({one_line(error)})") from error


def changed_config(config: XDetrConfig, values: Mapping[str, Any]) -> XDetrConfig:
    """The configuration with other values; those of its parts are merged key by key. Raises ConfigError."""
    own = {field.name for field in fields(XDetrConfig)}
    for key in values:
        if key not in own:
            raise ConfigError(f"model.config.{key} is unknown{nearest(key, own)}")
    try:
        changed: XDetrConfig = XDetrConfig.from_dict(_merged(config.to_dict(), values))
    except XdetrModelError:
        raise
    except Exception as error:  # the library raises its own, by field
        raise ConfigError(f"model.config: {one_line(error)}") from error
    return changed


def _merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in values.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    directory = checkpoint_directory(name)
    try:
        return check_tokenizer(AutoTokenizer.from_pretrained(directory, local_files_only=True))
    except CheckpointError:
        raise
    except Exception as error:  # whatever the file's parser raises
        raise CheckpointError(f"{directory}: its tokenizer cannot be read ({one_line(error)})") from error


def _load_published(model: XDetrModel, start: FromPublished) -> None:
    if start.backbone is not None:
        _tell(start.backbone, load_backbone(model, start.backbone))
    if start.detector is not None:
        _tell(start.detector, load_detector(model, start.detector))
    _tell(start.text_encoder, load_text_encoder(model, start.text_encoder))


def _tell(name: str, report: WeightReport) -> None:
    if not report.loaded:
        raise CheckpointError(f"{name}: no weight fits the model; set model.preset and model.config to its shape")
    left = f", {len(report.unused)} found no place (first: {report.unused[0]})" if report.unused else ""
    say(f"{name}: {len(report.loaded)} weights taken{left}")
