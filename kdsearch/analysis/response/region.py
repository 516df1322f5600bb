"""Where on a map a setting is good enough: pure numbers.

Legend for shapes: D draws of a surface, A, B cells of its map along its axes.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdsearch.analysis.response.surface import Array

Mask = NDArray[np.bool_]
IDENTIFIED = 0.6
"""A region or interval wider than this share of the range searched says little."""
NEAR = 0.25
"""Of the tolerance: cells are taken in the order of how likely they cost no more. The chance of
being the best gives the smallest region, but draws are too few to count it cell by cell; expected
cost alone takes what is never bad before what may be best (measured by `benchmarks.safe_region`).
"""


class Region(NamedTuple):
    """The cells of a map that are as good as the best, as far as draws of the surface tell."""

    mask: Mask
    """[A, B]"""
    best: tuple[int, int]
    """The cell with the least expected cost."""
    expected: Array
    """Expected cost of every cell beside the draw's best, [A, B]; 0 or more."""
    is_safe: bool
    """Whether each of its cells is within the tolerance of the best, with the confidence asked."""
    cost: float
    """What a cell of it costs at most, with the confidence asked."""
    cost_of_chance: float
    """Expected cost of a cell drawn at random from the whole map."""
    cost_of_worst: float
    """Expected cost of the map's worst cell."""

    @property
    def share(self) -> float:
        """Of the map."""
        return float(self.mask.mean())


def compute_region(draws: Array, *, tolerance: float, confidence: float) -> Region:
    """A small region that holds the best cell and all cells that are surely good enough.

    Cells are taken in the order of how likely they are next to the best (`NEAR`), until the best
    cell is among them with probability `confidence`; then those that are within `tolerance` with
    that probability. Where most of the map is expected to be within `tolerance` of its best cell,
    all that is belongs to it: every draw has a best cell, on a flat surface too, but there it is
    luck.

    Args:
        draws: Of the surface, higher is better, [D, A, B].
        tolerance: Difference that counts as none.
        confidence: Between 0 and 1.
    """
    flat = draws.reshape(len(draws), -1)
    cost = flat.max(axis=1)[:, None] - flat
    within, expected = (cost <= tolerance).mean(axis=0), cost.mean(axis=0)
    is_best = np.bincount(flat.argmax(axis=1), minlength=flat.shape[1]) / len(flat)
    near = (cost <= NEAR * tolerance).mean(axis=0)
    order = np.lexsort((expected, -near))
    held = np.cumsum(is_best[order])
    count = int(np.argmax(held >= confidence - 1e-9)) + 1
    mask = within >= confidence
    mask[order[:count]] = True
    alike = expected <= expected.min() + tolerance
    if alike.mean() >= IDENTIFIED:
        mask |= alike
    shape = draws.shape[1:]
    row, column = np.unravel_index(int(np.where(mask, expected, np.inf).argmin()), shape)
    return Region(
        mask=mask.reshape(shape),
        best=(int(row), int(column)),
        expected=expected.reshape(shape),
        is_safe=bool((within[mask] >= confidence).all()),
        cost=float(np.quantile(cost[:, mask], confidence)),
        cost_of_chance=float(expected.mean()),
        cost_of_worst=float(expected.max()),
    )


def largest_rectangle(mask: Mask, cell: tuple[int, int]) -> tuple[slice, slice]:
    """The largest rectangle of true cells that holds `cell`, which must be true."""
    rows, columns = mask.shape
    sums = np.zeros((rows + 1, columns + 1), dtype=int)
    sums[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    row, column = cell
    found, most = (slice(row, row + 1), slice(column, column + 1)), 0
    for top, bottom in itertools.product(range(row + 1), range(row + 1, rows + 1)):
        for left, right in itertools.product(range(column + 1), range(column + 1, columns + 1)):
            area = (bottom - top) * (right - left)
            inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
            if area > most and inside == area:
                found, most = (slice(top, bottom), slice(left, right)), area
    return found
