"""A grounder that knows the truth and errs like a detector: for ``benchmarks.pseudo_label``.

For a phrase it answers with the boxes of its true objects, moved a little, some of them missed, each with a duplicate
moved more; with the photo's other objects as confusions, more likely those of the same kind; and with boxes of nothing.
Scores of the right and of the wrong ones overlap. What is drawn depends on photo, sentence and phrase alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xdetr_data.boxes import Box
from xdetr_data.photos.decoding import decode_photo
from xdetr_data.spans import Span
from xdetr_data.toyworld.truth import read_truth
from xdetr_data.validation.label_score import mention_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How a detector errs: means of scores (their spread is ``spread``), shares, and movement in sides of the box."""

    right: float
    same_kind: float
    other: float
    spread: float
    missed: float
    moved: float


GOOD = Noise(right=0.70, same_kind=0.45, other=0.25, spread=0.12, missed=0.05, moved=0.05)
WEAK = Noise(right=0.55, same_kind=0.48, other=0.35, spread=0.15, missed=0.15, moved=0.08)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueMention:
    """Words of a caption and the objects (positions in the photo's) that they name."""

    span: Span
    objects: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePhoto:
    """A photo's objects with their kinds, and its captions with their mentions."""

    key: str
    boxes_xyxy: NDArray[np.float64]
    kinds: tuple[str, ...]
    captions: Mapping[str, Sequence[TrueMention]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Candidates of a phrase, best first."""

    boxes_xyxy: NDArray[np.float64]
    scores: NDArray[np.float32]
    fit: str = "whole"


def toy_truth(world: Path, collection: str) -> dict[str, TruePhoto]:
    """File name → photo of a toy world's collection whose training narratives are told."""
    found = {}
    for photo in read_truth(world / "truth/train.jsonl"):
        told = [text for text in photo.texts if text.file.startswith("locnar/")]
        if photo.collection == collection and told:
            found[photo.file_name] = TruePhoto(
                key=photo.key,
                boxes_xyxy=np.array([one.box_xyxy for one in photo.objects], dtype=np.float64).reshape(-1, 4),
                kinds=tuple(one.shape for one in photo.objects),
                captions={
                    text.text: [TrueMention(span=one.span, objects=one.objects) for one in text.phrases]
                    for text in told
                },
            )
    return found


def derived_truth(folder: Path) -> dict[str, TruePhoto]:
    """File name → photo of the derived fixture; its truth knows only some of the objects, and no kinds."""
    captions = {one["image_id"]: one["caption"] for one in _lines(next(folder.glob("open_images_train*.jsonl")))}
    found = {}
    for line in _lines(folder / "locnar_truth.jsonl"):
        boxes: list[Box] = []
        mentions = []
        for mention in line["mentions"]:
            own = [(x, y, x + w, y + h) for x, y, w, h in mention["boxes_xywh"]]
            boxes += [box for box in own if box not in boxes]
            place = tuple(boxes.index(box) for box in own)
            mentions.append(TrueMention(span=(mention["start"], mention["end"]), objects=place))
        found[f"{line['image_id']}.jpg"] = TruePhoto(
            key=f"openimages_{line['image_id']}",
            boxes_xyxy=np.array(boxes, dtype=np.float64).reshape(-1, 4),
            kinds=("",) * len(boxes),
            captions={captions[line["image_id"]]: mentions},
        )
    return found


def _lines(path: Path) -> Iterable[Any]:
    return map(json.loads, path.read_text().splitlines())


def pixels_digest(photo: Image.Image) -> str:
    """What tells photos apart that come without a name."""
    return hashlib.sha256(photo.convert("RGB").tobytes()).hexdigest()


class NoisyGrounder:
    """See the module. ``photos`` are the truth by file name, ``folder`` is where the files are."""

    def __init__(self, photos: Mapping[str, TruePhoto], folder: Path, noise: Noise, seed: int = 0) -> None:
        self._noise, self._seed = noise, seed
        self._photos: dict[str, TruePhoto] = {}
        for name, photo in photos.items():
            self._photos[pixels_digest(decode_photo((folder / name).read_bytes()))] = photo

    def prepare(self, photo: Image.Image) -> tuple[TruePhoto, tuple[int, int]]:
        """Recognises a photo."""
        return self._photos[pixels_digest(photo)], (photo.height, photo.width)

    def ground_prepared(self, photos: Sequence[Any], phrases: Sequence[Sequence[Any]], keep: int) -> list[list[Answer]]:
        """Answers as the module says."""
        return [
            [self._answer(photo, size_hw, one, keep) for one in group]
            for (photo, size_hw), group in zip(photos, phrases, strict=True)
        ]

    def forget(self) -> None:
        """Keeps nothing."""

    def fingerprint(self) -> str:
        """Tells noises apart."""
        return f"{self._noise} {self._seed}"

    def _answer(self, photo: TruePhoto, size_hw: tuple[int, int], phrase: Any, keep: int) -> Answer:
        caption = next(text for text in photo.captions if phrase.text in text)
        at = caption.index(phrase.text)
        mentions = photo.captions[caption]
        known = mention_at([one.span for one in mentions], [(begin + at, end + at) for begin, end in phrase.spans])
        true = () if known is None else mentions[known].objects
        rng = np.random.default_rng([self._seed, crc32(f"{photo.key} {phrase.text} {phrase.spans}".encode())])
        boxes, scores = self._draw(photo, true, size_hw, rng)
        order = np.argsort(-scores, kind="stable")[:keep]
        return Answer(boxes_xyxy=boxes[order], scores=scores[order].astype(np.float32))

    def _draw(
        self, photo: TruePhoto, true: Sequence[int], size_hw: tuple[int, int], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        noise = self._noise
        limit = np.array([size_hw[1], size_hw[0]] * 2, dtype=np.float64)
        boxes: list[NDArray[np.float64]] = []
        scores: list[float] = []
        kinds = {photo.kinds[i] for i in true} - {""}

        def add(box: NDArray[np.float64], score: float, moved: float) -> None:
            side = np.tile(box[2:] - box[:2], 2)
            corners = np.clip(box + rng.normal(0, moved, 4) * side, 0, limit)
            boxes.append(np.concatenate([np.minimum(corners[:2], corners[2:]), np.maximum(corners[:2], corners[2:])]))
            scores.append(float(np.clip(rng.normal(score, noise.spread), 0.01, 0.99)))

        for index, (box, kind) in enumerate(zip(photo.boxes_xyxy, photo.kinds, strict=True)):
            mean = noise.right if index in true else noise.same_kind if kind in kinds else noise.other
            if rng.random() < (noise.missed if index in true else 0.3):
                continue
            add(box, mean, noise.moved)
            add(box, mean - 0.08, 1.5 * noise.moved)
        for _ in range(3):
            low = rng.uniform(0, 0.7, 2)
            nothing = np.concatenate([low, low + rng.uniform(0.1, 0.3, 2)]) * limit
            add(nothing, noise.other - 0.1, 0.0)
        return np.array(boxes), np.array(scores)
