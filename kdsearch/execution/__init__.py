"""Where cohorts and teachers are trained."""

from kdsearch.execution.inline import InlineExecutor, start_task
from kdsearch.execution.processes import ProcessExecutor
from kdsearch.execution.task import (
    CohortTask,
    EpochDone,
    Event,
    Executor,
    Notify,
    StudentDone,
    StudentPaused,
    StudentSpec,
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
    "StudentDone",
    "StudentPaused",
    "StudentSpec",
    "Task",
    "TaskFailed",
    "TeacherTask",
    "start_task",
]
