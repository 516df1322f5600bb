"""The records that trials write and analysis reads."""

from kdsearch.results.champion import champion_of
from kdsearch.results.choice import best_candidate, confirmed_choice
from kdsearch.results.record import (
    Arm,
    EnsembleRecord,
    EpochMetrics,
    Evaluation,
    Outcome,
    Stage,
    State,
    TeacherBankRecord,
    TeacherRecord,
    TrialRecord,
)
from kdsearch.results.results import Results
from kdsearch.results.strata import sizes_tried, strata_of

__all__ = [
    "Arm",
    "EnsembleRecord",
    "EpochMetrics",
    "Evaluation",
    "Outcome",
    "Results",
    "Stage",
    "State",
    "TeacherBankRecord",
    "TeacherRecord",
    "TrialRecord",
    "best_candidate",
    "champion_of",
    "confirmed_choice",
    "sizes_tried",
    "strata_of",
]
