"""How right labels are: phrase→box pairs against a known truth, at IoU 0.5, one box to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage
from xdetr_data.spans import Span

MIN_IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueMention:
    """Words of a caption (characters) and the boxes ``[K, 4]`` of all objects that they name."""

    span: Span
    boxes_xyxy: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """Label boxes on phrases that the truth knows, true boxes of the mentions, and label boxes that are right."""

    labels: int = 0
    truths: int = 0
    right: int = 0

    def __add__(self, other: LabelScore) -> LabelScore:
        """Sums over photos."""
        return LabelScore(
            labels=self.labels + other.labels, truths=self.truths + other.truths, right=self.right + other.right
        )

    @property
    def precision(self) -> float:
        """Share of the labels that are right."""
        return self.right / max(1, self.labels)

    @property
    def recall(self) -> float:
        """Share of the true boxes that have a label."""
        return self.right / max(1, self.truths)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(1, self.labels + self.truths)


def score_labels(record: GroundedImage, captions: Mapping[str, Sequence[TrueMention]]) -> LabelScore:
    """Scores one photo against the mentions of its captions, by caption.

    A phrase is that true mention with which it shares most characters; phrases that share none are not judged. Raises
    ValueError for a query that is no sentence of the captions.
    """
    total = LabelScore(truths=sum(len(one.boxes_xyxy) for mentions in captions.values() for one in mentions))
    for query in record.queries:
        caption = next((text for text in captions if query.text in text), None)
        if caption is None:
            raise ValueError(f"{record.key}: {query.text!r} is in no caption")
        at = caption.index(query.text)
        spans = [mention.span for mention in captions[caption]]
        for phrase in query.phrases:
            known = mention_at(spans, [(begin + at, end + at) for begin, end in phrase.spans])
            if known is not None:
                boxes = np.array([record.regions[i].box_xyxy for i in phrase.regions]).reshape(-1, 4)
                right = count_matches(boxes, captions[caption][known].boxes_xyxy)
                total += LabelScore(labels=len(boxes), right=right)
    return total


def mention_at(mentions: Sequence[Span], spans: Sequence[Span]) -> int | None:
    """Which mention shares most characters with a phrase's spans; None where all share none."""
    shared = [sum(max(0, min(end, e) - max(begin, b)) for begin, end in spans) for b, e in mentions]
    return int(np.argmax(shared)) if any(shared) else None


def count_matches(labels_xyxy: NDArray[np.float64], truths_xyxy: NDArray[np.float64]) -> int:
    """How many labels find a true box of their own, best overlap first."""
    iou = iou_matrix_xyxy(labels_xyxy, truths_xyxy)
    found = 0
    while iou.size and iou.max() >= MIN_IOU:
        label, truth = np.unravel_index(int(iou.argmax()), iou.shape)
        iou[label, :] = iou[:, truth] = -1
        found += 1
    return found
