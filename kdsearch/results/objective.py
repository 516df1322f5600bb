"""From what a trial measured to what the study judges it by."""

from collections.abc import Sequence

from kdsearch.config import Objective
from kdsearch.results import TrialRecord
from kdsearch.results.score import objective_value, signed_value, validated_metric


def objective_values(record: TrialRecord, objectives: Sequence[Objective]) -> list[float] | None:
    """A complete trial's values, in the order of the objectives; None for any other trial."""
    if record.state != "COMPLETE":
        return None
    return [complete_value(record, objective) for objective in objectives]


def complete_value(record: TrialRecord, objective: Objective) -> float:
    """One value of a complete trial, in the objective's own direction."""
    value = objective_value(record, objective)
    assert value is not None, "a complete trial is measured"
    return value


def rung_value(score: float, objective: Objective) -> float:
    """A score at a rung (higher is better) in the objective's own direction, for Optuna."""
    is_negated = objective.direction == "minimize" and validated_metric(objective) is not None
    return -score if is_negated else score


def complete_score(record: TrialRecord, objective: Objective) -> float:
    """One value of a complete trial with its sign turned so that higher is better."""
    value = signed_value(record, objective)
    assert value is not None, "a complete trial is measured"
    return value
