"""Which engine is faster here, by a measurement of a fraction of a second."""

import time
from collections.abc import Sequence

from kdsearch.execution.engine import (
    Engine,
    PopulationEngine,
    ReferenceEngine,
    can_stack,
    stack_key,
)
from kdsearch.execution.student import Student
from kdsearch.execution.task import CohortTask, Row
from kdsearch.training import TrainingData

SAMPLES = 1024
"""Of the training set: enough for 8 steps of 128."""
MAX_STUDENTS = 16
PREFER_POPULATION = 0.8
"""The population is taken unless it is clearly slower, so that noise does not choose."""


def population_speedup(task: CohortTask) -> float | None:
    """Student-epochs a second of a population over those of the reference loop.

    None if fewer than two students of the task can be stacked. Trains a few epochs on a part of
    the data, in this process; nothing of it is kept.
    """
    rows = largest_stack(task.rows)[:MAX_STUDENTS]
    if len(rows) < 2:
        return None
    singly = [Student(row, task) for row in rows[:: max(len(rows) // 4, 1)]]
    together = [Student(row, task) for row in rows]
    for student in (*singly, *together):
        student.data = shortened(student.data)
    reference = [ReferenceEngine(student, None) for student in singly]
    alone = seconds_per_epoch(reference) / len(singly)
    stacked = seconds_per_epoch([PopulationEngine(together, {})]) / len(together)
    return alone / stacked


def largest_stack(rows: Sequence[Row]) -> list[Row]:
    """The most students that fit into one population: of one depth, batch size and so on."""
    stacks: dict[object, list[Row]] = {}
    for row in rows:
        if can_stack(row):
            stacks.setdefault(stack_key(row), []).append(row)
    return max(stacks.values(), key=len, default=[])


def seconds_per_epoch(engines: Sequence[Engine]) -> float:
    """Wall time of the second epoch of all engines; the first one warms up."""
    for engine in engines:
        list(engine.train(1))
    started = time.perf_counter()
    for engine in engines:
        list(engine.train(2))
    return time.perf_counter() - started


def shortened(data: TrainingData) -> TrainingData:
    """The first samples of both splits."""
    cut = slice(0, SAMPLES)
    return TrainingData(
        train_x=data.train_x[cut],
        train_y=data.train_y[cut],
        val_x=data.val_x[cut],
        val_y=data.val_y[cut],
        teacher_train=None if data.teacher_train is None else data.teacher_train[:, cut],
        teacher_val=None if data.teacher_val is None else data.teacher_val[cut],
    )
