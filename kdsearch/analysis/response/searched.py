"""Tuned settings as coordinates: every number scaled to [0, 1] over the range searched."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdsearch.config import SearchParameter

Array = NDArray[np.float64]


class Setting(NamedTuple):
    """One tuned number."""

    name: str
    low: float
    high: float
    log: bool

    def unit(self, value: ArrayLike) -> Array:
        """Values scaled to [0, 1], on the scale that the search used."""
        low, high, x = np.array(self.low), np.array(self.high), np.asarray(value, dtype=float)
        if self.log:
            low, high, x = np.log(low), np.log(high), np.log(x)
        return np.asarray((x - low) / (high - low), dtype=float)

    def value(self, unit: ArrayLike) -> Array:
        """The inverse of `unit`."""
        u = np.asarray(unit, dtype=float)
        if self.log:
            u = np.log(self.high / self.low) * u
            return np.asarray(self.low * np.exp(u), dtype=float)
        return np.asarray(self.low + (self.high - self.low) * u, dtype=float)


def parameter_setting(name: str, parameter: SearchParameter) -> Setting | None:
    """A parameter as a number; None where it is words, or one value."""
    if parameter.low is not None and parameter.high is not None:
        if parameter.low == parameter.high:
            return None
        return Setting(name, float(parameter.low), float(parameter.high), parameter.log)
    numbers = [v for v in parameter.values or () if not isinstance(v, bool | str)]
    if len(numbers) < len(parameter.values or ()) or len(set(numbers)) < 2:
        return None
    low, high = float(min(numbers)), float(max(numbers))
    return Setting(name, low, high, log=low > 0 and high / low >= 4)
