"""Where the speaker pointed while saying a phrase, and how well a box agrees with it.

A narrative's words are timed and the mouse's path is timed, by one clock. The phrase's characters give a stretch of
time (``align_words``), the stretch gives the path drawn then, and a box's agreement with that path is the harmonic mean
of two shares, each of which alone is fooled:

* *inside*: the share of the stretch that the mouse spent in the (slightly enlarged) box. The whole photo has all of it.
* *coverage*: the share of the box that the path's extent covers. Any small box under the path is covered.

Their harmonic mean is high only where path and box are about the same place, which is how annotators were told to
speak: move the mouse over the object while naming it (Pont-Tuset et al., *Connecting Vision and Language with Localized
Narratives*, sec. 3.1). Intersection over union of extent and box was tried and is worse, since a stretch also holds the
way to the object and from it, which blows the extent up but counts little in time (docs/benchmarks/trace.md).

The mouse leads or lags the voice by some tenths of a second, so the stretch is longer than the words at both ends, and
what lies further from the words counts less. A resting mouse sends no points, so a point counts as long as it was held.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xdetr_data.sources.localized_narratives import Narrative, Utterance
from xdetr_data.spans import Span

LEAD_S = LAG_S = 0.4
MARGIN = 0.1  # of the box's side, at each side: people circle objects, and overshoot
OFF_PHOTO = 0.1  # of the photo's side: a point further out is a mouse that left, not one that points at the border
TRIM = 0.05  # of the time, at each end of each axis: the way to the object and from it
MIN_EXTENT = 0.04  # of the photo's side: nobody points more exactly
LATEST_S = 1e6  # days; what claims to be later is damaged, and its arithmetic would overflow
MANY_WORDS = 400  # from which on frequent words no longer anchor an alignment: its time grows with their cube
TOUCH_S = 1e-3  # a point counts for at least this long, so that the last one of a trace counts at all

Floats = NDArray[np.float64]

_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True, slots=True, eq=False)
class WordTimes:
    """The words of a caption: characters ``span_char [N, 2]`` and seconds ``time_s [N, 2]``, both begin and end."""

    span_char: NDArray[np.int64]
    time_s: Floats


def align_words(caption: str, utterances: Sequence[Utterance]) -> WordTimes | None:
    """When each word of the caption was said, or None where no word of it is among the utterances.

    The utterances are the caption in pieces, with small differences. Words that are the same, in order, take their
    utterance's time; a run of words that was said otherwise shares the time of what was said in its place; a word that
    was not said lies between its neighbours.
    """
    words = [match.span() for match in _WORD.finditer(caption)]
    texts = [caption[begin:end].lower() for begin, end in words]
    said, said_s = _said_words(utterances)
    time_s = np.full((len(words), 2), np.nan)
    for begin, end, said_begin, said_end in _matching_runs(texts, said):
        if end - begin == said_end - said_begin:
            time_s[begin:end] = said_s[said_begin:said_end]
        elif said_begin < said_end:
            whole = said_s[said_begin:said_end]
            time_s[begin:end] = _share(texts[begin:end], whole[:, 0].min(), whole[:, 1].max())
    if not len(words) or np.isnan(time_s).all():
        return None
    return WordTimes(span_char=np.array(words, dtype=np.int64), time_s=_fill(time_s))


def _said_words(utterances: Sequence[Utterance]) -> tuple[list[str], Floats]:
    """Words of the utterances and their times ``[N, 2]``; the words of one utterance share its time."""
    said: list[str] = []
    times: list[tuple[float, float]] = []
    for one in utterances:
        words = _WORD.findall(one.utterance.lower())
        said += words
        begin_s, end_s = (min(max(time_s, -LATEST_S), LATEST_S) for time_s in (one.start_time, one.end_time))
        times += _share(words, begin_s, max(begin_s, end_s))
    return said, np.array(times, dtype=np.float64).reshape(-1, 2)


def _share(words: Sequence[str], begin_s: float, end_s: float) -> list[tuple[float, float]]:
    """A stretch of time cut in proportion to the words' lengths."""
    if len(words) == 1:
        return [(begin_s, end_s)]
    per_letter = (end_s - begin_s) / max(1, sum(map(len, words)))
    edges = [begin_s + per_letter * letters for letters in accumulate(map(len, words), initial=0)]
    return list(pairwise(edges))


def _matching_runs(a: list[str], b: list[str]) -> list[tuple[int, int, int, int]]:
    """Runs ``(a begin, a end, b begin, b end)`` that stand for each other: equal words, or words in one place."""
    if a == b:
        return [(0, len(a), 0, len(b))]
    matcher = SequenceMatcher(None, a, b, autojunk=len(b) > MANY_WORDS)
    if not any(block.size for block in matcher.get_matching_blocks()):
        return []
    return [(i, j, k, m) for kind, i, j, k, m in matcher.get_opcodes() if kind in ("equal", "replace")]


def _fill(time_s: Floats) -> Floats:
    """A word without a time lies between the end of the word before it and the begin of the one after it."""
    known = np.flatnonzero(~np.isnan(time_s[:, 0]))
    unknown = np.flatnonzero(np.isnan(time_s[:, 0]))
    after = np.searchsorted(known, unknown)
    begin_s = time_s[known[np.maximum(after - 1, 0)], 1]
    end_s = time_s[known[np.minimum(after, len(known) - 1)], 0]
    begin_s = np.where(after == 0, end_s, begin_s)
    end_s = np.where(after == len(known), begin_s, end_s)
    time_s[unknown] = np.stack([begin_s, np.maximum(begin_s, end_s)], axis=1)
    return time_s


class TraceClock:
    """A narrative's words and mouse path on its clock; without timed words or without a path, there is no evidence.

    Attributes:
        words: the caption's words with their times, or None.
        xy_norm: the path ``[P, 2]`` in units of the photo, clipped to it; points far outside are left out.
        held_s: from when until when the mouse was at each point ``[P, 2]``.
    """

    __slots__ = ("held_s", "words", "xy_norm")

    def __init__(self, narrative: Narrative) -> None:
        self.words = align_words(narrative.caption, narrative.timed_caption or ())
        parts = [_held(np.array([(p.x, p.y, p.t) for p in trace])) for trace in narrative.traces or () if trace]
        points = np.concatenate(parts) if parts else np.zeros((0, 4))
        near = ((points[:, :2] >= -OFF_PHOTO) & (points[:, :2] <= 1 + OFF_PHOTO)).all(axis=1)
        self.xy_norm: Floats = np.clip(points[near, :2], 0.0, 1.0)
        self.held_s: Floats = points[near, 2:]

    def windows_s(self, spans: Sequence[Span]) -> list[tuple[float, float]]:
        """From when until when each span of the caption was said; spans without a word are left out."""
        if self.words is None:
            return []
        windows = []
        for begin, end in spans:
            inside = (self.words.span_char[:, 0] < end) & (self.words.span_char[:, 1] > begin)
            if inside.any():
                times = self.words.time_s[inside]
                windows.append((float(times.min()), float(times.max())))
        return windows


def _held(points_xyt: Floats) -> Floats:
    """``[P, 3]`` of one trace → ``[P, 4]``: x, y, since when, until when the mouse was there (until the next point)."""
    points_xyt[:, 2] = points_xyt[:, 2].clip(-LATEST_S, LATEST_S)
    points = points_xyt[np.argsort(points_xyt[:, 2], kind="stable")]
    until = np.append(points[1:, 2], points[-1, 2])
    return np.column_stack([points, until])


def trace_agreement(
    clock: TraceClock,
    spans: Sequence[Span],
    boxes_xyxy: ArrayLike,
    size_hw: tuple[int, int],
    *,
    lead_s: float = LEAD_S,
    lag_s: float = LAG_S,
) -> list[float | None]:
    """How well each box agrees with where the mouse was while the words at ``spans`` were said.

    Arguments are those of :func:`pointed_path` and :func:`path_agreement`, which this is one after the other.
    """
    return path_agreement(pointed_path(clock, spans, lead_s=lead_s, lag_s=lag_s), boxes_xyxy, size_hw)


def path_agreement(path: "PointedPath | None", boxes_xyxy: ArrayLike, size_hw: tuple[int, int]) -> list[float | None]:
    """How well each box agrees with a path.

    Args:
        path: where the mouse was.
        boxes_xyxy: ``[B, 4]`` in pixels.
        size_hw: the photo's size in pixels.

    Returns:
        ``B`` numbers in [0, 1]; None for each where there is no path, and for a box without area.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    result: list[float | None] = [None] * len(boxes)
    if path is None:
        return result
    height, width = size_hw
    norm = boxes / np.array([width, height, width, height], dtype=np.float64)
    able = np.isfinite(norm).all(axis=1) & (norm[:, :2] < norm[:, 2:]).all(axis=1)
    inside, coverage = inside_share(path, norm[able]), coverage_share(path, norm[able])
    both = inside + coverage
    scores = np.divide(2 * inside * coverage, both, out=np.zeros_like(both), where=both > 0)
    for position, score in zip(np.flatnonzero(able).tolist(), np.clip(scores, 0.0, 1.0).tolist(), strict=True):
        result[position] = score
    return result


@dataclass(frozen=True, slots=True, eq=False)
class PointedPath:
    """Where the mouse was: points ``xy_norm [P, 2]`` and how much each counts, ``weight [P]``, which add up to 1.

    ``extent_norm [4]`` is a box around it without its outermost ``TRIM`` at each side, of ``MIN_EXTENT`` at least.
    """

    xy_norm: Floats
    weight: Floats
    extent_norm: Floats


def pointed_path(
    clock: TraceClock, spans: Sequence[Span], *, lead_s: float = LEAD_S, lag_s: float = LAG_S
) -> PointedPath | None:
    """The path that was drawn while the words at ``spans`` were said, or None where there is none.

    Args:
        clock: the narrative.
        spans: characters of its caption.
        lead_s: how long before the words the mouse may be at their object.
        lag_s: how long after them.
    """
    weights = _weights(clock.held_s, clock.windows_s(spans), lead_s, lag_s)
    seen = weights > 0
    if not seen.any():
        return None
    xy_norm, weight = clock.xy_norm[seen], weights[seen] / weights.sum()
    return PointedPath(xy_norm=xy_norm, weight=weight, extent_norm=_extent(xy_norm, weight))


def _weights(held_s: Floats, windows_s: Sequence[tuple[float, float]], lead_s: float, lag_s: float) -> Floats:
    """How much each point counts ``[P]``: seconds that it was held in a window, less where lead or lag only reach."""
    total = np.zeros(len(held_s))
    for begin, end in windows_s:
        since = np.maximum(held_s[:, 0], begin - lead_s)
        until = np.maximum(np.minimum(held_s[:, 1], end + lag_s), since)
        touches = (held_s[:, 0] >= begin - lead_s) & (held_s[:, 0] <= end + lag_s)
        middle = (since + until) / 2
        early = np.maximum(begin - middle, 0.0) / max(lead_s, TOUCH_S)
        late = np.maximum(middle - end, 0.0) / max(lag_s, TOUCH_S)
        total += (until - since + TOUCH_S * touches) * np.clip(1 - np.maximum(early, late), 0.0, 1.0)
    return total


def inside_share(path: PointedPath, boxes_norm: Floats) -> Floats:
    """Share of the path in each slightly enlarged box, ``[B]``."""
    grow = MARGIN * (boxes_norm[:, 2:] - boxes_norm[:, :2])
    low, high = boxes_norm[:, None, :2] - grow[:, None], boxes_norm[:, None, 2:] + grow[:, None]
    hits = np.logical_and(path.xy_norm >= low, path.xy_norm <= high).all(axis=2)  # [B, P]
    return np.asarray(hits @ path.weight)


def _extent(xy_norm: Floats, weight: Floats) -> Floats:
    """See :class:`PointedPath`."""
    low, high = np.zeros(2), np.zeros(2)
    for axis in range(2):
        order = np.argsort(xy_norm[:, axis], kind="stable")
        middle = np.cumsum(weight[order]) - weight[order] / 2
        low[axis], high[axis] = np.interp([TRIM, 1 - TRIM], middle, xy_norm[order, axis])
    grow = np.maximum(MIN_EXTENT - (high - low), 0.0) / 2
    return np.concatenate([low - grow, high + grow])


def coverage_share(path: PointedPath, boxes_norm: Floats) -> Floats:
    """Share of each box's area that the path's extent covers, ``[B]``."""
    extent = path.extent_norm
    shared = np.minimum(boxes_norm[:, 2:], extent[2:]) - np.maximum(boxes_norm[:, :2], extent[:2])
    area = (boxes_norm[:, 2:] - boxes_norm[:, :2]).prod(axis=1)
    return np.asarray(np.clip(shared, 0.0, None).prod(axis=1) / area)
