"""Second opinions on saturation that assume no curve: equivalence, and one standard error."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from kdsearch.analysis.power_law import Array


class SecondOpinions(NamedTuple):
    """Sizes from which on more capacity does not pay, by two rules."""

    equivalent_size: float | None
    """Smallest size that, like all larger ones, is equivalent to the largest; None if no other
    size is shown to be."""
    one_se_size: float | None
    """Smallest size within one standard error of the best; it moves with the number of
    replicates. None without a standard error."""


def second_opinions(
    sizes: Array, accuracies: Sequence[Array], *, tolerance: float, confidence: float
) -> SecondOpinions:
    """TOST against the largest size at `tolerance`, and the one-standard-error rule.

    Args:
        sizes: Ascending, [S].
        accuracies: Replicates of each size. Where two sizes have equally many they are paired
            by position (the same seed), otherwise compared with Welch's test.
        tolerance: Equivalence margin, an absolute fraction.
        confidence: Of the two-sided interval that must lie inside the margin: 0.9 makes two
            one-sided tests at 5 %.
    """
    equivalent = None
    for size, replicates in zip(sizes[-2::-1], accuracies[-2::-1], strict=True):
        low, high = _difference(accuracies[-1], replicates, confidence)
        if not (-tolerance < low and high < tolerance):
            break
        equivalent = float(size)
    return SecondOpinions(equivalent, _one_se_size(sizes, accuracies))


def _difference(a: Array, b: Array, confidence: float) -> tuple[float, float]:
    """Interval of mean(a) - mean(b); infinite where it has no standard error."""
    tail = 0.5 + confidence / 2
    difference = float(a.mean() - b.mean())
    if min(a.size, b.size) < 2:
        return -math.inf, math.inf
    if a.size == b.size:
        se = float((a - b).std(ddof=1)) / math.sqrt(a.size)
        freedom = a.size - 1.0
    else:
        parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
        se = math.sqrt(parts.sum())
        spread = float((parts**2 / [a.size - 1, b.size - 1]).sum())
        freedom = float(parts.sum() ** 2 / spread) if spread > 0 else 1.0
    reach = float(stats.t.ppf(tail, freedom)) * se
    return difference - reach, difference + reach


def _one_se_size(sizes: Array, accuracies: Sequence[Array]) -> float | None:
    means = np.array([a.mean() for a in accuracies])
    best = accuracies[int(means.argmax())]
    if best.size < 2:
        return None
    limit = means.max() - best.std(ddof=1) / math.sqrt(best.size)
    return float(sizes[int(np.flatnonzero(means >= limit)[0])])
