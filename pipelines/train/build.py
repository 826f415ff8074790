"""The model that a run file describes, with its tokenizer and what turns photos into its input."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.deformable_detr.image_processing_pil_deformable_detr import DeformableDetrImageProcessorPil

from pipelines.train.runfile import FromCheckpoint, FromPublished, FromScratch, ModelPart, RunFile
from pipelines.train.say import say
from pipelines.train.typed import nearest
from xdetr_data.errors import ConfigError
from xdetr_model.checkpoints.directory import load_checkpoint
from xdetr_model.checkpoints.published import Published, load_published
from xdetr_model.checkpoints.published_configs import normalisation_of, text_values
from xdetr_model.errors import CheckpointError, XdetrModelError, one_line
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.loading import load_config
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import PRESET_NAMES, Preset, preset
from xdetr_model.network.text_tower import check_tokenizer
from xdetr_model.weight_files import checkpoint_directory, local_directory

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")


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
    """The model for a plan: nothing is fetched, and what a run starts from is looked at as far as it is here, with the
    errors of :func:`build`. A text encoder that is a name on the hub has the preset's shape, as the plan says."""
    start = part.start
    if not isinstance(start, FromPublished):
        _normalisation(start)
        return _parts(part, start=False)[0]
    is_here = {name: value is not None and local_directory(value) is not None for name, value in _names(start).items()}
    config = _preset(part).config
    if is_here["text_encoder"]:
        config = with_text_encoder(config, start.text_encoder)
    model = _new_model(changed_config(config, part.config))
    if is_here["text_encoder"]:
        _check_vocabulary(_load_tokenizer(start.text_encoder), model)
    if start.backbone is not None and not is_here["backbone"]:
        is_here["detector"] = False  # of which the backbone would be taken
    here = {name: value for name, value in _names(start).items() if is_here[name]}
    _load_published(model, Published(**here))
    if "backbone" in here or "detector" in here:
        _normalisation(start)
    return model


def elsewhere(start: FromPublished) -> list[str]:
    """The names on the hub among those of published weights; nothing is fetched."""
    return [value for value in _names(start).values() if value is not None and local_directory(value) is None]


def _names(start: FromPublished) -> dict[str, str | None]:
    return msgspec.structs.asdict(start)


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
        _check_vocabulary(tokenizer, model)
        if start:
            _load_published(model, Published(**_names(part.start)))
        return model, tokenizer
    assert isinstance(part.start, FromScratch)
    model = _new_model(changed_config(chosen.config, part.config))
    if chosen.tokenizer is None:
        raise ConfigError(
            f"model.start is 'scratch', but preset {part.preset} has no tokenizer of its own: "
            "say {from: published, text_encoder: FacebookAI/roberta-base, …}"
        )
    return model, chosen.tokenizer


def _load_published(model: XDetrModel, published: Published) -> None:
    for report in load_published(model, published):
        say(report.line())


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
    # without a file of one the library makes an empty one, to which every word is unknown
    if not any(found for pattern in VOCABULARIES for found in directory.glob(pattern)):
        raise CheckpointError(
            f"{directory}: holds no tokenizer ({', '.join(VOCABULARIES)}); copy it beside the text encoder's weights"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        return check_tokenizer(tokenizer)
    except CheckpointError:
        raise
    except Exception as error:  # whatever the file's parser raises
        raise CheckpointError(f"{directory}: its tokenizer cannot be read ({one_line(error)})") from error


def _check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: XDetrModel) -> None:
    """Raises CheckpointError where texts would have tokens that the text encoder has no vector for."""
    tokens, vectors = len(tokenizer), int(model.config.text_config.vocab_size)
    if tokens > vectors:
        raise CheckpointError(
            f"the tokenizer has {tokens:,} tokens, the text encoder vectors for {vectors:,} (vocab_size); give the "
            "tokenizer that belongs to it"
        )
