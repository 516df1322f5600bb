"""Which engine is faster here, by a measurement of about a second."""

import time
from collections.abc import Sequence
from dataclasses import replace

from kdsearch.execution.engine import (
    Engine,
    PopulationEngine,
    ReferenceEngine,
    can_stack,
    stack_key,
)
from kdsearch.execution.student import Student
from kdsearch.execution.task import CohortTask, StudentSpec
from kdsearch.models.build import USERS_FAILURES
from kdsearch.training import TrainingData

MAX_STEPS, MAX_STUDENTS, SLOW_STUDENTS = 8, 16, 4
SLOW_STEP_SECONDS = 0.01
"""Above it a few students tell, because their fixed costs no longer matter."""
TIMED_EPOCHS = 3
"""After one that warms up; the fastest counts, because other processes only slow down."""
BUDGET_SECONDS = 1.5


def population_speedup(task: CohortTask) -> float | None:
    """Student-epochs a second of a population over those of the reference loop.

    None if fewer than two students of the task can be stacked, or if they cannot be trained.
    Trains a few epochs on a part of the data, in this process; nothing of it is kept.
    """
    try:
        return _speedup(largest_stack(task.specs), task)
    except USERS_FAILURES:  # a user's own model may fail; its trials will say how
        return None


def _speedup(specs: Sequence[StudentSpec], task: CohortTask) -> float | None:
    if len(specs) < 2:
        return None
    first = Student(untiring(specs[0]), task)
    if not can_stack(first):
        return None
    batch_size = specs[0].trial.training.batch_size
    step_seconds = seconds_per_epoch([ReferenceEngine(shortened(first, batch_size), None)])
    is_slow = step_seconds > SLOW_STEP_SECONDS
    together = spread(specs, SLOW_STUDENTS if is_slow else MAX_STUDENTS)
    singly = spread(together, SLOW_STUDENTS)
    # A population may be half as fast, or worse.
    student_steps = (1 + TIMED_EPOCHS) * (len(singly) + 2 * len(together))
    steps = max(1, min(MAX_STEPS, int(BUDGET_SECONDS / (student_steps * step_seconds))))
    alone, stack = (
        [shortened(Student(untiring(spec), task), steps * batch_size) for spec in some]
        for some in (singly, together)
    )
    seconds_alone = seconds_per_epoch([ReferenceEngine(student, None) for student in alone])
    seconds_together = seconds_per_epoch([PopulationEngine(stack, {})])
    return (seconds_alone / len(alone)) / (seconds_together / len(stack))


def largest_stack(specs: Sequence[StudentSpec]) -> list[StudentSpec]:
    """The most students that share data, shape and so on, as a population must; widest first."""
    stacks: dict[object, list[StudentSpec]] = {}
    for spec in specs:
        stacks.setdefault(stack_key(spec), []).append(spec)
    largest = max(stacks.values(), key=len, default=[])
    return sorted(largest, key=lambda spec: spec.trial.student.width, reverse=True)


def spread(specs: Sequence[StudentSpec], count: int) -> Sequence[StudentSpec]:
    """At most `count` of the students, spread over all of them, the first among them."""
    return specs[:: max(len(specs) // count, 1)][:count]


def seconds_per_epoch(engines: Sequence[Engine]) -> float:
    """Wall time of one epoch of all engines."""
    seconds = []
    for epoch in range(1, TIMED_EPOCHS + 2):
        started = time.perf_counter()
        for engine in engines:
            list(engine.train(epoch))
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def untiring(spec: StudentSpec) -> StudentSpec:
    """The student, to be trained for as long as the measurement takes."""
    longer = spec.trial.training.model_copy(
        update={"epochs": spec.trial.training.epochs + TIMED_EPOCHS + 1, "patience": None}
    )
    return replace(spec, trial=spec.trial.model_copy(update={"training": longer}))


def shortened(student: Student, num_samples: int) -> Student:
    """The student, to be trained and validated on the first samples only."""
    data, cut = student.data.at_epoch(1), slice(0, num_samples)
    student.data = TrainingData(
        train_x=data.train_x[cut],
        train_y=data.train_y[cut],
        val_x=data.val_x[cut],
        val_y=data.val_y[cut],
        teacher_train=None if data.teacher_train is None else data.teacher_train[:, cut],
        teacher_val=None if data.teacher_val is None else data.teacher_val[cut],
    )
    return student
