"""The search space in Optuna's terms, and points of it without a model: grid and Sobol."""

import itertools
import math
from collections.abc import Mapping

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from scipy.stats import qmc

from kdsearch.config import Scalar, SearchParameter, StudyConfig
from kdsearch.config.saturation import MAX_SIZE
from kdsearch.study.storage.distributions import Space

LADDER_SIZES = IntDistribution(1, MAX_SIZE, log=True)
"""Of a ladder's parameter: nobody knows beforehand between which sizes it will look closer."""


def distributions(config: StudyConfig, parameters: Mapping[str, SearchParameter]) -> Space:
    """Optuna's form of some parameters of a study."""
    ladder = config.study.ladder
    return {
        name: LADDER_SIZES
        if ladder is not None and name == ladder.parameter
        else to_distribution(parameter, is_integer=config.is_integer(name))
        for name, parameter in parameters.items()
    }


def to_distribution(parameter: SearchParameter, *, is_integer: bool) -> BaseDistribution:
    """Optuna's form of one parameter: a list of values is categorical, a range a number."""
    points = parameter.values or (None if parameter.value is None else (parameter.value,))
    if points is not None:
        return CategoricalDistribution(points)
    low, high, step = parameter.low, parameter.high, parameter.step
    assert low is not None
    assert high is not None
    grid = parameter.points()
    if grid is not None:  # Optuna warns of a range that its step does not divide
        high = float(grid[-1])
    if is_integer:
        return IntDistribution(int(low), int(high), log=parameter.log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=parameter.log, step=step)


def grid_points(space: Mapping[str, SearchParameter], seed: int) -> list[dict[str, Scalar]]:
    """All points of a space of values and stepped ranges, in a seeded random order."""
    axes = [parameter.points() or () for parameter in space.values()]
    points = [dict(zip(space, point, strict=True)) for point in itertools.product(*axes)]
    order = np.random.default_rng(seed).permutation(len(points))
    return [points[index] for index in order]


def sobol_point(space: Space, index: int, seed: int) -> dict[str, Scalar]:
    """Point `index` of a scrambled Sobol sequence through the space.

    Optuna's own QMC sampler draws at random until a first trial has finished, which with whole
    generations asked at once would be most of a study.
    """
    sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    if index:
        sequence.fast_forward(index)
    units = sequence.random(1)[0]
    return {
        name: from_unit(distribution, float(unit))
        for (name, distribution), unit in zip(space.items(), units, strict=True)
    }


def from_unit(distribution: BaseDistribution, unit: float) -> Scalar:
    """The value at `unit` in [0, 1) of a distribution's range."""
    match distribution:
        case CategoricalDistribution() as d:
            choice = d.choices[int(unit * len(d.choices))]
            assert choice is not None
            return choice
        case IntDistribution(log=True) as d:
            value = math.exp(_between(math.log(d.low), math.log(d.high + 1), unit))
            return min(max(int(value), d.low), d.high)
        case IntDistribution() as d:
            return d.low + d.step * int(unit * ((d.high - d.low) // d.step + 1))
        case FloatDistribution(log=True) as d:
            value = math.exp(_between(math.log(d.low), math.log(d.high), unit))
            return min(max(value, d.low), d.high)
        case FloatDistribution(step=None) as d:
            return _between(d.low, d.high, unit)
        case FloatDistribution() as d:
            assert d.step is not None
            return min(d.low + d.step * int(unit * _num_steps(d.low, d.high, d.step)), d.high)
        case _:
            raise AssertionError(f"unknown distribution {distribution}")


def to_unit(distribution: BaseDistribution, value: Scalar) -> float:
    """A place in [0, 1) that `from_unit` takes back to `value`, but for rounding."""
    match distribution:
        case CategoricalDistribution() as d:
            return (d.choices.index(value) + 0.5) / len(d.choices)
        case IntDistribution(log=True) as d:
            span = math.log(d.high + 1) - math.log(d.low)
            return (math.log(float(value) + 0.5) - math.log(d.low)) / span
        case IntDistribution() as d:
            return ((float(value) - d.low) / d.step + 0.5) / ((d.high - d.low) // d.step + 1)
        case FloatDistribution(log=True) as d:
            return math.log(float(value) / d.low) / math.log(d.high / d.low)
        case FloatDistribution(step=None) as d:
            return (float(value) - d.low) / (d.high - d.low)
        case FloatDistribution() as d:
            assert d.step is not None
            count = _num_steps(d.low, d.high, d.step)
            return ((float(value) - d.low) / d.step + 0.5) / count
        case _:
            raise AssertionError(f"unknown distribution {distribution}")


def _num_steps(low: float, high: float, step: float) -> int:
    """Points of a range whose last one is `high`; rounded, because (0.7 - 0.1) / 0.1 is 5.99..."""
    return round((high - low) / step) + 1


def _between(low: float, high: float, unit: float) -> float:
    return low + unit * (high - low)
