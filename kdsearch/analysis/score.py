"""What the search judged a trial by."""

import math
from collections.abc import Iterable

from kdsearch.config import Objective
from kdsearch.results import TrialRecord

ACCURACY_LIKE = ("val_accuracy", "val_agreement")


def objective_value(trial: TrialRecord, objective: Objective) -> float | None:
    """The trial's value of one objective; None if it never got one (or it is not finite)."""
    match objective.metric:
        case "num_params":
            value = trial.num_params
        case "macs":
            value = trial.macs
        case "size_bytes":
            value = trial.size_bytes
        case "val_accuracy":
            value = trial.val.accuracy if trial.val else None
        case "val_loss":
            value = trial.val.loss if trial.val else None
        case "val_agreement":
            value = trial.val.agreement if trial.val else None
    return None if value is None or not math.isfinite(value) else float(value)


def best_trial(trials: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The COMPLETE trial with the best value; the earliest of equals; None if there is none."""
    sign = 1.0 if objective.direction == "maximize" else -1.0
    best, best_score = None, -math.inf
    for trial in trials:
        value = objective_value(trial, objective)
        if trial.state == "COMPLETE" and value is not None and sign * value > best_score:
            best, best_score = trial, sign * value
    return best
