"""Zero-shot detectors of transformers behind one face: which texts they run, and how a phrase is scored.

Each adapter says how a photo's phrases become passes of the network (:class:`Pass`), and runs a batch of passes.
Processors are not used, because some of them need torchvision: image processors (Pillow) and tokenizers are enough.

Legend: B passes, Q predictions of a photo, T tokens, C classes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xdetr_model.grounders.protocol import Candidates, PhraseQuery, best, to_pixels
from xdetr_model.grounders.windows import windowed
from xdetr_model.network.text_tower import Fit, TokenizedTexts, phrase_text, phrase_tokens, tokenize
from xdetr_model.photos import PreparedPhoto

Pooling = Literal["mean", "max"]

OMDET_TOKENS = 77  # of a class and of the task, as its processor cuts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One photo and the phrases that one run of the network scores; ``members``: their places in the photo's list."""

    photo: PreparedPhoto
    place: int
    phrases: tuple[PhraseQuery, ...]
    members: tuple[int, ...]


class Adapter(Protocol):
    """One family of detectors."""

    def plan(self, photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
        """The passes that score a photo's phrases."""
        ...

    def company(self, job: Pass) -> tuple[int, ...]:
        """Passes may share a batch only where this is equal: otherwise padding would change results."""
        ...

    def run(self, passes: Sequence[Pass], keep: int) -> list[list[Candidates]]:
        """Candidates of every pass's phrases; all passes are of one :meth:`company`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A loaded detector, where it runs, and how it is asked; ``masks`` are kept where it gives them."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    pooling: Pooling
    context: bool
    masks: bool = True

    def pixels(self, passes: Sequence[Pass]) -> Tensor:
        """``[B, 3, H, W]`` on the device."""
        stacked = np.stack([p.photo.pixels for p in passes])
        return torch.from_numpy(stacked).to(self.device)


def split_by_sentence(photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
    """One pass per distinct sentence."""
    members: dict[str, list[int]] = {}
    for index, phrase in enumerate(phrases):
        members.setdefault(phrase.text, []).append(index)
    return [
        Pass(photo=photo, place=place, phrases=tuple(phrases[i] for i in group), members=tuple(group))
        for group in members.values()
    ]


def split_by_phrase(photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
    """One pass per phrase."""
    return [Pass(photo=photo, place=place, phrases=(p,), members=(i,)) for i, p in enumerate(phrases)]


def alone(phrase: PhraseQuery) -> str:
    """The phrase's own words."""
    return phrase_text(phrase.text, phrase.spans)


def lower(text: str) -> str:
    """Lower case without moving a character (a few letters have lower forms of two)."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


class GroundingDino:
    """Grounding DINO and MM-Grounding-DINO: photo and text are fused, so every sentence is a run of its own.

    A phrase's score is the largest (``max``) or mean probability of its tokens, as the model aligns them with a box.
    """

    def __init__(self, detector: Detector):
        self._d = detector

    def plan(self, photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
        """One pass per sentence, or per phrase without context."""
        if not self._d.context:
            return split_by_phrase(photo, place, phrases)
        lowered = [PhraseQuery(text=lower(one.text), spans=one.spans) for one in phrases]
        longest = int(self._d.model.config.max_text_len)
        return split_by_sentence(photo, place, windowed(self._d.tokenizer, lowered, longest))

    def company(self, job: Pass) -> tuple[int, ...]:
        """Photos of one size."""
        return job.photo.input_hw

    def run(self, passes: Sequence[Pass], keep: int) -> list[list[Candidates]]:
        """See :class:`Adapter`."""
        texts = [self._text(p) for p in passes]
        tokenized = tokenize(self._d.tokenizer, texts, int(self._d.model.config.max_text_len))
        output = self._d.model(
            pixel_values=self._d.pixels(passes),
            input_ids=tokenized.input_ids.to(self._d.device),
            attention_mask=tokenized.attention_mask.to(self._d.device),
        )
        probability_BQT = output.logits.float().sigmoid().cpu().numpy()
        boxes_BQ4 = output.pred_boxes.float().cpu().numpy()
        return [
            [
                self._candidates(p, phrase, text, row, tokenized, probability_BQT[row], boxes_BQ4[row], keep)
                for phrase in p.phrases
            ]
            for row, (p, text) in enumerate(zip(passes, texts, strict=True))
        ]

    def _text(self, job: Pass) -> str:
        text = lower(job.phrases[0].text if self._d.context else alone(job.phrases[0]))
        return text if text.rstrip().endswith(".") else text + "."

    def _candidates(
        self,
        job: Pass,
        phrase: PhraseQuery,
        text: str,
        row: int,
        tokenized: TokenizedTexts,
        probability_QT: NDArray[np.float32],
        boxes_Q4: NDArray[np.float32],
        keep: int,
    ) -> Candidates:
        spans = phrase.spans if self._d.context else ((0, len(alone(phrase))),)
        found = phrase_tokens(tokenized, row, text, spans)
        if not found.tokens:
            return Candidates(fit=found.fit)
        of_tokens = probability_QT[:, list(found.tokens)]
        scores = of_tokens.max(1) if self._d.pooling == "max" else of_tokens.mean(1)
        return best(to_pixels(boxes_Q4, job.photo.size_hw), scores, keep, found.fit)


class Owl:
    """OWL-ViT and OWLv2: two towers. A phrase is read alone (these models know no context), a photo is encoded once."""

    def __init__(self, detector: Detector):
        self._d = detector
        self._is_square = detector.model.config.model_type == "owlv2"
        self._towers = getattr(detector.model, detector.model.config.model_type)

    def plan(self, photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
        """One pass for all phrases."""
        return [Pass(photo=photo, place=place, phrases=tuple(phrases), members=tuple(range(len(phrases))))]

    def company(self, job: Pass) -> tuple[int, ...]:
        """Photos of one size."""
        return job.photo.input_hw

    def run(self, passes: Sequence[Pass], keep: int) -> list[list[Candidates]]:
        """See :class:`Adapter`."""
        model = self._d.model
        feature_map = model.image_embedder(pixel_values=self._d.pixels(passes))[0]
        features = feature_map.flatten(1, 2)
        boxes_BQ4 = model.box_predictor(features, feature_map).float().cpu().numpy()
        texts = list(dict.fromkeys(alone(phrase) for job in passes for phrase in job.phrases))
        queries, fits = self._encode(texts)
        results = []
        for row, job in enumerate(passes):
            side = max(job.photo.size_hw)
            # OWLv2 pads the photo to a square on the right and below, and predicts in units of that square
            boxes = to_pixels(boxes_BQ4[row], (side, side) if self._is_square else job.photo.size_hw)
            height, width = job.photo.size_hw
            boxes = boxes.clip(0, np.array([width, height, width, height], np.float64))
            places = [texts.index(alone(phrase)) for phrase in job.phrases]
            logits, _ = model.class_predictor(features[row : row + 1], queries[None, places])
            scores_QC = logits[0].float().sigmoid().cpu().numpy()
            results.append([best(boxes, scores_QC[:, c], keep, fits[place]) for c, place in enumerate(places)])
        return results

    def _encode(self, texts: Sequence[str]) -> tuple[Tensor, list[Fit]]:
        longest = int(self._d.model.config.text_config.max_position_embeddings)
        encoded = self._d.tokenizer(
            [lower(text) for text in texts],
            padding="max_length",
            truncation=True,
            max_length=longest,
            return_tensors="pt",
            return_overflowing_tokens=False,
        )
        uncut = self._d.tokenizer([lower(text) for text in texts])["input_ids"]
        embedded = self._towers.get_text_features(
            input_ids=encoded["input_ids"].to(self._d.device),
            attention_mask=encoded["attention_mask"].to(self._d.device),
        ).pooler_output
        fits: list[Fit] = ["cut" if len(ids) > longest else "whole" for ids in uncut]
        return embedded / embedded.norm(dim=-1, keepdim=True), fits


class OmDetTurbo:
    """OmDet-Turbo: the phrases of a sentence are its classes, the task is to detect them."""

    def __init__(self, detector: Detector):
        self._d = detector

    def plan(self, photo: PreparedPhoto, place: int, phrases: Sequence[PhraseQuery]) -> list[Pass]:
        """One pass per sentence, or per phrase without context."""
        return (split_by_sentence if self._d.context else split_by_phrase)(photo, place, phrases)

    def company(self, job: Pass) -> tuple[int, ...]:
        """Photos of one size with equally many phrases: the network takes its padding for classes."""
        return (*job.photo.input_hw, len(job.phrases))

    def run(self, passes: Sequence[Pass], keep: int) -> list[list[Candidates]]:
        """See :class:`Adapter`."""
        classes = [[lower(alone(phrase)) for phrase in job.phrases] for job in passes]
        tasks = self._tokens([f"Detect {', '.join(names)}." for names in classes])
        names = self._tokens([name for group in classes for name in group])
        fits = self._fits({name for group in classes for name in group})
        output = self._d.model(
            pixel_values=self._d.pixels(passes),
            classes_input_ids=names["input_ids"],
            classes_attention_mask=names["attention_mask"],
            tasks_input_ids=tasks["input_ids"],
            tasks_attention_mask=tasks["attention_mask"],
            classes_structure=torch.tensor([len(group) for group in classes], device=self._d.device),
        )
        scores_BQC = output.decoder_class_logits.float().sigmoid().cpu().numpy()
        boxes_BQ4 = output.decoder_coord_logits.float().cpu().numpy()
        return [
            [
                best(to_pixels(boxes_BQ4[row], job.photo.size_hw), scores_BQC[row, :, c], keep, fits[name])
                for c, name in enumerate(classes[row])
            ]
            for row, job in enumerate(passes)
        ]

    def _tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        encoded = self._d.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=OMDET_TOKENS, return_tensors="pt"
        )
        return {name: encoded[name].to(self._d.device) for name in ("input_ids", "attention_mask")}

    def _fits(self, names: Collection[str]) -> dict[str, Fit]:
        uncut = self._d.tokenizer(list(names))["input_ids"]
        return {name: "cut" if len(ids) > OMDET_TOKENS else "whole" for name, ids in zip(names, uncut, strict=True)}
