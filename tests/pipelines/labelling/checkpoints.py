"""Small checkpoints with random weights: an X-DETR one, a Grounding DINO and a SAM 3 built from configuration."""

from pathlib import Path

import torch

from tests.model.grounders.test_hugging_face import grounding_dino, sam3
from xdetr_model import XDetrModel, preset, save_checkpoint
from xdetr_model.checkpoints.directory import ModelCard


def save_toy(folder: Path) -> Path:
    """The toy preset."""
    torch.manual_seed(0)
    toy = preset("xdetr-toy")
    assert toy.tokenizer is not None
    card = ModelCard(title="random", description="random weights")
    return save_checkpoint(folder, XDetrModel(toy.config), toy.tokenizer, toy.image_processor(), card)


def save_dino(folder: Path) -> Path:
    """A tiny Grounding DINO with its tokenizer and image processor."""
    for part in grounding_dino():
        part.save_pretrained(folder)
    return folder


def save_sam3(folder: Path) -> Path:
    """A tiny SAM 3 with its tokenizer and image processor."""
    for part in sam3():
        part.save_pretrained(folder)
    return folder
