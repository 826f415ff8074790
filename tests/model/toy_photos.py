"""Random photos of coloured shapes with a sentence and the truth, drawn here so that nothing is downloaded."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 160, 44),
    "blue": (31, 80, 200),
    "yellow": (240, 210, 40),
    "purple": (140, 60, 180),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
PATTERNS = ("there is {}.", "{} in the picture.", "we see {} here.", "{}.")


@dataclass(frozen=True)
class ToyPhoto:
    """``boxes_xyxy`` in pixels; ``phrases[i]`` is the span of the words that name box i."""

    photo: Image.Image
    boxes_xyxy: tuple[tuple[float, float, float, float], ...]
    text: str
    phrases: tuple[tuple[int, int], ...]


def _points(shape: str, box: tuple[int, int, int, int]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = box
    cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    if shape == "square":
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    if shape == "triangle":
        return [(cx, y0), (x1, y1), (x0, y1)]
    if shape == "diamond":
        return [(cx, y0), (x1, cy), (cx, y1), (x0, cy)]
    a, b = w / 3, h / 3
    return [
        (x0 + a, y0), (x1 - a, y0), (x1 - a, y0 + b), (x1, y0 + b), (x1, y1 - b), (x1 - a, y1 - b),
        (x1 - a, y1), (x0 + a, y1), (x0 + a, y1 - b), (x0, y1 - b), (x0, y0 + b), (x0 + a, y0 + b),
    ]  # fmt: skip


def _free_box(rng: np.random.Generator, side: int, taken: list[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    for _ in range(50):
        w, h = (int(v) for v in rng.integers(side // 7, side // 3, 2))
        x0, y0 = int(rng.integers(1, side - w - 1)), int(rng.integers(1, side - h - 1))
        box = (x0, y0, x0 + w, y0 + h)
        if all(box[0] > b[2] or box[2] < b[0] or box[1] > b[3] or box[3] < b[1] for b in taken):
            return box
    return (0, 0, 0, 0)


def draw_toy_photo(seed: int, side: int = 128) -> ToyPhoto:
    """One photo with one to five shapes, no two of the same colour and shape."""
    rng = np.random.default_rng(seed)
    background = rng.integers(30, 130, 3)
    noise = rng.integers(-12, 12, (side, side, 3))
    photo = Image.fromarray((background + noise).clip(0, 255).astype(np.uint8))
    canvas = ImageDraw.Draw(photo)
    names = [(c, s) for c in COLOURS for s in SHAPES]
    boxes: list[tuple[int, int, int, int]] = []
    nouns: list[str] = []
    for index in rng.permutation(len(names))[: int(rng.integers(1, 6))]:
        box = _free_box(rng, side, boxes)
        if box[2] == 0:
            continue
        colour, shape = names[int(index)]
        if shape == "circle":
            canvas.ellipse(box, fill=COLOURS[colour])
        else:
            canvas.polygon(_points(shape, box), fill=COLOURS[colour])
        boxes.append(box)
        nouns.append(f"{'a' if rng.random() < 0.7 else 'the'} {colour} {shape}")
    listing, spans = "", []
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    start = pattern.index("{}")
    for position, noun in enumerate(nouns):
        listing += "" if position == 0 else (" and " if position == len(nouns) - 1 else ", ")
        spans.append((start + len(listing), start + len(listing) + len(noun)))
        listing += noun
    corners = tuple((float(b[0]), float(b[1]), float(b[2] + 1), float(b[3] + 1)) for b in boxes)
    return ToyPhoto(photo, corners, pattern.format(listing), tuple(spans))
