"""What a study judges a trial by: the one place where an objective is read off a record."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from kdsearch.config import Objective
from kdsearch.results.record import EpochMetrics, TrialRecord

ScoreName = Literal["val_accuracy", "val_loss", "val_agreement"]

ACCURACY_LIKE = ("val_accuracy", "val_agreement")
"""Objectives that are fractions, whose differences are points."""
_VALIDATED = {"val_accuracy": "accuracy", "val_loss": "loss", "val_agreement": "agreement"}


def objective_value(record: TrialRecord, objective: Objective) -> float | None:
    """One objective of the weights that were kept, in its own direction.

    Returns:
        None if the trial never got one, or it is not finite. A trial that failed while training
        has its last epoch's.
    """
    if objective.metric not in _VALIDATED:
        value = getattr(record, objective.metric)
    elif record.val is not None:
        value = getattr(record.val, _VALIDATED[objective.metric])
    else:
        value = getattr(record.history[-1], objective.metric) if record.history else None
    return None if value is None or not math.isfinite(value) else float(value)


def signed_value(record: TrialRecord, objective: Objective) -> float | None:
    """`objective_value` with its sign turned so that higher is better."""
    value = objective_value(record, objective)
    return value if value is None or objective.direction == "maximize" else -value


def score_name(objectives: Sequence[Objective]) -> ScoreName:
    """What ranks epochs, and trials at rungs: a single validation objective, else accuracy."""
    match [objective.metric for objective in objectives]:
        case ["val_loss"]:
            return "val_loss"
        case ["val_agreement"]:
            return "val_agreement"
        case _:
            return "val_accuracy"


def epoch_score(metrics: EpochMetrics, name: ScoreName) -> float:
    """An epoch's score; higher is better."""
    match name:
        case "val_accuracy":
            return metrics.val_accuracy
        case "val_agreement":
            return metrics.val_agreement
        case "val_loss":
            return -metrics.val_loss


def score_by(record: TrialRecord, epoch: int, name: ScoreName) -> float:
    """The best score of a trial's first `epoch` epochs."""
    return max(epoch_score(metrics, name) for metrics in record.history[:epoch])


def best_trial(records: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The COMPLETE trial with the best value; the earliest of equals; None if there is none."""
    best, best_score = None, -math.inf
    for record in records:
        score = signed_value(record, objective)
        if record.state == "COMPLETE" and score is not None and score > best_score:
            best, best_score = record, score
    return best
