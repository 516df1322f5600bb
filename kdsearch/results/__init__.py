"""The records that trials write and analysis reads."""

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
]
