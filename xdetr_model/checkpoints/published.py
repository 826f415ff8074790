"""Starting from published weights: Deformable DETR for the detector, RoBERTa (or another) for the text encoder.

Weights are matched by name. Names of older transformers releases and of timm backbones are translated. One door,
:func:`load_published`, for run files and Python: every name that found no weight, and every weight that found no place,
is reported, and a part that would stay random beyond ``MOST_RANDOM`` is refused.
"""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModel, DeformableDetrConfig, PreTrainedConfig, ResNetConfig

from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.network.configuration import RESNET50_BACKBONE, XDetrConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.weight_files import checkpoint_directory, weights_directory

TIMM_RESNETS: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]},
    "resnet34": {"depths": [3, 4, 6, 3], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {"depths": [3, 4, 6, 3]},
    "resnet101": {"depths": [3, 4, 23, 3]},
    "resnet152": {"depths": [3, 8, 36, 3]},
}

_RENAMES = (
    # transformers 4 → 5
    (r"backbone\.conv_encoder\.", "backbone."),
    (r"self_attn\.out_proj\.", "self_attn.o_proj."),
    (r"(layers\.\d+)\.(fc[12])\.", r"\1.mlp.\2."),
    # timm's ResNet → transformers' ResNet
    (r"backbone\.model\._backbone\.", "backbone.model."),
    (r"backbone\.model\.conv1\.", "backbone.model.embedder.embedder.convolution."),
    (r"backbone\.model\.bn1\.", "backbone.model.embedder.embedder.normalization."),
)
_TIMM_BLOCK = re.compile(r"backbone\.model\.layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.")
# the library keeps the heads twice, tied
_DECODER_HEADS = re.compile(r"model\.decoder\.((?:bbox|class)_embed\..*)")
_HEAD = re.compile(r"((?:bbox|class)_embed)\.\d+\.(.+)")
_IGNORED = re.compile(r"num_batches_tracked$")


Name = str | os.PathLike[str]

# what a network computes with weights of one and the same shape, or how many layers of them it takes
_SHAPE_OF_BACKBONE = (
    *("embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act"),
    *("downsample_in_first_stage", "downsample_in_bottleneck"),
)
_SHAPE_OF_DETECTOR = (
    *("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"),
    *("num_feature_levels", "encoder_n_points", "decoder_n_points", "activation_function", "position_embedding_type"),
)

MOST_RANDOM = 0.05  # of a part's weights, or of their numbers, that may be left random beside published ones
# weights without a published counterpart: the image query, and objectness where the source tells classes
_NEW = re.compile(r"model\.image_query\.|class_embed\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightReport:
    """Names of the model's weights that were ``loaded`` or left ``initialised`` at random, and names in the source that
    were ``unused``. The image query and the projections are always new."""

    loaded: tuple[str, ...]
    initialised: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """One line for a log."""
        return (
            f"{len(self.loaded)} weights loaded, {len(self.initialised)} new (first: {self.initialised[:1]}), "
            f"{len(self.unused)} of the source not used (first: {self.unused[:1]})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Directories or hub names of published weights; None leaves that part as it is.

    ``backbone``: a transformers ResNet, ``detector``: a Deformable DETR (of which the backbone is not taken where one
    is given), ``text_encoder``: any text encoder of transformers.
    """

    backbone: Name | None = None
    detector: Name | None = None
    text_encoder: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """What a part of the model took from its directory. ``random``: weights that have a published counterpart and yet
    keep their random values."""

    part: str
    directory: Path
    weights: WeightReport

    @property
    def random(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(name for name in self.weights.initialised if not _NEW.match(name))

    def line(self) -> str:
        """One line for a log, which names everything that was left random."""
        taken, random = len(self.weights.loaded), self.random
        left = f"; left random, as it has none that fits: {', '.join(random)}" if random else ""
        unused = self.weights.unused
        over = f"; {len(unused)} of its own found no place (first: {unused[0]})" if unused else ""
        return f"{self.directory}: {taken} of the {self.part}'s {taken + len(random)} weights taken{left}{over}"


def load_published(model: XDetrModel, published: Published) -> tuple[PartReport, ...]:
    """Put published weights into a model of their shape; a report of each part.

    Raises CheckpointError for a directory of another family or stage count, where more than ``MOST_RANDOM`` of a part
    would stay random, and where the model would compute another function of the weights, or leave layers of them out.
    """
    reports = []
    if published.detector is not None:
        reports.append(_load_detector(model, published.detector, with_backbone=published.backbone is None))
    if published.backbone is not None:
        reports.append(_load_backbone(model, published.backbone))
    if published.text_encoder is not None:
        reports.append(_load_text_encoder(model, published.text_encoder))
    for report in reports:
        _check_fit(model, report)
    wanted = model.config.detector_config
    if published.detector is not None:
        directory = checkpoint_directory(published.detector)
        found = detector_config(directory)
        _check_same(directory, "detector_config", _SHAPE_OF_DETECTOR, found, wanted)
        if published.backbone is None:
            places = found.backbone_config, wanted.backbone_config
            _check_same(directory, "detector_config.backbone_config", _SHAPE_OF_BACKBONE, *places)
    if published.backbone is not None:
        directory = checkpoint_directory(published.backbone)
        found = ResNetConfig.from_dict(backbone_values(directory))
        _check_same(directory, "detector_config.backbone_config", _SHAPE_OF_BACKBONE, found, wanted.backbone_config)
    return tuple(reports)


def _check_same(directory: Path, place: str, keys: Iterable[str], found: Any, wanted: Any) -> None:
    """Raises CheckpointError where a model of one configuration computes something else of the other's weights."""
    for key in keys:
        have, want = getattr(found, key), getattr(wanted, key)
        if have != want:
            raise CheckpointError(
                f"{directory}: has {key} {json.dumps(have)}, the model {json.dumps(want)}; set model.preset, or "
                f"model.config.{place}.{key}, to what the weights are of, or give others"
            )


def from_deformable_detr(
    name: Name, *, text_encoder: Name | None = None, backbone: Name | None = None, **config_values: Any
) -> tuple[XDetrModel, WeightReport]:
    """An X-DETR whose detector, and text encoder and another backbone if named, start from published weights.

    ``name``: a directory or hub name of a transformers Deformable DETR with safetensors weights, timm or transformers
    ResNet; its configuration decides the detector's shape, those of the others theirs. ``config_values`` are other
    values of :class:`XDetrConfig`. Raises CheckpointError.
    """
    detector = detector_config(weights_directory(name))
    if backbone is not None:
        detector.backbone_config = DeformableDetrConfig(backbone_config=backbone_values(backbone)).backbone_config
    text = {} if text_encoder is None else {"text_config": text_values(text_encoder)}
    model = XDetrModel(XDetrConfig(detector_config=detector, **text, **config_values))
    reports = load_published(model, Published(backbone=backbone, detector=name, text_encoder=text_encoder))
    loaded = tuple(weight for report in reports for weight in report.weights.loaded)
    left = sorted(set(model.state_dict()) - set(loaded))
    unused = tuple(weight for report in reports for weight in report.weights.unused)
    return model.eval(), WeightReport(loaded=loaded, initialised=tuple(left), unused=unused)


def _check_fit(model: XDetrModel, report: PartReport) -> None:
    own = model.state_dict()
    taken, random = len(report.weights.loaded), report.random
    if not taken:
        raise CheckpointError(
            f"{report.directory}: no weight fits the {report.part}; set model.preset and model.config (from Python: "
            "the configuration) to this checkpoint's shape"
        )
    numbers = [sum(own[name].numel() for name in names) for names in (random, (*report.weights.loaded, *random))]
    share = max(len(random) / (taken + len(random)), numbers[0] / numbers[1])
    if share > MOST_RANDOM:
        raise CheckpointError(
            f"{report.directory}: only {taken} of the {report.part}'s {taken + len(random)} weights are in it with the "
            f"model's shape, {share:.0%} would be random (first: {random[0]}); give a whole checkpoint, or set "
            "model.preset and model.config to its shape"
        )


def _load_backbone(model: XDetrModel, name: Name) -> PartReport:
    directory = weights_directory(name)
    backbone_values(directory)
    weights = {f"model.backbone.model.{k.removeprefix('resnet.')}": v for k, v in read_weights(directory).items()}
    names = [k for k in model.state_dict() if k.startswith("model.backbone.")]
    return PartReport(part="backbone", directory=directory, weights=load_by_name(model, weights, tuple(names)))


def _load_detector(model: XDetrModel, name: Name, *, with_backbone: bool) -> PartReport:
    directory = weights_directory(name)
    _check_stages(directory, _detector_values(directory), model.config.detector_config)
    published = {translate(k): v for k, v in read_weights(directory).items()}
    names = [
        k
        for k in model.state_dict()
        if k.startswith(("model.", "class_embed.", "bbox_embed."))
        and (with_backbone or not k.startswith("model.backbone."))
    ]
    if not with_backbone:
        published = {k: v for k, v in published.items() if not k.startswith("model.backbone.")}
    weights = load_by_name(model, with_tied_heads(published, names), tuple(names))
    return PartReport(part="detector", directory=directory, weights=weights)


def _check_stages(directory: Path, values: Mapping[str, Any], config: Any) -> None:
    """What a Deformable DETR is, beyond its sizes: weights of one kind in a network of another mean nothing."""
    for key in ("two_stage", "with_box_refine"):
        have, want = bool(values.get(key, False)), bool(getattr(config, key))
        if have != want:
            raise CheckpointError(
                f"{directory}: has {key} {str(have).lower()}, the model {str(want).lower()}; set "
                f"model.config.detector_config.{key} to {str(have).lower()}, or give another detector"
            )


def load_text_encoder(model: XDetrModel, name: Name) -> WeightReport:
    """Put published weights into a model's text encoder. Raises CheckpointError as :func:`load_published` does."""
    return load_published(model, Published(text_encoder=name))[0].weights


def _load_text_encoder(model: XDetrModel, name: Name) -> PartReport:
    directory = weights_directory(name)
    try:
        source, info = AutoModel.from_pretrained(
            directory,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except Exception as error:  # the library raises whatever its parsers raise
        raise CheckpointError(f"{directory}: is no text encoder that loads ({one_line(error)})") from error
    invented = set(info["missing_keys"])
    weights = {f"text_encoder.{k}": v for k, v in source.state_dict().items() if k not in invented}
    own = tuple(k for k in model.state_dict() if k.startswith("text_encoder."))
    return PartReport(part="text encoder", directory=directory, weights=load_by_name(model, weights, own))


def text_values(name: Name) -> dict[str, Any]:
    """The configuration of a published text encoder, which a model must have to take its weights.

    Raises CheckpointError.
    """
    directory = checkpoint_directory(name)
    values = _config_values(directory)
    if "model_type" not in values:
        raise CheckpointError(f"{directory}/config.json: has no model_type, so it is no text encoder")
    return values


def backbone_values(name: Name) -> dict[str, Any]:
    """The configuration of a published transformers ResNet, with the stages that the detector sees.

    Raises CheckpointError.
    """
    directory = checkpoint_directory(name)
    values = _config_values(directory)
    if values.get("model_type") != "resnet":
        raise CheckpointError(f"{directory}: holds a {values.get('model_type')!r} model, not transformers' 'resnet'")
    return RESNET50_BACKBONE | {key: values[key] for key in _SHAPE_OF_BACKBONE if key in values}


def normalisation_of(name: Name) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation of the colours that published weights were trained with, from ``preprocessor_config.json``.

    None where there is no such file. Raises CheckpointError for one that cannot be followed.
    """
    file = checkpoint_directory(name) / "preprocessor_config.json"
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        scale = float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 1.0
        mean, std = (tuple(map(float, values.get(key, default))) for key, default in _IMAGENET.items())
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: cannot be read ({one_line(error)}); copy it again, or remove it") from error
    if not values.get("do_normalize", True):
        mean, std = (0.0,) * 3, (1.0,) * 3
    is_colour = len(mean) == len(std) == 3 and all(map(math.isfinite, (*mean, *std))) and min(std) > 0
    if not is_colour or not abs(scale - 1 / 255) <= 1e-6:
        raise CheckpointError(
            f"{file}: must have image_mean and image_std of three colours and a rescale_factor of 1/255; photos are "
            "normalised in no other way here"
        )
    return mean, std


_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}


def detector_config(directory: Path) -> DeformableDetrConfig:
    """The configuration of a Deformable DETR with a transformers ResNet for its timm one. Raises CheckpointError."""
    values = _detector_values(directory)
    backbone = dict(values.get("backbone_config") or {})
    if backbone.get("model_type") != "resnet":
        timm_name = str(backbone.get("backbone") or values.get("backbone") or "resnet50").split(".")[0]
        if timm_name not in TIMM_RESNETS:
            raise CheckpointError(f"{directory}: backbone {timm_name!r} has no counterpart here: {list(TIMM_RESNETS)}")
        values["backbone_config"] = RESNET50_BACKBONE | TIMM_RESNETS[timm_name]
    for stale in ("backbone", "use_timm_backbone", "use_pretrained_backbone", "backbone_kwargs", "dilation"):
        values.pop(stale, None)
    for labels in ("id2label", "label2id"):
        values.pop(labels, None)
    try:
        config: DeformableDetrConfig = DeformableDetrConfig.from_dict({**values, "num_labels": 1})
    except Exception as error:  # as many ways as the configuration has fields
        raise CheckpointError(f"{directory}/config.json: cannot be read ({one_line(error)})") from error
    return config


def _detector_values(directory: Path) -> dict[str, Any]:
    values = _config_values(directory)
    if values.get("model_type") != "deformable_detr":
        raise CheckpointError(f"{directory}: holds a {values.get('model_type')!r} model, not 'deformable_detr'")
    return values


def _config_values(directory: Path) -> dict[str, Any]:
    try:
        values: Any = PreTrainedConfig.get_config_dict(directory)[0]
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{directory}/config.json: cannot be read ({one_line(error)})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{directory}/config.json: cannot be read (it holds no JSON object)")
    return values


def translate(name: str) -> str:
    """A published weight's name → the name in :class:`XDetrModel`."""
    head = _DECODER_HEADS.match(name)
    if head:
        return head.group(1)
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    block = _TIMM_BLOCK.search(name)
    if block:
        stage, layer, kind, number = block.groups()
        start = f"backbone.model.encoder.stages.{int(stage) - 1}.layers.{layer}."
        part = {"conv": "convolution", "bn": "normalization"}.get(kind)
        if part is None:
            place = "shortcut." + ("convolution." if number == "0" else "normalization.")
        else:
            place = f"layer.{int(number) - 1}.{part}."
        name = name[: block.start()] + start + place + name[block.end() :]
    return name


def with_tied_heads(weights: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """The weights, and for prediction heads that the file does not hold those of layer 0: transformers 5 saves heads
    that are tied once."""
    completed = dict(weights)
    for name in names:
        head = _HEAD.fullmatch(name)
        if head and name not in completed and (first := f"{head[1]}.0.{head[2]}") in completed:
            completed[name] = completed[first]
    return completed


def read_weights(directory: Path) -> dict[str, Tensor]:
    """All tensors of a directory's safetensors files."""
    weights: dict[str, Tensor] = {}
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            weights |= {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (no mapping)
    return weights


@torch.no_grad()
def load_by_name(model: XDetrModel, weights: Mapping[str, Tensor], names: tuple[str, ...] = ()) -> WeightReport:
    """Copy weights whose name and shape fit; ``names`` limits which of the model's are reported."""
    own = model.state_dict()
    reported = names or tuple(own)
    loaded = []
    for name in reported:
        if name in weights and weights[name].shape == own[name].shape:
            own[name].copy_(weights[name])
            loaded.append(name)
    left = set(reported) - set(loaded)
    unused = [name for name in weights if name not in set(loaded) and not _IGNORED.search(name)]
    return WeightReport(loaded=tuple(loaded), initialised=tuple(sorted(left)), unused=tuple(sorted(unused)))
