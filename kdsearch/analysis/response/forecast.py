"""What a score at a rung says about the end of training.

Rates that start fast are not those that end well, so the score alone misleads: under a cosine
schedule a rung in its middle prefers small rates. The forecast is a ridge regression of what is
still to come on the settings, from trials that were trained to the end.

Legend for shapes: N trials, F features.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from kdsearch.analysis.response.surface import Array, Places

MIN_TRIALS = 12
"""Trials trained to the end that a forecast takes."""
_RIDGE = 0.02
"""Of the penalty on a coefficient, for each trial; features are of order 1."""
_MIN_GROUP = 4
"""Trials of a stratum and arm below which their ranks say nothing."""


class Forecast(NamedTuple):
    """How to read a rung."""

    coefficients: Array
    """[F]"""
    centre: float
    """Mean score at the rung, which scores are taken relative to."""
    unit: float
    """Their standard deviation, which they are measured in."""
    residual_sd: float
    """Standard deviation of an end around its forecast; leave-one-out, in units of the score."""
    correlation: float | None
    """Rank correlation of forecast (leave-one-out) and end within strata and arms, averaged by
    their trials; None where none has four trials or all scores are equal."""
    raw_correlation: float | None
    """The same of the score at the rung as it stands."""
    num_trials: int

    def tells(self, least: float) -> bool:
        """Whether the rung orders students as their ends do, by rank correlation."""
        return self.correlation is not None and self.correlation >= least

    def predict(self, places: Places, scores: ArrayLike) -> Array:
        """Forecast ends [N] of students at `places` with `scores` [N] at the rung."""
        scores = np.asarray(scores, dtype=float)
        features = _features(places, (scores - self.centre) / self.unit)
        return np.asarray(scores + self.unit * (features @ self.coefficients))


def fit_forecast(
    places: Places, at_rung: Array, at_end: Array, groups: Sequence[Hashable]
) -> Forecast | None:
    """Learn what is still to come after a rung.

    Args:
        places: Of trials that were trained to the end.
        at_rung: Their best scores up to the rung, [N].
        at_end: Their final scores, [N].
        groups: Stratum and arm of each, within which ranks are compared.

    Returns:
        None with fewer than 12 trials.
    """
    if len(places) < MIN_TRIALS:
        return None
    centre, unit = float(at_rung.mean()), max(float(at_rung.std()), 1e-9)
    x, y = _features(places, (at_rung - centre) / unit), (at_end - at_rung) / unit
    penalty = np.full(x.shape[1], _RIDGE * len(x))
    penalty[0] = 1e-9
    inverse = np.linalg.inv(x.T @ x + np.diag(penalty))
    coefficients = inverse @ x.T @ y
    leverage = np.einsum("nf,fg,ng->n", x, inverse, x)
    left_out = unit * (y - x @ coefficients) / np.maximum(1 - leverage, 0.1)
    return Forecast(
        coefficients=coefficients,
        centre=centre,
        unit=unit,
        residual_sd=float(np.sqrt(np.mean(left_out**2))),
        correlation=_rank_correlation(at_end - left_out, at_end, groups),
        raw_correlation=_rank_correlation(at_rung, at_end, groups),
        num_trials=len(x),
    )


def _features(places: Places, scores: Array) -> Array:
    """[N, F]: constant, the score, settings with squares, and the score times settings."""
    own, ones = places.own - 0.5, np.ones((len(places), 1))
    listening = places.listening[:, None]
    taught = (places.taught - 0.5) * listening
    stratum = places.stratum - 0.5
    score = scores[:, None]
    columns = [ones, score, stratum, own, own**2, score * own, listening, taught]
    if stratum.shape[1]:
        columns.append(own * stratum[:, :1])
    return np.concatenate(columns, axis=1)


def _rank_correlation(a: Array, b: Array, groups: Sequence[Hashable]) -> float | None:
    rows: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        rows.setdefault(group, []).append(index)
    total, weight = 0.0, 0
    for members in rows.values():
        if len(members) < _MIN_GROUP:
            continue
        left, right = rankdata(a[members]), rankdata(b[members])
        if left.std() > 0 and right.std() > 0:
            total += len(members) * float(np.corrcoef(left, right)[0, 1])
            weight += len(members)
    return total / weight if weight else None
