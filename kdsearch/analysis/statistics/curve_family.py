"""Shapes that accuracy may take over size: families of curves from 0 to 1 over the range tested.

Each takes octaves above the smallest size tested and the span of the sizes in octaves, and gives
a curve that is 0 at the smallest and 1 at the largest. C curves, Q query points.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Rise = Callable[[Array, Array], Array]
"""Shapes [C, P] and octaves [Q] to heights [C, Q] in any units, rising."""
STEP_OCTAVES = 0.5
"""Width of a second rise."""


class Family(NamedTuple):
    """One family of curves with the box that its shapes are looked for in."""

    name: str
    rise: Rise
    box: tuple[tuple[float, float], ...]
    """Lowest and highest value of each shape parameter."""
    cells: tuple[int, ...]
    """How often each is divided to begin with."""

    def curves(self, shapes: Array, octaves: Array, span: float) -> Array:
        """Curves [C, Q] scaled to 0 at 0 octaves and 1 at `span`; NaN where they are flat."""
        heights = self.rise(shapes, np.concatenate([[0.0, span], octaves]))
        low, high = heights[:, :1], heights[:, 1:2]
        least = 1e-9 * np.abs(heights[:, :2]).max(initial=0.0)
        rise = np.where(high - low > least, high - low, np.nan)
        return (heights[:, 2:] - low) / rise


def families(span: float) -> tuple[Family, ...]:
    """The families that are averaged over, with equal prior.

    Args:
        span: Octaves between the smallest and the largest size.
    """
    log = math.log
    steep = (log(0.05), log(3.0))
    return (
        Family("power law", _power_law, (steep,), (48,)),
        Family(
            "logistic", _logistic,
            ((-0.5 * span, 1.25 * span), (log(0.25), log(max(0.6 * span, 0.5)))), (14, 10),
        ),
        Family(
            "stretched exponential", _stretched,
            ((-2.0, span + 2.0), (log(0.15), log(2.0))), (14, 10),
        ),
        Family(
            "broken power law", _broken,
            ((log(0.05), log(2.0)), (0.15 * span, 0.95 * span), (log(0.02), log(3.0))), (6, 8, 8),
        ),
        Family("knee", _knee, ((0.1 * span, span), (0.0, 0.4)), (18, 6)),
        Family(
            "second rise", _second_rise,
            ((log(0.3), log(3.0)), (0.4 * span, 1.1 * span), (0.0, 0.6)), (6, 8, 6),
        ),
        Family(
            "power of log N", _octave_power, ((-3.0, 2.0), (log(0.25), log(4.0))), (12, 4),
        ),
        Family("late rise", _late_rise, ((0.4 * span, span - 0.5), (0.0, 0.6)), (14, 5)),
        Family(
            "two steps", _two_steps,
            ((-0.1 * span, 0.5 * span), (0.2 * span, 1.1 * span), (0.05, 0.95),
             (log(0.1), log(0.7))), (6, 7, 4, 2),
        ),
    )  # fmt: skip


def _columns(shapes: Array) -> Sequence[Array]:
    return [shapes[:, i : i + 1] for i in range(shapes.shape[1])]


def _power_law(shapes: Array, octaves: Array) -> Array:
    """1 - N^-a."""
    (a,) = _columns(shapes)
    return -np.exp2(-np.exp(a) * octaves)


def _logistic(shapes: Array, octaves: Array) -> Array:
    """A sigmoid in log N."""
    middle, width = _columns(shapes)
    return _sigmoid((octaves - middle) / np.exp(width))


def _stretched(shapes: Array, octaves: Array) -> Array:
    """1 - exp(-(N / N0)^b)."""
    scale, b = _columns(shapes)
    return -np.exp(-np.exp2(np.minimum(np.exp(b) * (octaves - scale), 12.0)))


def _broken(shapes: Array, octaves: Array) -> Array:
    """A power law of the error up to a size, another one beyond it."""
    before, at, after = _columns(shapes)
    fallen = np.exp(before) * np.minimum(octaves, at)
    fallen = fallen + np.exp(after) * np.maximum(octaves - at, 0.0)
    return -np.exp2(-fallen)


def _knee(shapes: Array, octaves: Array) -> Array:
    """A line in log N up to a knee, a flatter one beyond it."""
    at, slope = _columns(shapes)
    return np.minimum(octaves, at) + slope * np.maximum(octaves - at, 0.0)


def _second_rise(shapes: Array, octaves: Array) -> Array:
    """A power law that has come to rest, and a step later on."""
    a, at, share = _columns(shapes)
    first = 1 - np.exp2(-np.exp(a) * octaves)
    step = _sigmoid((octaves - at) / STEP_OCTAVES)
    return (1 - share) * first + share * step


def _octave_power(shapes: Array, octaves: Array) -> Array:
    """A power of octaves, by Box and Cox: from their square over their logarithm to a limit.

    Below the smallest size it goes on as a line.
    """
    power, start = _columns(shapes)
    power = np.where(np.abs(power) < 1e-6, 1e-6, power)
    above = np.maximum(octaves, 0.0) / np.exp(start)
    return ((above + 1.0) ** power - 1) / power + np.minimum(octaves, 0.0) / np.exp(start)


def _late_rise(shapes: Array, octaves: Array) -> Array:
    """A line in log N, and a steeper one beyond a size."""
    at, slope = _columns(shapes)
    return slope * np.minimum(octaves, at) + np.maximum(octaves - at, 0.0)


def _two_steps(shapes: Array, octaves: Array) -> Array:
    """A staircase of two steps in log N."""
    first, second, share, width = _columns(shapes)
    width = np.exp(width)
    lower, upper = np.minimum(first, second), np.maximum(first, second)
    return (1 - share) * _sigmoid((octaves - lower) / width) + share * _sigmoid(
        (octaves - upper) / width
    )


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))
