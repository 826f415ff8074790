"""A bare training loop on toy photos, for tests: no data loader, no schedule beyond warm-up and decay."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tests.model.toy_photos import ToyPhoto, draw_toy_photo
from xdetr_model.losses.criterion import Criterion
from xdetr_model.losses.targets import PhotoTarget, PhraseTarget, QueryTarget, Targets, collate_targets
from xdetr_model.network.model import XDetrModel
from xdetr_model.network.presets import Preset


def toy_target(toy: ToyPhoto) -> PhotoTarget:
    width, height = toy.photo.size
    boxes = tuple((x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in toy.boxes_xyxy)
    phrases = tuple(PhraseTarget(spans_char=(span,), regions=(i,)) for i, span in enumerate(toy.phrases))
    return PhotoTarget(boxes_xyxy_norm=boxes, queries=(QueryTarget(text=toy.text, phrases=phrases, is_caption=True),))


def toy_pixels(toys: Sequence[ToyPhoto]) -> Tensor:
    stacked = torch.from_numpy(np.stack([np.asarray(t.photo) for t in toys])).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (stacked - mean[:, None, None]) / std[:, None, None]


def toy_batch(seeds: Sequence[int], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> tuple[Tensor, Targets]:
    toys = [draw_toy_photo(seed) for seed in seeds]
    return toy_pixels(toys), collate_targets([toy_target(t) for t in toys], tokenizer, max_tokens)


def train_toy(
    model: XDetrModel,
    preset: Preset,
    steps: int,
    batch: int = 16,
    rate: float = 1e-3,
    text_share: float = 1.0,
    log: int = 0,
) -> float:
    """Train in place; the seconds it took."""
    assert preset.tokenizer is not None
    criterion = Criterion.from_config(model.config)
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        share = 0.1 if "sampling_offsets" in name else text_share if name.startswith("text_encoder") else 1.0
        groups.setdefault(share, []).append(parameter)
    optimiser = torch.optim.AdamW([{"params": g, "lr": rate * share} for share, g in groups.items()], weight_decay=1e-4)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / warm, max(0.01, (steps - step) / (steps - warm)))
    )
    model.train()
    begin = time.perf_counter()
    for step in range(steps):
        seeds = [1_000_000 + step * batch + i for i in range(batch)]
        pixels, targets = toy_batch(seeds, preset.tokenizer, model.config.max_text_tokens)
        losses = criterion(model(pixels, None, targets.input_ids, targets.attention_mask), targets)
        optimiser.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if log and step % log == 0:
            print(step, round(time.perf_counter() - begin), {k: round(v, 3) for k, v in losses.scalars().items()})
    model.eval()
    return time.perf_counter() - begin
