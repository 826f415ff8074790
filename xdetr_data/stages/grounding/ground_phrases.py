"""Which of a phrase's candidate boxes become its labels: pure choices over what a grounder and the trace said.

``paper`` keeps the one best box of a phrase, as X-DETR does (supplement, Localized Narratives). ``multi`` answers the
weakness that the paper names: a plural noun or a numeral sets how many boxes may stay, a threshold relative to the best
score and non-maximum suppression choose them.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.errors import ConfigError
from xdetr_data.spans import Span

Method = Literal["paper", "multi"]
TraceMode = Literal["off", "score", "filter"]
NO_CANDIDATE, BELOW_THRESHOLD, TRACE_DISAGREES = "no-candidate", "below-threshold", "trace-disagrees"


class PhraseQuery(Protocol):
    """A phrase in its sentence, as a grounder takes it."""

    @property
    def text(self) -> str:
        """The whole sentence."""

    @property
    def spans(self) -> tuple[Span, ...]:
        """Characters of the phrase in the sentence."""


class PhraseCandidates(Protocol):
    """Boxes ``[K, 4]`` in pixels of the original photo and their scores ``[K]``, best first.

    A grounder that segments also says ``masks [K]``, each as a record's region has it, or None.
    """

    @property
    def boxes_xyxy(self) -> NDArray[np.float64]:
        """Boxes ``[K, 4]``."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores ``[K]``."""

    @property
    def fit(self) -> str:
        """Whether the model saw the whole phrase: whole, cut, truncated, between_tokens."""


class SelectionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How labels are chosen. Every number is part of the configuration and of its hash, and a flag with this help.

    ``trace=filter`` drops boxes that agree less with the mouse trace than ``min_agreement`` and ranks by
    ``score * agreement ** trace_weight``; no trace drops nothing and counts as agreement 1, and a negative score stays
    what it is.
    """

    method: Annotated[
        Method,
        Meta(description="paper: the one best box of a phrase; multi: as many as a plural or a numeral says."),
    ] = "paper"
    trace: Annotated[
        TraceMode,
        Meta(description="score: note how well a label agrees with the mouse; filter: also drop and rank by it."),
    ] = "off"
    score_threshold: Annotated[
        float | None,
        Meta(
            description="A box that scores less is no label. X-DETR's scores are cosines, -1 to 1; those of other "
            "detectors are probabilities, 0 to 1.",
            extra={"default": "none"},
        ),
    ] = None
    max_plural: Annotated[int, Meta(description="Most boxes of a plural without a numeral (multi).")] = 10
    relative_threshold: Annotated[
        float, Meta(description="Share of the best score that a further box must reach (multi).")
    ] = 0.5
    nms_iou: Annotated[
        float, Meta(description="Of two boxes of a phrase with this IoU the better one stays (multi).")
    ] = 0.5
    min_agreement: Annotated[float, Meta(description="Least agreement with the mouse (--trace filter).")] = 0.1
    trace_weight: Annotated[
        float, Meta(description="How strongly agreement counts in the ranking (--trace filter).")
    ] = 0.5

    def __post_init__(self) -> None:
        """Raises ConfigError for a number out of its range."""
        for name in ("relative_threshold", "nms_iou", "min_agreement"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)} must be between 0 and 1")
        if self.max_plural < 1:
            raise ConfigError(f"--max-plural {self.max_plural} must be at least 1")
        if not 0 <= self.trace_weight < math.inf:
            raise ConfigError(f"--trace-weight {self.trace_weight} must be at least 0 and finite")
        if self.score_threshold is not None and not math.isfinite(self.score_threshold):
            raise ConfigError(f"--score-threshold {self.score_threshold} must be a finite number")


def boxes_allowed(rule: SelectionRule, *, is_plural: bool, count: int | None) -> int:
    """How many boxes a phrase may keep: "three dogs" 3, "dogs" ``max_plural``, "a dog" 1; ``paper`` always 1."""
    if rule.method == "paper":
        return 1
    if count is not None:
        return max(1, min(count, rule.max_plural))
    return rule.max_plural if is_plural else 1


def select_boxes(
    rule: SelectionRule,
    *,
    boxes_xyxy: NDArray[np.float64],
    scores: Sequence[float],
    agreement: Sequence[float | None],
    is_plural: bool,
    count: int | None,
) -> tuple[list[int], str | None]:
    """Indices of the candidates that become labels, best first; or none, and the reason.

    ``agreement`` is each candidate's agreement with the mouse trace in [0, 1], None where there is no trace.
    """
    if len(scores) == 0:
        return [], NO_CANDIDATE
    least = -math.inf if rule.score_threshold is None else rule.score_threshold
    able = [i for i, score in enumerate(scores) if score >= least]
    if not able:
        return [], BELOW_THRESHOLD
    ranking = [float(score) for score in scores]
    if rule.trace == "filter":
        able = [i for i in able if (given := agreement[i]) is None or given >= rule.min_agreement]
        if not able:
            return [], TRACE_DISAGREES
        ranking = [
            score if given is None or score < 0 else score * given**rule.trace_weight
            for score, given in zip(ranking, agreement, strict=True)
        ]
    able.sort(key=lambda i: (-ranking[i], i))
    allowed = boxes_allowed(rule, is_plural=is_plural, count=count)
    if allowed == 1:
        return able[:1], None
    best = ranking[able[0]]
    floor = min(best, rule.relative_threshold * best)  # a cosine can be negative
    return _suppress([i for i in able if ranking[i] >= floor], boxes_xyxy, rule.nms_iou, allowed), None


def _suppress(ranked: list[int], boxes_xyxy: NDArray[np.float64], nms_iou: float, allowed: int) -> list[int]:
    """The best ``allowed`` candidates of which no two overlap by ``nms_iou`` or more."""
    iou = iou_matrix_xyxy(boxes_xyxy, boxes_xyxy)
    kept: list[int] = []
    for i in ranked:
        if len(kept) < allowed and all(iou[i, j] < nms_iou for j in kept):
            kept.append(i)
    return kept
