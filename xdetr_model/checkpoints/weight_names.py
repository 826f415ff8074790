"""Weights by name: what published names are called in :class:`XDetrModel`, and copying those that fit."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from xdetr_model.network.model import XDetrModel

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
