"""Starting from published weights: Deformable DETR for the detector, RoBERTa (or another) for the text encoder.

Weights are matched by name. Names of older transformers releases and of timm backbones are translated; every name
that found no weight, and every weight that found no place, is reported.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModel, DeformableDetrConfig, PreTrainedConfig

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


def from_deformable_detr(
    name: str | os.PathLike[str],
    *,
    text_encoder: str | os.PathLike[str] | None = None,
    **config_values: Any,
) -> tuple[XDetrModel, WeightReport]:
    """An X-DETR whose detector, and text encoder if named, start from published weights.

    ``name``: a directory or hub name of a transformers Deformable DETR with safetensors weights, timm or transformers
    ResNet; its configuration decides the detector's shape. ``config_values`` are other values of :class:`XDetrConfig`.
    Raises CheckpointError.
    """
    directory = weights_directory(name)
    detector = detector_config(directory)
    text = None if text_encoder is None else _text_config(checkpoint_directory(text_encoder))
    config = XDetrConfig(detector_config=detector, **({"text_config": text} if text else {}), **config_values)
    model = XDetrModel(config)
    report = load_detector(model, directory)
    if text_encoder is not None:
        report = _merged(report, load_text_encoder(model, text_encoder))
    _check_fit(directory, report)
    return model.eval(), report


def _check_fit(directory: Path, report: WeightReport) -> None:
    loaded, new = (sum(n.startswith("model.") for n in names) for names in (report.loaded, report.initialised))
    if loaded < new:
        raise CheckpointError(
            f"{directory}: only {loaded} of the detector's {loaded + new} weights are in its file with the shape that "
            "config.json says; give a whole Deformable DETR checkpoint"
        )


def load_backbone(model: XDetrModel, name: str | os.PathLike[str]) -> WeightReport:
    """Put a published transformers ResNet's weights where name and shape fit. Raises CheckpointError."""
    weights = read_weights(weights_directory(name))
    return load_by_name(model, {f"model.backbone.model.{k.removeprefix('resnet.')}": v for k, v in weights.items()})


def load_detector(model: XDetrModel, name: str | os.PathLike[str]) -> WeightReport:
    """Put a published Deformable DETR's weights where name and shape fit. Raises CheckpointError."""
    published = {translate(k): v for k, v in read_weights(weights_directory(name)).items()}
    return load_by_name(model, with_tied_heads(published, model.state_dict()))


def load_text_encoder(model: XDetrModel, name: str | os.PathLike[str]) -> WeightReport:
    """Put published weights into a model's text encoder. Raises CheckpointError."""
    directory = weights_directory(name)
    try:
        source, info = AutoModel.from_pretrained(
            directory, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the library raises whatever its parsers raise
        raise CheckpointError(f"{directory}: is no text encoder that loads ({one_line(error)})") from error
    invented = set(info["missing_keys"])
    weights = {f"text_encoder.{k}": v for k, v in source.state_dict().items() if k not in invented}
    own = {k: v for k, v in model.state_dict().items() if k.startswith("text_encoder.")}
    report = load_by_name(model, weights, names=tuple(own))
    if not report.loaded:
        raise CheckpointError(f"{directory}: no weight fits the text encoder; set text_config to this checkpoint's")
    return report


def detector_config(directory: Path) -> DeformableDetrConfig:
    """The configuration of a Deformable DETR with a transformers ResNet for its timm one. Raises CheckpointError."""
    values = _config_values(directory)
    if values.get("model_type") != "deformable_detr":
        raise CheckpointError(f"{directory}: holds a {values.get('model_type')!r} model, not 'deformable_detr'")
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


def _text_config(directory: Path) -> dict[str, Any]:
    values = _config_values(directory)
    if "model_type" not in values:
        raise CheckpointError(f"{directory}/config.json: has no model_type, so it is no text encoder")
    return values


def _merged(first: WeightReport, second: WeightReport) -> WeightReport:
    loaded = (*first.loaded, *second.loaded)
    return WeightReport(
        loaded=loaded,
        initialised=tuple(name for name in first.initialised if name not in set(second.loaded)),
        unused=(*first.unused, *second.unused),
    )
