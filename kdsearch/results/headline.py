"""A study's headline metric, read off an evaluation and turned so that higher is better.

Curves, gains and verdicts are all about what is better; only what is printed has the metric's own
sign (`analysis.headline`).
"""

import math

from kdsearch.config import Metric
from kdsearch.results.record import Evaluation


def turned(value: float, metric: Metric) -> float:
    """A value or a difference with its sign turned so that higher is better; and back again."""
    return value if metric.direction == "maximize" else -value


def score(evaluation: Evaluation | None, metric: Metric) -> float | None:
    """The metric of one evaluation, turned; None where it was not measured or is not finite."""
    value = evaluation.value(metric.name) if evaluation is not None else None
    return None if value is None or not math.isfinite(value) else turned(float(value), metric)


def is_accuracy_like(metric: Metric) -> bool:
    """Whether 1 is perfect: a fraction that is maximised."""
    return metric.unit == "fraction" and metric.direction == "maximize"
