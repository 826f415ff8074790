"""How right labels are: phrase→box pairs against a known truth, at IoU 0.5, one box to one.

By kind of phrase, and whether their scores can be trusted: of labels that score alike, how many are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import iou_matrix_xyxy
from xdetr_data.record import GroundedImage, Phrase
from xdetr_data.spans import Span

MIN_IOU = 0.5
ALL, SINGULAR, PLURAL, ATTRIBUTE = "all", "singular", "plural", "attribute"
_BINS = 10
# Words before a noun that tell no attribute of it.
_ARTICLES = frozenset(("a", "an", "the", "this", "that", "these", "those", "his", "her", "its", "their", "my", "our"))
_AMOUNTS = frozenset(
    ("some", "any", "another", "other", "each", "every", "all", "both", "several", "many", "few", "more")
)
_NUMBERS = frozenset(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))
_PLAIN = _ARTICLES | _AMOUNTS | _NUMBERS


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLabel:
    """A label box of a phrase that the truth knows. ``score`` is the phrase's, None where the labels have none."""

    kinds: tuple[str, ...]
    score: float | None
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of a photo's labels. ``truths`` counts true boxes by kind; ``unknown`` phrases are not judged, for
    the truth has none of their words."""

    labels: tuple[JudgedLabel, ...] = ()
    truths: Counter[str] = field(default_factory=Counter)
    unknown: int = 0

    def scores(self) -> dict[str, LabelScore]:
        """By kind, and of all together."""
        found, right = Counter[str](), Counter[str]()
        for one in self.labels:
            found.update((ALL, *one.kinds))
            right.update((ALL, *one.kinds) if one.is_right else ())
        return {
            kind: LabelScore(labels=found[kind], truths=self.truths[kind], right=right[kind])
            for kind in (ALL, SINGULAR, PLURAL, ATTRIBUTE)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustBin:
    """Labels of like score: how many, their mean score, and the share of them that is right."""

    labels: int
    score: float
    precision: float


def phrase_kinds(words: str, boxes: int) -> tuple[str, ...]:
    """Kinds of a true phrase: singular or plural by how many boxes it names; attribute where words other than
    articles, numbers and possessives stand before the last one ("a **red** ball")."""
    before = [word for word in words.lower().split()[:-1] if word not in _PLAIN]
    return (PLURAL if boxes > 1 else SINGULAR, *([ATTRIBUTE] if before else []))


def true_captions(record: GroundedImage) -> dict[str, list[TrueMention]]:
    """What a photo of a dataset says, as a truth: its sentences with their phrases."""
    captions: dict[str, list[TrueMention]] = {}
    for query in record.queries:
        mentions = captions.setdefault(query.text, [])
        for phrase in query.phrases:
            boxes = np.array([record.regions[i].box_xyxy for i in phrase.regions], np.float64).reshape(-1, 4)
            mentions.append(TrueMention(span=(phrase.spans[0][0], phrase.spans[-1][1]), boxes_xyxy=boxes))
    return captions


def judge_labels(record: GroundedImage, captions: Mapping[str, Sequence[TrueMention]]) -> Judgement:
    """Judges one photo against the mentions of its captions, by caption.

    A phrase is that true mention with which it shares most characters; phrases that share none, and queries that are
    no sentence of the captions, are unknown to the truth and not judged.
    """
    truths = Counter[str]()
    for text, mentions in captions.items():
        for one in mentions:
            for kind in (ALL, *_kinds(text, one)):
                truths[kind] += len(one.boxes_xyxy)
    labels: list[JudgedLabel] = []
    unknown = 0
    for query in record.queries:
        caption = next((text for text in captions if query.text in text), None)
        for phrase in query.phrases:
            known = None if caption is None else _mention_of(phrase, captions[caption], caption.index(query.text))
            if caption is None or known is None:
                unknown += 1
                continue
            boxes = np.array([record.regions[i].box_xyxy for i in phrase.regions], np.float64).reshape(-1, 4)
            kinds = _kinds(caption, known)
            labels += [
                JudgedLabel(kinds=kinds, score=phrase.score, is_right=bool(is_right))
                for is_right in match_labels(boxes, known.boxes_xyxy)
            ]
    return Judgement(labels=tuple(labels), truths=truths, unknown=unknown)


def _kinds(text: str, mention: TrueMention) -> tuple[str, ...]:
    begin, end = mention.span
    return phrase_kinds(text[begin:end], len(mention.boxes_xyxy))


def _mention_of(phrase: Phrase, mentions: Sequence[TrueMention], at: int) -> TrueMention | None:
    """The mention that a phrase is, whose query begins at character ``at`` of the caption."""
    known = mention_at([one.span for one in mentions], [(begin + at, end + at) for begin, end in phrase.spans])
    return None if known is None else mentions[known]


def join_judgements(photos: Iterable[Judgement]) -> Judgement:
    """Several photos as one."""
    labels: list[JudgedLabel] = []
    truths, unknown = Counter[str](), 0
    for one in photos:
        labels += one.labels
        truths += one.truths
        unknown += one.unknown
    return Judgement(labels=tuple(labels), truths=truths, unknown=unknown)


def score_labels(record: GroundedImage, captions: Mapping[str, Sequence[TrueMention]]) -> LabelScore:
    """Scores one photo, all kinds together. Raises ValueError for a query that is no sentence of the captions."""
    for query in record.queries:
        if not any(query.text in text for text in captions):
            raise ValueError(f"{record.key}: {query.text!r} is in no caption")
    return judge_labels(record, captions).scores()[ALL]


def trust(labels: Sequence[JudgedLabel], bins: int = _BINS) -> list[TrustBin]:
    """Labels with a score in ``bins`` of like numbers, from the least trusted on: a diagram of trust.

    Bins of equal number, for a score is on any scale (a cosine, a probability).
    """
    scored = sorted((one.score, one.is_right) for one in labels if one.score is not None)
    parts = np.array_split(np.array(scored, np.float64).reshape(-1, 2), bins)
    return [
        TrustBin(labels=len(part), score=float(part[:, 0].mean()), precision=float(part[:, 1].mean()))
        for part in parts
        if len(part)
    ]


def calibration_error(bins: Sequence[TrustBin]) -> float:
    """Mean distance of score and precision over labels (expected calibration error); NaN without a score, and where
    scores are no probabilities (outside 0..1)."""
    if not bins or not all(0 <= one.score <= 1 for one in bins):
        return float("nan")
    return sum(one.labels * abs(one.score - one.precision) for one in bins) / sum(one.labels for one in bins)


def mention_at(mentions: Sequence[Span], spans: Sequence[Span]) -> int | None:
    """Which mention shares most characters with a phrase's spans; None where all share none."""
    shared = [sum(max(0, min(end, e) - max(begin, b)) for begin, end in spans) for b, e in mentions]
    return int(np.argmax(shared)) if any(shared) else None


def count_matches(labels_xyxy: NDArray[np.float64], truths_xyxy: NDArray[np.float64]) -> int:
    """How many labels find a true box of their own, best overlap first."""
    return int(match_labels(labels_xyxy, truths_xyxy).sum())


def match_labels(labels_xyxy: NDArray[np.float64], truths_xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which labels find a true box of their own, best overlap first."""
    iou = iou_matrix_xyxy(labels_xyxy, truths_xyxy)
    found = np.zeros(len(labels_xyxy), np.bool_)
    while iou.size and iou.max() >= MIN_IOU:
        label, truth = np.unravel_index(int(iou.argmax()), iou.shape)
        iou[label, :] = iou[:, truth] = -1
        found[label] = True
    return found
