"""What published directories say of themselves: their networks' configurations, and how they normalise colours."""

import json
import math
import os
from pathlib import Path
from typing import Any

from transformers import DeformableDetrConfig, PreTrainedConfig

from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.network.configuration import RESNET50_BACKBONE
from xdetr_model.weight_files import checkpoint_directory

TIMM_RESNETS: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]},
    "resnet34": {"depths": [3, 4, 6, 3], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {"depths": [3, 4, 6, 3]},
    "resnet101": {"depths": [3, 4, 23, 3]},
    "resnet152": {"depths": [3, 8, 36, 3]},
}

# what a network computes with weights of one and the same shape, or how many layers of them it takes
SHAPE_OF_BACKBONE = (
    *("embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act"),
    *("downsample_in_first_stage", "downsample_in_bottleneck"),
)

_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}

Name = str | os.PathLike[str]


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
    return RESNET50_BACKBONE | {key: values[key] for key in SHAPE_OF_BACKBONE if key in values}


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


def detector_config(directory: Path) -> DeformableDetrConfig:
    """The configuration of a Deformable DETR with a transformers ResNet for its timm one. Raises CheckpointError."""
    values = detector_values(directory)
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


def detector_values(directory: Path) -> dict[str, Any]:
    """The values of a Deformable DETR's ``config.json``, as they stand there. Raises CheckpointError."""
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
