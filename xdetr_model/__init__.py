"""The network and what trains, scores and searches with it.

Names are imported when first used: ``import xdetr_model`` itself loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdetr_model.checkpoints.directory import Checkpoint, ModelCard, load_checkpoint, save_checkpoint
    from xdetr_model.checkpoints.published import from_deformable_detr
    from xdetr_model.checkpoints.weight_names import WeightReport
    from xdetr_model.grounders.hugging_face import HfZeroShotGrounder
    from xdetr_model.grounders.protocol import Candidates, Grounder, PhraseQuery
    from xdetr_model.grounders.xdetr import XDetrGrounder
    from xdetr_model.losses.criterion import Criterion, Losses
    from xdetr_model.losses.targets import PhotoTarget, PhraseTarget, QueryTarget, Targets, collate_targets
    from xdetr_model.network.configuration import XDetrConfig
    from xdetr_model.network.model import ImageEncoding, TextEncoding, XDetrModel, XDetrOutput
    from xdetr_model.network.presets import PRESET_NAMES, Preset, preset

_HOMES = {
    "checkpoints.directory": ("Checkpoint", "ModelCard", "load_checkpoint", "save_checkpoint"),
    "checkpoints.published": ("from_deformable_detr",),
    "checkpoints.weight_names": ("WeightReport",),
    "grounders.hugging_face": ("HfZeroShotGrounder",),
    "grounders.protocol": ("Candidates", "Grounder", "PhraseQuery"),
    "grounders.xdetr": ("XDetrGrounder",),
    "losses.criterion": ("Criterion", "Losses"),
    "losses.targets": ("PhotoTarget", "PhraseTarget", "QueryTarget", "Targets", "collate_targets"),
    "network.configuration": ("XDetrConfig",),
    "network.model": ("ImageEncoding", "TextEncoding", "XDetrModel", "XDetrOutput"),
    "network.presets": ("PRESET_NAMES", "Preset", "preset"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "PRESET_NAMES",
    "Candidates",
    "Checkpoint",
    "Criterion",
    "Grounder",
    "HfZeroShotGrounder",
    "ImageEncoding",
    "Losses",
    "ModelCard",
    "PhotoTarget",
    "PhraseQuery",
    "PhraseTarget",
    "Preset",
    "QueryTarget",
    "Targets",
    "TextEncoding",
    "WeightReport",
    "XDetrConfig",
    "XDetrGrounder",
    "XDetrModel",
    "XDetrOutput",
    "collate_targets",
    "from_deformable_detr",
    "load_checkpoint",
    "preset",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'xdetr_model' has no attribute {name!r}")
    return getattr(import_module(f"xdetr_model.{_HOME_OF[name]}"), name)
