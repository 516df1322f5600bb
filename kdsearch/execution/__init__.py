"""Where cohorts and teachers are trained."""

from kdsearch.execution.inline import InlineExecutor, start_task
from kdsearch.execution.processes import ProcessExecutor
from kdsearch.execution.task import (
    CohortTask,
    EpochDone,
    Event,
    Executor,
    Notify,
    Row,
    RowDone,
    RowPaused,
    Task,
    TaskFailed,
    TeacherTask,
)

__all__ = [
    "CohortTask",
    "EpochDone",
    "Event",
    "Executor",
    "InlineExecutor",
    "Notify",
    "ProcessExecutor",
    "Row",
    "RowDone",
    "RowPaused",
    "Task",
    "TaskFailed",
    "TeacherTask",
    "start_task",
]
