"""Tuned settings as coordinates: every number scaled to [0, 1] over the range searched."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdsearch.config import SearchParameter, StudyConfig
from kdsearch.results import TrialRecord

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


def numeric_settings(config: StudyConfig) -> tuple[list[Setting], tuple[str, ...]]:
    """The tuned settings that are numbers, and the names of those that are words."""
    settings, words = [], []
    for name, parameter in config.parameters("nuisance").items():
        setting = parameter_setting(name, parameter)
        if setting is not None:
            settings.append(setting)
        else:
            words.append(name)
    return settings, tuple(words)


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


def unit_points(trials: Sequence[TrialRecord], settings: Sequence[Setting]) -> Array:
    """Coordinates of trials, shape [trials, settings]; what a trial lacks is in the middle."""
    points = np.full((len(trials), len(settings)), 0.5)
    for row, trial in enumerate(trials):
        for column, setting in enumerate(settings):
            value = trial.settings.get(setting.name)
            if isinstance(value, int | float) and not (setting.log and value <= 0):
                points[row, column] = float(setting.unit(value))
    return np.clip(points, 0.0, 1.0)
