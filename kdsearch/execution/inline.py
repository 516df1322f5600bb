"""Tasks in the coordinator's own process, one after another."""

from collections.abc import Callable, Sequence
from functools import partial

from kdsearch.execution.cohort import TRIAL_FAILURES, Events, reason_of, train_cohort
from kdsearch.execution.student import single_threaded
from kdsearch.execution.task import (
    CohortTask,
    EpochDone,
    Idle,
    Notify,
    Task,
    TaskFailed,
    nothing_to_do,
)
from kdsearch.execution.teacher import train_teacher


def start_task(
    task: Task, should_stop: Callable[[], bool], emit: Callable[[EpochDone], None]
) -> Events:
    """The generator that does a task; whatever stops it becomes its last event.

    The same in this process and in a worker, where an exception would end the process and leave
    its reason on nobody's screen.

    Args:
        task: What to do.
        should_stop: Polled at every epoch.
        emit: Given a teacher's epochs as they happen: it trains while its bank holds a lock,
            where nothing can be yielded.
    """
    try:
        if isinstance(task, CohortTask):
            yield from train_cohort(task, should_stop)
        else:
            train_teacher(task, should_stop, emit)
    except TRIAL_FAILURES as error:  # a user's own teacher may raise anything
        yield TaskFailed(reason_of(error))


class InlineExecutor:
    """Runs tasks in order in this process; what debuggers and notebooks want."""

    def __init__(self) -> None:
        single_threaded()

    def run(
        self,
        tasks: Sequence[Task],
        *,
        notify: Notify,
        should_stop: Callable[[], bool],
        idle: Idle = nothing_to_do,
    ) -> None:
        """See `Executor.run`."""
        for task in tasks:
            if should_stop():
                return
            for event in start_task(task, should_stop, partial(notify, task)):
                notify(task, event)
                while idle():
                    pass

    def close(self) -> None:
        """Nothing to release."""
