"""The response surface of a study: scores of its trials over settings, strata and both arms."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kdsearch.analysis.response.forecast import Forecast, fit_forecast
from kdsearch.analysis.response.searched import Setting, parameter_setting
from kdsearch.analysis.response.surface import Array, Places, Surface, Warp, fit_surface
from kdsearch.config import Scalar, SearchParameter, StudyConfig, applies_to_baseline
from kdsearch.results import Arm, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, ranked_by, score_by, signed_value

MOST_TRIALS = 1500
"""Trials that make a surface, spread evenly over all: a fit of 1,500 takes about a second."""
MIN_TRIALS = 16
"""Complete trials of a study below which no surface is fitted."""
ALPHA = "alpha"
_REFERENCE = 0.9
"""Quantile of a stratum's scores that its deficits are measured from: the maximum is luck."""
_LEAST_UNIT = 0.02
"""Of fractions: two points are not far below the best."""


class Who(NamedTuple):
    """A student that may never have been trained."""

    arm: Arm
    settings: Mapping[str, Scalar]
    """Scientific and tuned ones."""


class Axis(NamedTuple):
    """One searched parameter as coordinates: a number as one, words as one for each."""

    name: str
    setting: Setting | None
    words: tuple[Scalar, ...]

    @classmethod
    def of(cls, name: str, parameter: SearchParameter) -> "Axis | None":
        """None where there is nothing to tell apart."""
        setting = parameter_setting(name, parameter)
        if setting is not None:
            return cls(name, setting, ())
        words = parameter.values or ()
        return cls(name, None, words) if len(words) > 1 else None

    def coordinates(self, people: Sequence[Who]) -> Array:
        """Coordinates [N, 1] of a number, [N, words] of words; the middle where it is missing."""
        values = [who.settings.get(self.name) for who in people]
        if self.setting is None:
            # Two words are one length scale apart.
            flags = [[math.sqrt(0.5) * (value == word) for word in self.words] for value in values]
            return np.array(flags, dtype=float).reshape(len(people), len(self.words))
        known = [v if isinstance(v, int | float) else np.nan for v in values]
        numbers = np.array(known, dtype=float)
        if self.setting.log:
            numbers[~(numbers > 0)] = np.nan
        units = self.setting.unit(numbers)
        return np.clip(np.where(np.isnan(units), 0.5, units), 0.0, 1.0)[:, None]


class Encoding(NamedTuple):
    """How a study's students lie on its surface."""

    stratum: tuple[Axis, ...]
    own: tuple[Axis, ...]
    taught: tuple[Axis, ...]
    alpha: str | None
    """Name of the searched alpha."""
    fixed_alpha: float

    @classmethod
    def of(cls, config: StudyConfig) -> "Encoding":
        """The axes of a study's space."""
        strata: list[Axis] = []
        own: list[Axis] = []
        taught: list[Axis] = []
        alpha: str | None = None
        for name, parameter in config.space.items():
            axis = Axis.of(name, parameter)
            if name == ALPHA:
                alpha = name if parameter.role != "fixed" else None
            elif axis is None or parameter.role == "fixed":
                continue
            elif not applies_to_baseline(name):
                taught.append(axis)
            else:
                (strata if parameter.role == "scientific" else own).append(axis)
        point = {n: v for n, p in config.space.items() for _, v in p.given()[:1]}
        fixed = math.nan
        if alpha is None:  # a loss without one is the teachers' alone
            fixed = config.trial_config(point).distillation.number("alpha") or 0.0
        return cls(tuple(strata), tuple(own), tuple(taught), alpha, fixed)

    def places(self, people: Sequence[Who]) -> Places:
        """Where students lie."""
        alphas = np.array([self._alpha(who) for who in people])
        own = [axis.coordinates(people) for axis in self.own]
        if self.alpha is not None:
            own.append(alphas[:, None])
        empty = np.zeros((len(people), 0))
        return Places(
            np.concatenate([empty, *(axis.coordinates(people) for axis in self.stratum)], axis=1),
            np.concatenate([empty, *own], axis=1),
            np.concatenate([empty, *(axis.coordinates(people) for axis in self.taught)], axis=1),
            1.0 - alphas,
        )

    def _alpha(self, who: Who) -> float:
        if who.arm == "baseline":
            return 1.0
        value = self.fixed_alpha if self.alpha is None else who.settings.get(self.alpha, 1.0)
        return float(value)


class Response:
    """A posterior over the study's scores, higher is better."""

    def __init__(
        self, encoding: Encoding, surface: Surface, warp: Warp, references: Mapping[object, float]
    ) -> None:
        self.encoding = encoding
        self.surface = surface
        self._warp = warp
        self._references = references

    def mean(self, people: Sequence[Who]) -> Array:
        """Expected scores [N] of students; of a stratum never tried, up to a constant."""
        return self._scores(self.surface.mean(self.encoding.places(people)), people)

    @property
    def unit(self) -> float:
        """The deficit beside the stratum's best that half of the complete trials have."""
        return self._warp.unit

    def draws_of(
        self,
        surfaces: Sequence[Surface],
        people: Sequence[Who],
        each: int,
        rng: np.random.Generator,
    ) -> Array:
        """Joint draws of expected scores under each of several scales in turn, [D, N]."""
        places = self.encoding.places(people)
        warped = np.concatenate([surface.draws(places, each, rng) for surface in surfaces])
        mixed = warped.reshape(len(surfaces), each, -1).swapaxes(0, 1).reshape(warped.shape)
        return self._scores(mixed, people)

    def noise(self, people: Sequence[Who]) -> Array:
        """Standard deviation of one student's score near the best of its stratum, [N]."""
        return self.surface.noise(self.encoding.places(people)) * self._warp.unit

    def _scores(self, warped: Array, people: Sequence[Who]) -> Array:
        known = max(self._references.values())
        places = [self._references.get(stratum_of(self.encoding, who), known) for who in people]
        return np.asarray(self._warp.up(warped) + np.array(places))


def who_of(record: TrialRecord) -> Who:
    """The student of a record."""
    return Who(record.arm, record.settings)


def stratum_of(encoding: Encoding, who: Who) -> object:
    """The stratum of a student as hard labels see it."""
    return tuple(who.settings.get(axis.name) for axis in encoding.stratum)


def fit_response(
    config: StudyConfig, records: Sequence[TrialRecord], *, least: int = MIN_TRIALS
) -> Response | None:
    """The surface through a study's search trials.

    Pruned ones count as far as they forecast; failed ones as the worst, whether they got a score
    or diverged before the first.

    Args:
        config: A study with one objective.
        records: Its records; those of the confirm stage are left out.
        least: Complete trials that it takes.

    Returns:
        None with too few complete trials.
    """
    objective = config.objective[0]
    searched = [r for r in records if r.stage == "search"]
    known = [(r, s) for r in searched if (s := signed_value(r, objective)) is not None]
    complete = [(r, s) for r, s in known if r.state == "COMPLETE"]
    if len(complete) < least:
        return None
    encoding = Encoding.of(config)
    references = _references(encoding, complete)
    deficits = [references[stratum_of(encoding, who_of(r))] - s for r, s in complete]
    floor = _LEAST_UNIT if objective.metric in ACCURACY_LIKE else 1e-9
    warp = Warp(max(float(np.median(deficits)), floor))
    worst = min(s for _, s in complete)
    failed = [(r, worst, 0.0) for r in searched if r.state == "FAIL"]
    guessed = _guesses(config, encoding, known)
    rows = [*((r, s, 0.0) for r, s in complete), *guessed, *failed]
    rows = [row for row in rows if stratum_of(encoding, who_of(row[0])) in references]
    if len(rows) > MOST_TRIALS:
        kept = np.linspace(0, len(rows) - 1, MOST_TRIALS).round().astype(int)
        rows = [rows[index] for index in kept]
    people = [who_of(r) for r, _, _ in rows]
    below = [
        references[stratum_of(encoding, w)] - s for w, (_, s, _) in zip(people, rows, strict=True)
    ]
    surface = fit_surface(
        encoding.places(people),
        warp.down(np.array(below)),
        np.array([extra for _, _, extra in rows]) / warp.unit,
    )
    return Response(encoding, surface, warp, references)


def _references(
    encoding: Encoding, complete: Sequence[tuple[TrialRecord, float]]
) -> dict[object, float]:
    by_stratum: dict[object, list[float]] = {}
    for record, score in complete:
        by_stratum.setdefault(stratum_of(encoding, who_of(record)), []).append(score)
    return {key: float(np.quantile(s, _REFERENCE)) for key, s in by_stratum.items()}


def _guesses(
    config: StudyConfig,
    encoding: Encoding,
    known: Sequence[tuple[TrialRecord, float]],
) -> list[tuple[TrialRecord, float, float]]:
    """Pruned trials with the ends that are forecast for them, and how uncertain these are."""
    found: list[tuple[TrialRecord, float, float]] = []
    forecasts: dict[int, Forecast | None] = {}
    for record, score in known:
        if record.state == "PRUNED":
            epoch = len(record.history)
            if epoch not in forecasts:
                forecasts[epoch] = forecast_at(config, encoding, epoch, [r for r, _ in known])
            forecast = forecasts[epoch]
            if forecast is not None:
                value = forecast.predict(encoding.places([who_of(record)]), np.array([score]))
                found.append((record, float(value[0]), forecast.residual_sd))
    return found


def forecast_at(
    config: StudyConfig,
    encoding: Encoding,
    epoch: int,
    records: Sequence[TrialRecord],
) -> Forecast | None:
    """What a score after `epoch` epochs forecasts, from the trials that were trained to the end.

    None where too few were.
    """
    ended = [r for r in records if r.state == "COMPLETE" and len(r.history) > epoch]
    if not ended:
        return None
    people, ranking = [who_of(r) for r in ended], ranked_by(config.objective)
    return fit_forecast(
        encoding.places(people),
        np.array([score_by(r, epoch, ranking) for r in ended]),
        np.array([score_by(r, len(r.history), ranking) for r in ended]),
        [(who.arm, stratum_of(encoding, who)) for who in people],
    )
