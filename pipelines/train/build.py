"""The model that a run file describes, with its tokenizer and what turns photos into its input."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from pipelines.train.runfile import FromCheckpoint, FromPublished, FromScratch, ModelPart, RunFile
from pipelines.train.say import say
from pipelines.train.typed import nearest
from xdetr_data.errors import ConfigError
from xdetr_model.checkpoints.directory import load_checkpoint
from xdetr_model.checkpoints.published import Published, load_published, normalisation_of, text_values
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
    model, tokenizer = _parts(run.model, start)
    processor = DeformableDetrImageProcessorPil(size=size, **_normalisation(run.model.start))
    return Built(model=model, tokenizer=tokenizer, image_processor=processor)


def shape(part: ModelPart) -> XDetrModel:
    """The model with random weights, for a plan: nothing is fetched. A text encoder that is a name on the hub has the
    preset's shape here, as the plan says."""
    if isinstance(part.start, FromCheckpoint):
        return _parts(part, start=False)[0]
    config = _preset(part).config
    if isinstance(part.start, FromPublished) and is_here(part.start.text_encoder):
        config = with_text_encoder(config, part.start.text_encoder)
    return _new_model(changed_config(config, part.config))


def is_here(name: str) -> bool:
    """Whether a name of published weights is a directory, and nothing on the hub."""
    return Path(name).expanduser().is_dir()


def with_text_encoder(config: XDetrConfig, name: str) -> XDetrConfig:
    """The configuration with the depth, width and positions of a published text encoder. Raises CheckpointError."""
    values = config.to_dict() | {"text_config": text_values(name)}
    limit = values.pop("max_text_tokens")  # what a run file says of it is known only later
    changed: XDetrConfig = XDetrConfig.from_dict(values | {"max_text_tokens": 1})
    changed.max_text_tokens = limit
    return changed


def _normalisation(start: FromScratch | FromPublished | FromCheckpoint) -> dict[str, Any]:
    """What photos' colours are normalised with: as the weights that see them first were trained, where they say."""
    if isinstance(start, FromCheckpoint):
        found = normalisation_of(start.path)
    elif isinstance(start, FromPublished) and (name := start.backbone or start.detector) is not None:
        found = normalisation_of(name)
    else:
        found = None
    return {} if found is None else {"image_mean": list(found[0]), "image_std": list(found[1])}


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
    if isinstance(part.start, FromPublished):
        tokenizer = _load_tokenizer(part.start.text_encoder)
        model = _new_model(changed_config(with_text_encoder(chosen.config, part.start.text_encoder), part.config))
        if start:
            for report in load_published(model, Published(**msgspec.structs.asdict(part.start))):
                say(report.line())
        return model, tokenizer
    assert isinstance(part.start, FromScratch)
    model = _new_model(changed_config(chosen.config, part.config))
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
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        return check_tokenizer(tokenizer)
    except CheckpointError:
        raise
    except Exception as error:  # whatever the file's parser raises
        raise CheckpointError(f"{directory}: its tokenizer cannot be read ({one_line(error)})") from error
