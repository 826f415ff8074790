"""Places number tags on boxes so that they cover one another as little as possible."""

from collections.abc import Iterator, Sequence

from xdetr_data.boxes import Box

_STEPS = 6
_SMALL = 6  # a box of fewer tags' areas would vanish below its tag

Size = tuple[float, float]


def place_tags(boxes_xyxy: Sequence[Box], sizes_wh: Sequence[Size], canvas_wh: Size) -> list[Box]:
    """A place ``[x0, y0, x1, y1]`` for each box's tag: at a corner or an edge of its box, inside the canvas.

    The first place that is free, else the one that covers least of the others. Same unit for all arguments.
    """
    placed: list[Box] = []
    for box, size in zip(boxes_xyxy, sizes_wh, strict=True):
        best, least = box, float("inf")
        for spot in _spots(box, size):
            inside = _inside(spot, canvas_wh)
            covered = sum(_overlap(inside, other) for other in placed)
            if covered < least:
                best, least = inside, covered
            if not covered:
                break
        placed.append(best)
    return placed


def _spots(box: Box, size_wh: Size) -> Iterator[Box]:
    """Candidates, best first: along the top edge, above it, along the bottom and the sides; outside a small box."""
    x0, y0, x1, y1 = box
    width, height = size_wh
    is_small = (x1 - x0) * (y1 - y0) < _SMALL * width * height
    for top in (y0 - height, y1, y0, y1 - height) if is_small else (y0, y0 - height, y1 - height, y1):
        for step in range(_STEPS):
            left = x0 + (max(x1 - x0, width) - width) * step / (_STEPS - 1)
            yield (left, top, left + width, top + height)
    for left in (x0, x1 - width, x0 - width, x1):
        for step in range(1, _STEPS):
            top = y0 + (y1 - y0 - height) * step / _STEPS
            yield (left, top, left + width, top + height)


def _inside(spot: Box, canvas_wh: Size) -> Box:
    x0, y0, x1, y1 = spot
    dx = min(max(0.0, -x0), canvas_wh[0]) - max(0.0, x1 - canvas_wh[0])
    dy = min(max(0.0, -y0), canvas_wh[1]) - max(0.0, y1 - canvas_wh[1])
    return (x0 + dx, y0 + dy, x1 + dx, y1 + dy)


def _overlap(one: Box, other: Box) -> float:
    return max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(
        0.0, min(one[3], other[3]) - max(one[1], other[1])
    )
