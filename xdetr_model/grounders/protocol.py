"""What finds the boxes of phrases: the protocol that labelling code is written against, and its values.

Everything here is plain Python and numpy, so that callers need neither torch nor this package to fake one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from xdetr_model.errors import TargetError
from xdetr_model.photos import PreparedPhoto

Fit = Literal["whole", "cut", "truncated", "between_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseQuery:
    """A phrase in its sentence: ``spans`` are ``(begin, end)`` characters of ``text``."""

    text: str
    spans: tuple[tuple[int, int], ...]


def _no_boxes() -> NDArray[np.float64]:
    return np.zeros((0, 4), np.float64)


def _no_scores() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Boxes of one phrase, best first: ``boxes_xyxy [K, 4]`` in pixels of the original photo, within it, and
    ``scores [K]``. What a score means is the grounder's matter (cosine for X-DETR, probability for the others).

    ``fit``: whether the model saw the phrase. ``cut``: its end fell to the text's length limit, the boxes are those of
    the rest; ``truncated`` and ``between_tokens``: the model saw none of it, and K is 0.

    ``masks [K]``, from models that segment: COCO's compressed run lengths at the photo's size, None for an empty one.
    Others leave it empty.
    """

    boxes_xyxy: NDArray[np.float64] = field(default_factory=_no_boxes)
    scores: NDArray[np.float32] = field(default_factory=_no_scores)
    fit: Fit = "whole"
    masks: tuple[str | None, ...] = ()


class Grounder(Protocol):
    """Finds phrases in photos.

    ``prepare`` is safe in threads, so that photos are decoded and resized ahead of the device. Results do not depend
    on what else is in a call (to 1e-4 where photos of different sizes are batched).
    """

    def prepare(self, photo: Image) -> PreparedPhoto:
        """The part of the work that needs no device."""
        ...

    def ground_prepared(
        self, photos: Sequence[PreparedPhoto], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Candidates]]:
        """At most ``keep`` candidates for every phrase of every photo, in the order given."""
        ...

    def ground(
        self, photos: Sequence[Image], phrases: Sequence[Sequence[PhraseQuery]], keep: int
    ) -> list[list[Candidates]]:
        """``prepare`` and ``ground_prepared`` in one."""
        ...

    def forget(self) -> None:
        """Drops what earlier calls left behind (encoded phrases), so that the bits of results depend on the calls
        since alone: texts are encoded in batches, and a batch's other members can move a last bit."""
        ...

    def fingerprint(self) -> str:
        """Hash of the weights, the configuration and every option that changes results, for a manifest."""
        ...


def check_call(photos: Sequence[object], phrases: Sequence[Sequence[PhraseQuery]], keep: int) -> None:
    """Raises ValueError unless there is one list of phrases per photo and ``keep`` is positive, and TargetError for a
    phrase without characters of its text."""
    if len(photos) != len(phrases):
        raise ValueError(f"{len(photos)} photos but phrases for {len(phrases)}")
    if keep < 1:
        raise ValueError(f"keep={keep} must be at least 1")
    for query in {query for group in phrases for query in group}:
        length = len(query.text)
        if not query.spans or not all(0 <= begin < end <= length for begin, end in query.spans):
            raise TargetError(f"spans {query.spans} are not of the {length} characters of {query.text[:40]!r}")


def best(boxes_xyxy: NDArray[np.float64], scores: NDArray[np.float32], keep: int, fit: Fit) -> Candidates:
    """The ``keep`` best of all boxes; equal scores stay in the model's order."""
    order = np.argsort(-scores, kind="stable")[:keep]
    return Candidates(boxes_xyxy=boxes_xyxy[order], scores=scores[order].astype(np.float32), fit=fit)


def to_pixels(boxes_cxcywh_norm: NDArray[np.floating], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes in units of the photo → corners in pixels, cut at its edges."""
    centre, side = boxes_cxcywh_norm[:, :2].astype(np.float64), boxes_cxcywh_norm[:, 2:].astype(np.float64)
    limit = np.array([size_hw[1], size_hw[0]], np.float64)
    low, high = (centre - side / 2) * limit, (centre + side / 2) * limit
    return np.concatenate([low.clip(0, limit), high.clip(0, limit)], axis=1)
