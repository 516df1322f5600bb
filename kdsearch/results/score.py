"""What a study judges a trial by: the one place where an objective is read off a record."""

import math
from collections.abc import Iterable, Sequence

from kdsearch.config import METRICS, Metric, Objective
from kdsearch.config.metric import VALIDATION
from kdsearch.results.record import EpochMetrics, TrialRecord

ACCURACY_LIKE = tuple(
    f"{VALIDATION}{metric.name}" for metric in METRICS.values() if metric.unit == "fraction"
)
"""Objectives that are fractions, whose differences are points."""
BY_ACCURACY = Objective(metric="val_accuracy", direction="maximize")
"""What ranks epochs where the study's objectives cannot."""


def validated_metric(objective: Objective) -> str | None:
    """The name of the metric that an objective takes on validation; None for a count."""
    name = objective.metric
    return name.removeprefix(VALIDATION) if name.startswith(VALIDATION) else None


def objective_value(record: TrialRecord, objective: Objective) -> float | None:
    """One objective of the weights that were kept, in its own direction.

    Returns:
        None if the trial never got one, or it is not finite. A trial that failed while training
        has its last epoch's.
    """
    name = validated_metric(objective)
    if name is None:
        value = getattr(record, objective.metric)
    elif record.val is not None:
        value = record.val.value(name)
    else:
        value = record.history[-1].value(name) if record.history else None
    return None if value is None or not math.isfinite(value) else float(value)


def signed_value(record: TrialRecord, objective: Objective) -> float | None:
    """`objective_value` with its sign turned so that higher is better."""
    value = objective_value(record, objective)
    return value if value is None or objective.direction == "maximize" else -value


def ranked_by(objectives: Sequence[Objective]) -> Objective:
    """What ranks epochs, and trials at rungs: a single validation objective, else accuracy."""
    if len(objectives) == 1 and validated_metric(objectives[0]) is not None:
        return objectives[0]
    return BY_ACCURACY


def measured_each_epoch(ranking: Objective, own: Sequence[Metric]) -> tuple[Metric, ...]:
    """What must be measured after every epoch to rank it, beside what always is.

    Args:
        ranking: What ranks epochs.
        own: The study's own metrics.
    """
    name = validated_metric(ranking)
    assert name is not None, "epochs are ranked by a metric"
    if name in EpochMetrics.ALWAYS:
        return ()
    return ((METRICS | {metric.name: metric for metric in own})[name],)


def epoch_score(metrics: EpochMetrics, ranking: Objective) -> float:
    """An epoch's score; higher is better."""
    value = metrics.value(validated_metric(ranking) or "")
    assert value is not None, "what ranks epochs is measured in each"
    return value if ranking.direction == "maximize" else -value


def score_by(record: TrialRecord, epoch: int, ranking: Objective) -> float:
    """The best score of a trial's first `epoch` epochs."""
    return max(epoch_score(metrics, ranking) for metrics in record.history[:epoch])


def best_trial(records: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The COMPLETE trial with the best value; the earliest of equals; None if there is none."""
    best, best_score = None, -math.inf
    for record in records:
        score = signed_value(record, objective)
        if record.state == "COMPLETE" and score is not None and score > best_score:
            best, best_score = record, score
    return best
