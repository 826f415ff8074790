"""SAM 3 of transformers, prompted with text: a photo is encoded once, each phrase is decoded on its kept features.

The library asks for torchvision at two places where it is not needed: its image processor (here Pillow resizes, by the
same rule) and the package's front door (here the model is taken from its own module). Only prompts of boxes, which are
not used, would need it in truth.

A box's score is what the library's post-processing says: its own probability times the probability that the phrase is
in the photo at all (presence).

Legend: B photos, N phrases, Q predictions of a phrase, T tokens, d width.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD, PILImageResampling
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3Model, Sam3VisionEncoderOutput

from xdetr_model.grounders.masks import masked, masks_of_photo
from xdetr_model.grounders.protocol import Candidates, Fit, PhraseQuery, best
from xdetr_model.grounders.zero_shot import Detector, Pass, alone
from xdetr_model.photos import PreparedPhoto

MASK_THRESHOLD = 0.5  # of the library's post-processing
PROMPT_TOKENS = 32  # as its processor pads
PHRASES_AT_A_TIME = 8  # each decodes masks over the whole photo


class Sam3ImageProcessorPil(PilBackend):  # type: ignore[misc]
    """SAM 3's image processor with Pillow: the photo stretched to a square, whatever its shape."""

    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_STANDARD_MEAN
    image_std = IMAGENET_STANDARD_STD
    size = {"height": 1008, "width": 1008}  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True


def load_sam3(directory: Path) -> tuple[Any, dict[str, Any], PreTrainedTokenizerBase, Any]:
    """Model, report of what was loaded, tokenizer and image processor of a directory.

    The published checkpoint is of video: its detector is loaded, its tracker is not. Without a file of the image
    processor photos are resized to what the model's configuration says.
    """
    model, report = Sam3Model.from_pretrained(
        directory, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    if any((directory / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        return model, report, tokenizer, Sam3ImageProcessorPil.from_pretrained(directory, local_files_only=True)
    side = model.config.image_size
    height, width = (side, side) if isinstance(side, int) else side
    return model, report, tokenizer, Sam3ImageProcessorPil(size={"height": height, "width": width})


class Sam3:
    """See :class:`xdetr_model.grounders.zero_shot.Adapter`. A phrase is read alone: the prompt is a noun phrase."""

    def __init__(self, detector: Detector):
        self._d = detector

    def plan(self, photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
        """One pass for all phrases."""
        return [Pass(photo=photo, place=place, phrases=tuple(phrases), members=tuple(range(len(phrases))))]

    def company(self, job: Pass) -> tuple[int, ...]:
        """Photos of one size, as all are."""
        return job.photo.input_hw

    def run(self, passes: Sequence[Pass], keep: int) -> list[list[Candidates]]:
        """See :class:`Adapter`."""
        vision = self._d.model.get_vision_features(pixel_values=self._d.pixels(passes))
        texts = list(dict.fromkeys(alone(phrase) for job in passes for phrase in job.phrases))
        prompts = self._encode(texts)
        return [
            [
                found
                for begin in range(0, len(job.phrases), PHRASES_AT_A_TIME)
                for found in self._decode(
                    _row(vision, row, len(job.phrases[begin : begin + PHRASES_AT_A_TIME])),
                    [prompts[alone(one)] for one in job.phrases[begin : begin + PHRASES_AT_A_TIME]],
                    job.photo.size_hw,
                    keep,
                )
            ]
            for row, job in enumerate(passes)
        ]

    def _encode(self, texts: Sequence[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor, Fit]]:
        """Each text's features ``[T, d]``, which tokens are of it ``[T]``, and whether all of it was read."""
        longest = min(PROMPT_TOKENS, int(self._d.model.config.text_config.max_position_embeddings))
        encoded = self._d.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        )
        attention = encoded["attention_mask"].to(self._d.device)
        features = self._d.model.get_text_features(
            input_ids=encoded["input_ids"].to(self._d.device), attention_mask=attention
        ).pooler_output
        uncut = self._d.tokenizer(list(texts))["input_ids"]
        return {
            text: (features[i], attention[i], "cut" if len(uncut[i]) > longest else "whole")
            for i, text in enumerate(texts)
        }

    def _decode(
        self,
        vision: Sam3VisionEncoderOutput,
        prompts: Sequence[tuple[torch.Tensor, torch.Tensor, Fit]],
        size_hw: tuple[int, int],
        keep: int,
    ) -> list[Candidates]:
        output = self._d.model(
            vision_embeds=vision,
            text_embeds=BaseModelOutputWithPooling(pooler_output=torch.stack([one for one, _, _ in prompts])),
            attention_mask=torch.stack([mask for _, mask, _ in prompts]),
        )
        scores_NQ = output.pred_logits.float().sigmoid() * output.presence_logits.float().sigmoid()
        limit = np.array([size_hw[1], size_hw[0]] * 2, np.float64)
        boxes_NQ4 = (output.pred_boxes.float().cpu().numpy().astype(np.float64) * limit).clip(0, limit)
        results = []
        for row, (scores, boxes, (_, _, fit)) in enumerate(
            zip(scores_NQ.cpu().numpy(), boxes_NQ4, prompts, strict=True)
        ):
            found = best(boxes, scores, keep, fit)
            if self._d.masks:
                order = np.argsort(-scores, kind="stable")[:keep].copy()
                masks = masks_of_photo(output.pred_masks[row, torch.from_numpy(order)], size_hw, MASK_THRESHOLD)
                found = replace(found, masks=masked(masks))
            results.append(found)
        return results


def _row(vision: Any, row: int, count: int) -> Sam3VisionEncoderOutput:
    """The features of one photo, seen ``count`` times."""

    def repeated(maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return tuple(one[row if len(one) > 1 else 0][None].expand(count, -1, -1, -1) for one in maps)

    return Sam3VisionEncoderOutput(
        fpn_hidden_states=repeated(vision.fpn_hidden_states),
        fpn_position_encoding=repeated(vision.fpn_position_encoding),
    )
