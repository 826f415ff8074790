"""Starting from published weights: Deformable DETR for the detector, RoBERTa (or another) for the text encoder.

Weights are matched by name. Names of older transformers releases and of timm backbones are translated. One door,
:func:`load_published`, for run files and Python: every name that found no weight, and every weight that found no place,
is reported, and a part that would stay random beyond ``MOST_RANDOM`` is refused.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModel, DeformableDetrConfig, ResNetConfig

from xdetr_model.checkpoints.published_configs import (
    SHAPE_OF_BACKBONE,
    Name,
    backbone_values,
    detector_config,
    detector_values,
    text_values,
)
from xdetr_model.checkpoints.weight_names import WeightReport, load_by_name, read_weights, translate, with_tied_heads
from xdetr_model.errors import CheckpointError, one_line
from xdetr_model.network.configuration import XDetrConfig
from xdetr_model.network.model import XDetrModel
from xdetr_model.weight_files import checkpoint_directory, weights_directory

# beside SHAPE_OF_BACKBONE, of a detector
_SHAPE_OF_DETECTOR = (
    *("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"),
    *("num_feature_levels", "encoder_n_points", "decoder_n_points", "activation_function", "position_embedding_type"),
)

MOST_RANDOM = 0.05  # of a part's weights, or of their numbers, that may be left random beside published ones
# weights without a published counterpart: the image query, and objectness where the source tells classes
_NEW = re.compile(r"model\.image_query\.|class_embed\.")


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
            _check_same(directory, "detector_config.backbone_config", SHAPE_OF_BACKBONE, *places)
    if published.backbone is not None:
        directory = checkpoint_directory(published.backbone)
        found = ResNetConfig.from_dict(backbone_values(directory))
        _check_same(directory, "detector_config.backbone_config", SHAPE_OF_BACKBONE, found, wanted.backbone_config)
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
    _check_stages(directory, detector_values(directory), model.config.detector_config)
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
