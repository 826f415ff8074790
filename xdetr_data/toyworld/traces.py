"""Timed words and mouse traces for a narrative."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from xdetr_data.spans import Span
from xdetr_data.toyworld.dice import Dice

_STEP_SECONDS = 0.04
_POINTS_A_TURN = 8


class Word(NamedTuple):
    """A piece of speech; ``span`` is where it stands in the caption, seconds count from the beginning."""

    utterance: str
    span: Span
    start: float
    end: float


class Stay(NamedTuple):
    """From ``start`` to ``end`` (seconds) the speaker points at these boxes (xyxy, normalised) one after another."""

    start: float
    end: float
    boxes_xyxy_norm: list[tuple[float, float, float, float]]


def spoken_words(caption: str, dice: Dice) -> list[Word]:
    """The caption's words as a speech recogniser times them: some joined, altered, lost (empty) or of no length."""
    words: list[Word] = []
    clock = dice.uniform(0.0, 0.8)
    for match in re.finditer(r"\S+(?: \S+)?" if dice.chance(0.04) else r"\S+", caption):
        roll, text = dice.uniform(), match.group()
        if roll < 0.03:
            text = text.lower().strip(".,")
        elif roll < 0.05:
            text = f"um {text}"
        elif roll < 0.06:
            text = ""
        seconds = 0.0 if dice.chance(0.01) else (0.1 + 0.055 * len(text)) * dice.uniform(0.8, 1.3)
        words.append(Word(text, match.span(), round(clock, 2), round(clock + seconds, 2)))
        clock += seconds + (dice.uniform(0.2, 0.9) if text.endswith(".") else 0.05)
    return words


def trace_segments(dice: Dice, stays: list[Stay], seconds: float) -> list[list[dict[str, float]]]:
    """The trace as strokes of {x, y, t}, normalised and not kept inside the photo; empty when it was lost."""
    if dice.chance(0.03):
        return []
    lag, drift = dice.uniform(-0.25, 0.2), (dice.uniform(-0.02, 0.02), dice.uniform(-0.02, 0.02))
    knots = [(0.0, dice.uniform(0.1, 0.9), dice.uniform(0.1, 0.9))]
    for stay in stays:
        share = max(0.2, stay.end - stay.start) / len(stay.boxes_xyxy_norm)
        for turn, box in enumerate(stay.boxes_xyxy_norm):
            knots += _circle(dice, box, max(0.0, stay.start + lag + turn * share), share * 0.85)
    knots.append((seconds, dice.uniform(0.0, 1.0), dice.uniform(0.0, 1.0)))
    path = np.array(sorted(knots))
    count = max(2, int(seconds / _STEP_SECONDS))
    times = np.sort(dice.rng.uniform(0.0, seconds, count))
    places = np.stack([np.interp(times, path[:, 0], path[:, axis]) for axis in (1, 2)], axis=1)
    places += dice.rng.normal(0.0, 0.006, places.shape) + drift
    points = [
        {"x": x, "y": y, "t": t}
        for (x, y), t in zip(places.round(4).tolist(), times.round(3).tolist(), strict=True)
    ]  # fmt: skip
    return _strokes(dice, points)


def _circle(
    dice: Dice, box: tuple[float, float, float, float], start: float, seconds: float
) -> list[tuple[float, float, float]]:
    """Knots (t, x, y) of a turn or so around a box."""
    left, top, right, bottom = box
    reach, phase = dice.uniform(0.3, 0.6), dice.uniform(0.0, 2 * np.pi)
    turns = dice.uniform(0.9, 1.6)
    angles = phase + np.linspace(0.0, 2 * np.pi * turns, _POINTS_A_TURN + 1)
    times = np.linspace(start, start + seconds, _POINTS_A_TURN + 1)
    x = (left + right) / 2 + np.cos(angles) * reach * (right - left)
    y = (top + bottom) / 2 + np.sin(angles) * reach * (bottom - top)
    return list(zip(times.tolist(), x.tolist(), y.tolist(), strict=True))


def _strokes(dice: Dice, points: list[dict[str, float]]) -> list[list[dict[str, float]]]:
    """Cuts the trace where the pen was lifted; now and then a stroke is lost."""
    cuts = sorted(dice.integer(1, len(points) - 1) for _ in range(dice.weighted((0, 1, 2), (5, 3, 2))))
    bounds = [0, *cuts, len(points)]
    strokes = [points[begin:end] for begin, end in pairwise(bounds) if begin < end]
    if len(strokes) > 1 and dice.chance(0.15):
        strokes.pop(dice.integer(0, len(strokes) - 1))
    return strokes
