"""Where cohorts and teachers are trained."""

from kdsearch.execution.inline import InlineExecutor
from kdsearch.execution.processes import ProcessExecutor
from kdsearch.execution.task import (
    CohortTask,
    Decide,
    EpochDone,
    Executor,
    Notify,
    Row,
    RowDone,
    RungReached,
    ScoreName,
    Task,
    TaskFailed,
    TeacherTask,
)

__all__ = [
    "CohortTask",
    "Decide",
    "EpochDone",
    "Executor",
    "InlineExecutor",
    "Notify",
    "ProcessExecutor",
    "Row",
    "RowDone",
    "RungReached",
    "ScoreName",
    "Task",
    "TaskFailed",
    "TeacherTask",
]
