"""The network learns: from random weights to phrases grounded in photos that it never saw."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.model.toy_photos import ToyPhoto, draw_toy_photo
from tests.model.toy_training import train_toy
from xdetr_model import PhraseQuery, XDetrGrounder, XDetrModel, preset
from xdetr_model.network.presets import Preset
from xdetr_model.photos import PhotoTransform


def iou(a_xyxy: NDArray[np.float64], b_xyxy: NDArray[np.float64]) -> float:
    low, high = np.maximum(a_xyxy[:2], b_xyxy[:2]), np.minimum(a_xyxy[2:], b_xyxy[2:])
    inter = float(np.prod((high - low).clip(0)))
    return inter / float(np.prod(a_xyxy[2:] - a_xyxy[:2]) + np.prod(b_xyxy[2:] - b_xyxy[:2]) - inter)


def grounding_top1(model: XDetrModel, chosen: Preset, toys: list[ToyPhoto]) -> float:
    """Share of phrases whose best box has IoU over 0.5 with the true one."""
    assert chosen.tokenizer is not None
    transform = PhotoTransform.from_processor(chosen.image_processor())
    grounder = XDetrGrounder(model, chosen.tokenizer, transform, device="cpu", batch_size=16)
    queries = [[PhraseQuery(text=t.text, spans=(s,)) for s in t.phrases] for t in toys]
    found = grounder.ground([t.photo for t in toys], queries, keep=1)
    hits = [
        iou(candidates.boxes_xyxy[0], np.array(box)) > 0.5
        for toy, group in zip(toys, found, strict=True)
        for candidates, box in zip(group, toy.boxes_xyxy, strict=True)
    ]
    return float(np.mean(hits))


@pytest.mark.slow
def test_600_steps_ground_phrases_in_unseen_photos() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    chosen = preset("xdetr-toy")
    model = XDetrModel(chosen.config)
    seconds = train_toy(model, chosen, steps=600, log=50)
    top1 = grounding_top1(model, chosen, [draw_toy_photo(seed) for seed in range(300)])
    print(f"grounding top-1 {top1:.3f} after {seconds:.0f} s")
    assert top1 >= 0.95
