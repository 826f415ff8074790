"""The outline of every shape: polygons in [-1, 1]², y downwards, as numpy arrays [n, 2].

A shape is one outer polygon and, for a ring, one hole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def _polar(radius: Callable[[Points], Points], count: int = 44) -> Points:
    angle = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    distance = radius(angle)
    return np.stack([distance * np.sin(angle), -distance * np.cos(angle)], axis=1)


def _circle(radius: float = 1.0) -> Points:
    return _polar(lambda angle: np.full_like(angle, radius))


def _star() -> Points:
    radii = np.tile([1.0, 0.42], 5)
    angle = np.arange(10) * np.pi / 5
    return np.stack([radii * np.sin(angle), -radii * np.cos(angle)], axis=1)


def _heart() -> Points:
    angle = np.linspace(0.0, 2 * np.pi, 44, endpoint=False)
    x = 16 * np.sin(angle) ** 3
    y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return np.stack([x / 16.5, -(y + 2.5) / 16.5], axis=1)


def _crescent() -> Points:
    outer = np.linspace(np.pi * 0.18, np.pi * 1.82, 30)
    inner = np.linspace(np.pi * 1.72, np.pi * 0.28, 24)
    far = np.stack([np.cos(outer) * -1.0, np.sin(outer)], axis=1)
    near = np.stack([np.cos(inner) * -0.72 - 0.38, np.sin(inner) * 0.72], axis=1)
    return -np.concatenate([far, near]) * 0.98


def _half_circle() -> Points:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 28)
    return np.stack([np.sin(angle), 0.5 - np.cos(angle)], axis=1)


def _teardrop() -> Points:
    angle = np.linspace(-np.pi * 0.72, np.pi * 0.72, 32)
    bulb = np.stack([np.sin(angle) * 0.62, 0.36 + np.cos(angle) * 0.62], axis=1)
    return np.concatenate([bulb, [[0.0, -1.0]]])


def _polygon(*corners: tuple[float, float]) -> Points:
    return np.array(corners, dtype=np.float64)


_THIRD = 0.34
OUTLINES: dict[str, tuple[Points, ...]] = {
    "circle": (_circle(),),
    "square": (_polygon((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),),
    "triangle": (_polygon((0, -0.95), (1.0, 0.8), (-1.0, 0.8)),),
    "star": (_star(),),
    "heart": (_heart(),),
    "cross": (
        _polygon(
            (-_THIRD, -1), (_THIRD, -1), (_THIRD, -_THIRD), (1, -_THIRD), (1, _THIRD), (_THIRD, _THIRD),
            (_THIRD, 1), (-_THIRD, 1), (-_THIRD, _THIRD), (-1, _THIRD), (-1, -_THIRD), (-_THIRD, -_THIRD),
        ),
    ),
    "ring": (_circle(), _circle(0.55)),
    "diamond": (_polygon((0, -1), (0.62, 0), (0, 1), (-0.62, 0)),),
    "crescent": (_crescent(),),
    "arrow": (_polygon((-1, -0.3), (0.1, -0.3), (0.1, -0.78), (1, 0), (0.1, 0.78), (0.1, 0.3), (-1, 0.3)),),
    "flower": (_polar(lambda angle: 0.5 + 0.5 * np.sqrt(np.abs(np.cos(2.5 * angle))), 80),),
    "half circle": (_half_circle(),),
    "lightning bolt": (
        _polygon((0.25, -1), (-0.55, 0.12), (-0.05, 0.12), (-0.3, 1), (0.55, -0.25), (0.05, -0.25), (0.5, -1)),
    ),
    "teardrop": (_teardrop(),),
}  # fmt: skip


def placed_outline(shape: str, centre_xy: tuple[float, float], radius: float, tilt_degrees: float) -> list[Points]:
    """The outline's polygons [n, 2] in pixels of the photo, turned by the tilt and not clipped to the photo."""
    tilt = np.deg2rad(tilt_degrees)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    return [points @ turn * radius + np.array(centre_xy) for points in OUTLINES[shape]]


def clip_polygon(points: Points, height: int, width: int) -> Points:
    """The part of a polygon [n, 2] inside the photo (Sutherland-Hodgman, 1974); no points when none is inside."""
    if (points >= 0).all() and (points <= (width, height)).all():
        return points
    corners = [(float(x), float(y)) for x, y in points]
    for axis, limit, sign in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        kept: list[tuple[float, float]] = []
        for here, there in zip(corners, [*corners[1:], *corners[:1]], strict=True):
            inside, next_inside = sign * (here[axis] - limit) >= 0, sign * (there[axis] - limit) >= 0
            if inside:
                kept.append(here)
            if inside != next_inside:
                share = (limit - here[axis]) / (there[axis] - here[axis])
                kept.append((here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])))
        corners = kept
    return np.array(corners, dtype=np.float64).reshape(-1, 2)
