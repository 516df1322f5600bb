"""Kneedle's knee of a curve, through the optional package `kneed`. Shown, and never decides.

Kneedle (Satopää et al. 2011) scales the curve to the unit square first, so its knee moves with
the range tested. The report shows by how much: the knee without the largest size stands beside.
"""

import importlib.util
from typing import NamedTuple

import numpy as np

from kdsearch.analysis.statistics.power_law import Array


class Knee(NamedTuple):
    """Where Kneedle sees a knee, over the logarithm of the size."""

    size: float | None
    """None where it sees none."""
    without_largest: float | None
    """The same without the largest size: how far the answer moves with the range."""


def compute_knee(sizes: Array, accuracies: Array) -> Knee | None:
    """The knee of mean accuracy by size; None without the package `kneed` (kdsearch[kneedle]).

    Args:
        sizes: Ascending and positive, shape [S], S of 4 or more.
        accuracies: Mean accuracy at each, shape [S].
    """
    if importlib.util.find_spec("kneed") is None or sizes.size < 4:
        return None
    return Knee(_knee(sizes, accuracies), _knee(sizes[:-1], accuracies[:-1]))


def _knee(sizes: Array, accuracies: Array) -> float | None:
    from kneed import KneeLocator

    rising = np.maximum.accumulate(accuracies)
    if rising[0] == rising[-1]:
        return None
    locator = KneeLocator(np.log(sizes), rising, curve="concave", direction="increasing", S=1.0)
    found = locator.knee
    if found is None:
        return None
    return float(sizes[int(np.abs(np.log(sizes) - float(found)).argmin())])
