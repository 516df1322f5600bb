"""What larger sizes gain, read off a posterior over curves, and from where on it is little.

And what two students at hand differ by, whatever the shape of the curve.

Octaves are doublings above the smallest size tested.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kdsearch.analysis.statistics.curve_posterior import QUANTILES, CurvePosterior, Means

Array = NDArray[np.float64]

GRID = 241
"""Places between the smallest and the largest size that the saturation size is looked for on."""
BLUR = 1 / 32
"""Share of the distance between two tested sizes that an interval is widened by: that much to the
side pass curves that are in no family (`benchmarks/capacity_coverage.py`)."""
RISING = 0.2
"""Share of the tolerance that the last doubling must have gained for a curve to be called
rising."""
LIMIT_OCTAVES = 40.0
"""Doublings after which a curve is taken to have reached its limit."""


class Gain(NamedTuple):
    """Accuracy that a larger size gains, a fraction: posterior median and interval."""

    median: float
    low: float
    high: float


class LastDoubling(NamedTuple):
    """What the largest size gains over half of it."""

    curve: Gain
    """By the curves."""
    students: Gain
    """By the two students at hand alone."""

    def curve_rises(self, tolerance: float) -> bool:
        """Whether the curves show a gain that counts."""
        return self.curve.low > RISING * tolerance

    def is_rising(self, tolerance: float) -> bool:
        """Whether the curves or the students do."""
        return self.curve_rises(tolerance) or self.students.low > RISING * tolerance

    def is_unsure(self, tolerance: float) -> bool:
        """Whether the gain may lie on either side of the tolerance, and by more than that.

        What is shown to rise is an answer, be it known by how much or not.
        """
        if self.is_rising(tolerance) or not self.curve.low <= tolerance < self.curve.high:
            return False
        return self.curve.high - self.curve.median > tolerance


class Beyond(NamedTuple):
    """Extrapolated gains over the largest size tested."""

    doubled: Gain
    quadrupled: Gain
    limit: Gain
    """Of ever larger students, capped at an accuracy of 1 or the best score that there can be."""


class Gains:
    """What the posterior says about gains between sizes."""

    def __init__(
        self, posterior: CurvePosterior, octaves: Array, tolerance: float, confidence: float
    ) -> None:
        """Read a posterior.

        Args:
            posterior: Of the curves.
            octaves: Of the sizes tested, [S].
            tolerance: Difference in accuracy that counts as none.
            confidence: Of intervals, in (0, 1).
        """
        self._posterior = posterior
        self._octaves = octaves
        self.level = 0.5 + confidence / 2
        span = octaves[-1]
        self._grid = np.union1d(np.linspace(0.0, span, GRID), octaves)
        ends = np.full_like(self._grid, span)
        gains = posterior.gains(self._grid, ends)
        below = posterior.share_below(gains, tolerance)
        self._enough = np.maximum.accumulate(below)
        """P(S_in <= z) along the grid."""

    def surely_enough(self, octaves: float) -> bool:
        """Whether a size is enough with the confidence asked for."""
        at = int(np.searchsorted(self._grid, octaves))
        return bool(self._enough[at] >= self.level)

    def saturation(self, level: float) -> float:
        """Quantile of S_in in octaves; -inf where the smallest size already has that much."""
        return crossing(self._grid, self._enough, level)

    def _blurred(self, end: float, direction: int) -> float:
        """An end of the interval, moved out by a share of the distance between its neighbours."""
        if end == -math.inf:
            return end
        above = min(int(np.searchsorted(self._octaves, end)), len(self._octaves) - 1)
        gap = self._octaves[above] - self._octaves[max(above - 1, 0)]
        return float(np.clip(end + direction * BLUR * gap, 0.0, self._octaves[-1]))

    def interval(self, first: int | None) -> tuple[float, float]:
        """Of the saturation size in octaves; an open end is infinite.

        Args:
            first: Index of the smallest size that is shown to be enough; None leaves the upper
                end open.
        """
        low = self._blurred(self.saturation(1 - self.level), -1)
        if first is None:
            return low, math.inf
        high = self._blurred(max(self.saturation(self.level), 0.0), 1)
        before = self._octaves[first - 1] if first > 0 else -math.inf
        return low, high if high > before else float(self._octaves[first])

    def gain(self, start: float, end: float, most: float = math.inf) -> Gain:
        """From one place to another."""
        values = self._posterior.gains(np.array([start]), np.array([end]))[:, :, 0]
        levels = np.array([0.5, 1 - self.level, self.level])
        median, low, high = self._posterior.quantiles(np.minimum(values, most), levels)
        return Gain(float(median), float(low), float(high))

    def gains_to_largest(self) -> tuple[Gain, ...]:
        """From each size tested."""
        return tuple(self.gain(start, self._octaves[-1]) for start in self._octaves)

    def at_hand(self, means: Means, start: int, end: int) -> Gain:
        """Of one student at hand over another, by their means alone.

        No family of curves has a say in it, only what they leave as size effects. The interval
        covers replicates, test examples and the luck of both searches.

        Args:
            means: What the posterior was made of.
            start: Index of one size.
            end: Index of another.
        """
        pair = [start, end]
        spread = means.covariance[np.ix_(pair, pair)]
        variance = spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]
        luck = (self._posterior.effects_at(means.octaves[pair]) ** 2).sum(axis=1)
        steps = stats.t.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, means.dof)
        values = means.values[end] - means.values[start]
        values = values + np.sqrt(variance + luck)[:, None] * steps
        levels = np.array([0.5, 1 - self.level, self.level])
        return Gain(*self._posterior.quantiles(values, levels).tolist())

    def beyond(self, most: float) -> Beyond:
        """After the largest size tested; no more than `most`."""
        last = self._octaves[-1]
        return Beyond(*(self.gain(last, last + k, most) for k in (1.0, 2.0, LIMIT_OCTAVES)))


def crossing(places: Array, rising: Array, level: float) -> float:
    """Where a rising curve [Q] over places [Q] crosses a level; infinite where it does not."""
    if rising[0] >= level:
        return -math.inf
    if rising[-1] < level:
        return math.inf
    at = int(np.argmax(rising >= level))
    return float(np.interp(level, rising[at - 1 : at + 1], places[at - 1 : at + 1]))
