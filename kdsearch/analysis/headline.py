"""What the report speaks of: the study's headline metric, its values in words and its units.

Inside the analysis its values are scores: turned so that higher is better, whichever way the
metric itself goes. Everything that is printed, drawn or exported goes through here first, and
has the metric's own sign again.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import Estimate, estimate_document
from kdsearch.analysis.statistics.scale import NATS, PERCENT, PLAIN, Scale, Unit
from kdsearch.config import METRICS, Metric
from kdsearch.results.headline import is_accuracy_like, score, turned
from kdsearch.results.record import EpochMetrics, Evaluation, TrialRecord

_UNITS = {"fraction": PERCENT, "nats": NATS, "plain": PLAIN}
_KNOWN_CHANCE = ("accuracy", "balanced_accuracy", "f1_macro")
"""Of which a model that knows nothing reaches one in the number of classes, or less."""


@dataclass(frozen=True)
class Headline:
    """One metric as the report speaks of it. Its methods take scores and their differences."""

    metric: Metric

    @property
    def is_accuracy(self) -> bool:
        """Whether an example is either right or wrong, so that test examples can be drawn anew."""
        return self.metric.name == "accuracy"

    @property
    def is_accuracy_like(self) -> bool:
        """Whether 1 is perfect: a fraction that is maximised."""
        return is_accuracy_like(self.metric)

    @property
    def is_minimised(self) -> bool:
        """Whether lower values are better."""
        return self.metric.direction == "minimize"

    @property
    def has_chance(self) -> bool:
        """Whether chance reaches one in the number of classes."""
        return self.metric.name in _KNOWN_CHANCE

    @property
    def words(self) -> str:
        """For sentences: `accuracy`."""
        return self.metric.words

    @cached_property
    def unit(self) -> Unit:
        """How values are written."""
        return _UNITS[self.metric.unit]

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest score that there can be; known of fractions only."""
        if self.metric.unit != "fraction":
            return -math.inf, math.inf
        return (-1.0, 0.0) if self.is_minimised else (0.0, 1.0)

    @cached_property
    def scale(self) -> Scale:
        """What a curve through the scores must know of them."""
        if not self.is_minimised:
            return Scale(self.unit, self.bounds, 1.0 if self.is_accuracy_like else 0.0)
        gained = f"lowered the {self.words} by"
        return Scale(self.unit, self.bounds, 0.0, self.gain_words, gained, "falling")

    def of(self, evaluation: Evaluation | None) -> float | None:
        """The score of an evaluation; None where it was not measured."""
        return score(evaluation, self.metric)

    def of_epoch(self, epoch: EpochMetrics) -> float | None:
        """The score of an epoch on validation; None where epochs were not measured by it."""
        value = epoch.value(self.metric.name)
        return None if value is None else turned(value, self.metric)

    def by_epoch(self, trials: Iterable[TrialRecord]) -> "Headline":
        """What curves over epochs can speak of: this, or accuracy, which every epoch has."""
        epochs = (epoch for trial in trials for epoch in trial.history)
        return self if all(self.of_epoch(epoch) is not None for epoch in epochs) else ACCURACY

    def instead(self, shown: "Headline") -> str:
        """Why epochs are shown by another metric, in a sentence; empty where they are not."""
        if shown == self:
            return ""
        return (
            f" Epochs were not measured by {self.words}, so this is about {shown.words}; an "
            f"objective of val_{self.metric.name} would measure them."
        )

    def own(self, value: float) -> float:
        """A score or a difference with the metric's own sign; and back again."""
        return turned(value, self.metric)

    def own_or_none(self, value: float | None) -> float | None:
        """`own` of what may be missing."""
        return None if value is None else self.own(value)

    def own_estimate(self, estimate: Estimate) -> Estimate:
        """An estimate with the metric's own sign, its ends in order."""
        if not self.is_minimised:
            return estimate
        low, high = self.own_or_none(estimate.high), self.own_or_none(estimate.low)
        return estimate._replace(mean=-estimate.mean, low=low, high=high)

    def document(self, estimate: Estimate | None) -> dict[str, Any] | None:
        """An estimate as results.json has it."""
        return estimate_document(None if estimate is None else self.own_estimate(estimate))

    def clipped(self, estimate: Estimate | None) -> Estimate | None:
        """An estimate whose interval ends where scores end."""
        if estimate is None or estimate.low is None or estimate.high is None:
            return estimate
        least, most = self.bounds
        return estimate._replace(low=max(estimate.low, least), high=min(estimate.high, most))

    def value(self, value: float | None, digits: int = 1) -> str:
        """`87.3 %`, `0.412 nats`."""
        return wording.number(self.own_or_none(value), digits, self.unit)

    def bare_value(self, value: float | None, digits: int = 1) -> str:
        """For a column that names the unit: `87.3`."""
        return self.value(value, digits).removesuffix(self.unit.of_values)

    def estimate(self, estimate: Estimate | None, least: int = 1) -> str:
        """`87.3 ± 0.1 %`."""
        return wording.estimate(self._own(estimate), least, self.unit)

    def bare_estimate(self, estimate: Estimate | None, least: int = 1) -> str:
        """For a column that names the unit: `87.3 ± 0.1`."""
        return self.estimate(estimate, least).removesuffix(self.unit.of_values)

    def interval(self, estimate: Estimate | None, least: int = 1) -> str:
        """The interval of a value: `[87.05, 87.57]`."""
        return wording.estimate_interval(self._own(estimate), least, self.unit)

    def difference(self, difference: float, digits: int = 1) -> str:
        """A signed difference without its unit: `+1.3`; below 0 is better for a loss."""
        return wording.points(self.own(difference), digits, self.unit)

    def shift(self, estimate: Estimate | None, least: int = 1) -> str:
        """A signed difference without its unit, its error deciding the digits: `+0.21`."""
        return wording.shift(self._own(estimate), least, self.unit)

    def shift_words(self, estimate: Estimate | None) -> str:
        """A signed difference with its unit: `+0.21 points`."""
        return f"{self.shift(estimate)}{self.points}"

    def error(self, estimate: Estimate, least: int = 1) -> str:
        """A standard error without its unit; a dash where there is none."""
        if estimate.se is None:
            return wording.DASH
        return self.unit.fixed(estimate.se, wording.places_of(estimate, least=least))

    def shift_interval(self, estimate: Estimate | None, least: int = 1) -> str:
        """The interval of a difference: `[+0.17, +0.25]`."""
        return wording.shift_interval(self._own(estimate), least, self.unit)

    def amount(self, difference: float) -> str:
        """A difference that was given, without a sign: `0.5 points`."""
        return self.unit.amount(difference)

    def gained(self, gain: float) -> str:
        """By how much something is better, without its unit: `0.42`."""
        return wording.gained(gain, self.unit)

    @property
    def points(self) -> str:
        """After a difference: ` points`, ` nats`, or nothing."""
        return self.unit.of_differences

    @property
    def in_points(self) -> str:
        """After the head of a column of differences: ` (points)`."""
        return f" ({self.points.strip()})" if self.points else ""

    @property
    def in_unit(self) -> str:
        """After the head of a column of values: ` (%)`."""
        return f" ({self.unit.of_values.strip()})" if self.unit.of_values else ""

    @property
    def gain_words(self) -> str:
        """What a better student does, before an amount: `gain`, `lower the loss by`."""
        return f"lower the {self.words} by" if self.is_minimised else "gain"

    @property
    def article(self) -> str:
        """Before a value that a student reaches; nothing before an accuracy, which is known."""
        return "" if self.is_accuracy else f"a test {self.words} of "

    def label(self, of: str = "") -> str:
        """Of an axis: `Test accuracy`; what an axis in percent shows is on its ticks."""
        words = wording.capitalized(f"{of} {self.words}".strip())
        return words if self.unit == PERCENT else f"{words}{self.in_unit}"

    def _own(self, estimate: Estimate | None) -> Estimate | None:
        return None if estimate is None else self.own_estimate(estimate)


ACCURACY = Headline(METRICS["accuracy"])
"""What most studies speak of."""
