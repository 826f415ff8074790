"""Which families of zero-shot detectors are known: how each is loaded, and what asks it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoModelForZeroShotObjectDetection, AutoTokenizer

from xdetr_model.grounders.sam3 import Sam3, load_sam3
from xdetr_model.grounders.zero_shot import Adapter, Detector, GroundingDino, OmDetTurbo, Owl

Loaded = tuple[Any, dict[str, Any], Any, Any]  # model, report of what was loaded, tokenizer, image processor


def load_auto(directory: Path) -> Loaded:
    """A directory of a family that the library's own classes load without torchvision."""
    model, report = AutoModelForZeroShotObjectDetection.from_pretrained(
        directory, use_safetensors=True, local_files_only=True, output_loading_info=True, trust_remote_code=False
    )
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    processor = AutoImageProcessor.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False, backend="pil"
    )
    return model, report, tokenizer, processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How a family is asked and loaded."""

    adapter: Callable[[Detector], Adapter]
    load: Callable[[Path], Loaded] = load_auto


# by the model_type of config.json; LLMDet is published as an MM-Grounding-DINO
FAMILIES: dict[str, Family] = {
    "grounding-dino": Family(adapter=GroundingDino),
    "mm-grounding-dino": Family(adapter=GroundingDino),
    "owlvit": Family(adapter=Owl),
    "owlv2": Family(adapter=Owl),
    "omdet-turbo": Family(adapter=OmDetTurbo),
    "sam3": Family(adapter=Sam3, load=load_sam3),
    "sam3_video": Family(adapter=Sam3, load=load_sam3),
}
