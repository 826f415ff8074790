"""Where boxes lie: their centres on a grid over all photos, and the grid as paths of an SVG."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xdetr_data.boxes import centres_xy_norm

CELLS = 24  # of the grid, in both directions
_SHADES = 8

Grid = NDArray[np.int64]


def count_centres(boxes_xyxy: NDArray[np.float64], sizes_hw: NDArray[np.int64]) -> Grid:
    """How many centres lie in each cell, ``[CELLS rows, CELLS columns]``, of boxes ``[N, 4]`` on photos ``[N, 2]``."""
    centres = centres_xy_norm(boxes_xyxy, sizes_hw)
    column, row = np.clip((centres * CELLS).astype(np.int64), 0, CELLS - 1).T
    return np.bincount(row * CELLS + column, minlength=CELLS * CELLS).reshape(CELLS, CELLS)


def heat_paths(grid: Grid) -> Iterator[tuple[float, str]]:
    """Opacity and path (a cell is 1 × 1) of the cells of each shade; empty cells are left out."""
    shades = np.ceil(grid / max(1, grid.max()) * _SHADES).astype(int)
    for shade in range(1, _SHADES + 1):
        cells = "".join(f"M{column} {row}h1v1h-1z" for row, column in np.argwhere(shades == shade))
        if cells:
            yield shade / _SHADES, cells
