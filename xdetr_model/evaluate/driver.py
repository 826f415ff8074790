"""A network over labelled photos, in batches: boxes by objectness, phrases by their cosine with the objects."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from transformers import PreTrainedTokenizerBase

from xdetr_model.device import Precision
from xdetr_model.errors import TargetError
from xdetr_model.evaluate.boxes import BoxScores, FoundBoxes, TrueBoxes, box_scores
from xdetr_model.evaluate.phrases import ALL, KS, GroundedPhrase, PhraseRecall, phrase_recall
from xdetr_model.grounders.protocol import PhraseQuery
from xdetr_model.grounders.xdetr import XDetrGrounder, score
from xdetr_model.network.model import XDetrModel
from xdetr_model.photos import PhotoTransform


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseToFind:
    """A phrase in its sentence, its true boxes ``[R, 4]`` in pixels, and its kind (see ``GroundedPhrase.tags``)."""

    query: PhraseQuery
    boxes_xyxy: NDArray[np.float64]
    tag: str = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPhoto:
    """A photo with its truth. ``boxes=None``: not all its objects are boxed, so average precision leaves it out."""

    photo: Image
    boxes: TrueBoxes | None
    phrases: tuple[PhraseToFind, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """``boxes`` is None where no photo has boxes, ``phrases`` is per tag and empty where there are no phrases."""

    boxes: BoxScores | None
    phrases: dict[str, PhraseRecall]

    def scalars(self) -> dict[str, float]:
        """One flat table for a log: ``boxes/ap50``, ``phrases/all/recall@1`` ..."""
        flat = {} if self.boxes is None else {f"boxes/{name}": v for name, v in self.boxes.scalars().items()}
        for tag, recall in self.phrases.items():
            flat |= {f"phrases/{tag}/{name}": value for name, value in recall.scalars().items()}
        return flat


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a network said of photos, beside the truth; answers of several processes add up."""

    photos: int = 0
    found: tuple[FoundBoxes, ...] = ()
    truth: tuple[TrueBoxes, ...] = ()
    phrases: tuple[GroundedPhrase, ...] = ()

    def __add__(self, other: "Answers") -> "Answers":
        """All photos of both."""
        return Answers(
            photos=self.photos + other.photos,
            found=self.found + other.found,
            truth=self.truth + other.truth,
            phrases=self.phrases + other.phrases,
        )


def evaluate(
    model: XDetrModel,
    tokenizer: PreTrainedTokenizerBase,
    transform: PhotoTransform,
    photos: Iterable[LabelledPhoto],
    *,
    batch_size: int = 8,
    precision: Precision = "float32",
    ks: Sequence[int] = KS,
) -> Evaluation:
    """:func:`answer` and :func:`summarise` in one."""
    answers = answer(model, tokenizer, transform, photos, batch_size=batch_size, precision=precision, keep=max(ks))
    return summarise(answers, ks)


def answer(
    model: XDetrModel,
    tokenizer: PreTrainedTokenizerBase,
    transform: PhotoTransform,
    photos: Iterable[LabelledPhoto],
    *,
    batch_size: int = 8,
    precision: Precision = "float32",
    keep: int = max(KS),
) -> Answers:
    """Run a network as it is, on its device; it is left in the mode (training or not) that it was in.

    Photos are read as they are needed and only boxes are kept, ``keep`` per phrase. Below float32 a converted copy of
    the network is run.
    """
    was_training = model.training
    own = model if precision == "float32" else _copy(model)
    answers: list[Answers] = []
    try:
        grounder = XDetrGrounder(
            own, tokenizer, transform, device=str(model.device), precision=precision, batch_size=batch_size
        )
        for batch in _batches(photos, batch_size):
            answers.append(_answer_batch(grounder, batch, keep))
    finally:
        model.train(was_training)
    return sum(answers, start=Answers())


def summarise(answers: Answers, ks: Sequence[int] = KS) -> Evaluation:
    """Scores of all answers together. Raises TargetError when there is no photo at all."""
    if not answers.photos:
        raise TargetError("there is no photo to evaluate on: give a validation set that is not empty")
    has_boxes = any(len(boxes.boxes_xyxy) for boxes in answers.truth)
    return Evaluation(
        boxes=box_scores(answers.found, answers.truth) if has_boxes else None,
        phrases=phrase_recall(answers.phrases, ks) if answers.phrases else {},
    )


def _answer_batch(grounder: XDetrGrounder, batch: Sequence[LabelledPhoto], keep: int) -> Answers:
    encoded = grounder.encode_photos([grounder.prepare(labelled.photo) for labelled in batch])
    vectors = iter(grounder.encode_phrases([phrase.query for labelled in batch for phrase in labelled.phrases]))
    grounded = [
        GroundedPhrase(found_xyxy=candidates.boxes_xyxy, true_xyxy=phrase.boxes_xyxy, tags=(phrase.tag,))
        for labelled, photo in zip(batch, encoded, strict=True)
        for phrase, candidates in zip(
            labelled.phrases, score(photo, [next(vectors) for _ in labelled.phrases], keep), strict=True
        )
    ]
    boxed = [(photo, labelled.boxes) for photo, labelled in zip(encoded, batch, strict=True) if labelled.boxes]
    return Answers(
        photos=len(batch),
        found=tuple(FoundBoxes(boxes_xyxy=photo.boxes_xyxy, scores=photo.objectness) for photo, _ in boxed),
        truth=tuple(boxes for _, boxes in boxed),
        phrases=tuple(grounded),
    )


def _copy(model: XDetrModel) -> XDetrModel:
    copied = XDetrModel(model.config)
    copied.load_state_dict(model.state_dict())
    return copied


def _batches(photos: Iterable[LabelledPhoto], size: int) -> Iterator[list[LabelledPhoto]]:
    batch: list[LabelledPhoto] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
