"""The engines that train the students of a cohort: one by one, or as a population."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, assert_never

from kdsearch.config import CnnModel, Conv1dModel, ImportModel, MlpModel, ModelConfig
from kdsearch.errors import DivergedError
from kdsearch.execution.student import Student
from kdsearch.execution.task import EngineName, Row
from kdsearch.models.mlp import Mlp
from kdsearch.results import EpochMetrics
from kdsearch.training import (
    FunctionalPopulation,
    Member,
    Population,
    StudentRun,
    is_stackable,
)

CHUNK = 16
"""Students of a population: more gain nothing and leave the cache (measured)."""

Step = list[tuple[Student, EpochMetrics | DivergedError]]
"""Students that finished an epoch at the same time, each with its metrics or its failure."""


class Engine(Protocol):
    """Trains some students of a cohort."""

    students: list[Student]
    """Those still in training."""

    def train(self, until: int) -> Iterator[Step]:
        """Train to an epoch, step by step; a failure ends a student."""
        ...

    def drop(self, student: Student) -> None:
        """Stop training a student."""
        ...

    def state(self, student: Student) -> dict[str, Any] | None:
        """What a checkpoint keeps of a student; None if it has not begun."""
        ...


class ReferenceEngine:
    """One student through the reference loop."""

    def __init__(self, student: Student, state: dict[str, Any] | None) -> None:
        self.students = [student]
        self._saved = state
        self._run: StudentRun | None = None
        if state is not None:
            student.progress.load_state_dict(state)

    def train(self, until: int) -> Iterator[Step]:
        """See `Engine.train`."""
        if not self.students:
            return
        (student,) = self.students
        started = time.perf_counter()
        run = self._run = self._run or self._start(student)
        try:
            for metrics in run.epochs(until=until):
                student.train_seconds += time.perf_counter() - started
                yield [(student, metrics)]
                started = time.perf_counter()
        except DivergedError as error:
            self.drop(student)
            yield [(student, error)]

    def drop(self, student: Student) -> None:
        """See `Engine.drop`."""
        self.students.remove(student)

    def state(self, student: Student) -> dict[str, Any] | None:
        """See `Engine.state`."""
        assert student in self.students
        return self._saved if self._run is None else self._run.state_dict()

    def _start(self, student: Student) -> StudentRun:
        trial = student.row.trial
        run = StudentRun(
            student.body,
            student.data,
            training=trial.training,
            distillation=trial.distillation,
            width=trial.student.width,
            order_seed=student.row.order_seed,
            score=student.score,
        )
        if self._saved is not None:
            run.load_state_dict(self._saved)
        student.progress = run
        return run


class PopulationEngine:
    """Up to 16 students that share batches, in one step; rebuilt without those that leave."""

    def __init__(
        self, students: Sequence[Student], states: dict[str, dict[str, Any] | None]
    ) -> None:
        self.students = sorted(students, key=lambda s: s.row.trial.student.width)
        self._states = {key: state for key, state in states.items() if state is not None}
        self._stacked: list[Student] = []
        self._population: Population | FunctionalPopulation | None = None
        for student in self.students:
            if student.row.key in self._states:
                student.progress.load_state_dict(self._states[student.row.key]["progress"])

    def train(self, until: int) -> Iterator[Step]:
        """See `Engine.train`."""
        while any(s.progress.epoch < until for s in self._unfinished()):
            population = self._population or self._stack()
            started = time.perf_counter()
            for outcomes in population.epochs(until=until):
                seconds = (time.perf_counter() - started) / len(outcomes)
                yield from self._told(outcomes, seconds)
                if self._population is None:
                    break
                started = time.perf_counter()

    def drop(self, student: Student) -> None:
        """See `Engine.drop`."""
        self._unstack()
        self.students.remove(student)

    def state(self, student: Student) -> dict[str, Any] | None:
        """See `Engine.state`."""
        self._remember()
        return self._states.get(student.row.key)

    def _told(
        self, outcomes: dict[int, EpochMetrics | DivergedError], seconds: float
    ) -> Iterator[Step]:
        step: Step = [(self._stacked[row], outcome) for row, outcome in outcomes.items()]
        for student, _ in step:
            student.train_seconds += seconds
        yield step
        for student, outcome in step:
            if isinstance(outcome, DivergedError):
                self.drop(student)
        if any(student.progress.is_finished for student, _ in step):
            self._unstack()

    def _unfinished(self) -> list[Student]:
        return [student for student in self.students if not student.progress.is_finished]

    def _stack(self) -> Population | FunctionalPopulation:
        self._stacked = self._unfinished()
        population = build_population(self._stacked)
        for row, student in enumerate(self._stacked):
            if student.row.key in self._states:
                population.load_row(row, self._states[student.row.key])
        self._population = population
        return population

    def _unstack(self) -> None:
        self._remember()
        self._population = None

    def _remember(self) -> None:
        if self._population is not None:
            for row, student in enumerate(self._stacked):
                self._states[student.row.key] = self._population.row_state(row)


def build_engines(
    students: Sequence[Student],
    states: dict[str, dict[str, Any] | None],
    engine: EngineName,
) -> list[Engine]:
    """Engines for the students of a cohort, grouped by what must be equal in a population.

    The grouping follows from the students alone, so it is the same after a resume; a student
    that a failed population left to the reference loop stays there.
    """
    engines: list[Engine] = []
    groups: dict[object, list[Student]] = {}
    for student in students:
        state = states.get(student.row.key)
        was_alone = state is not None and "optimizer" in state
        if engine == "population" and not was_alone and can_stack(student):
            groups.setdefault(stack_key(student.row), []).append(student)
        else:
            engines.append(ReferenceEngine(student, state))
    for group in groups.values():
        ordered = sorted(group, key=lambda s: s.row.trial.student.width)
        for start in range(0, len(ordered), CHUNK):
            chunk = ordered[start : start + CHUNK]
            if len(chunk) == 1 and is_better_alone(chunk[0], states):
                engines.append(ReferenceEngine(chunk[0], None))
            else:
                engines.append(PopulationEngine(chunk, states))
    return engines


def build_population(students: Sequence[Student]) -> Population | FunctionalPopulation:
    """The population that trains such students, who have one `stack_key`, fastest."""
    first = students[0]
    members, mlps = [], []
    for student in students:
        trial, body = student.row.trial, student.body
        member = Member(
            body, trial.training, trial.distillation, student.progress, student.row.order_seed
        )
        members.append(member)
        if isinstance(body, Mlp):
            mlps.append(member._replace(model=body))
    if len(mlps) == len(students):
        return Population(mlps, first.data)
    return FunctionalPopulation(members, first.data, width=first.row.trial.student.width)


def can_stack(student: Student) -> bool:
    """Whether a population can train this student; a user's own model is tried on samples."""
    match student.row.trial.student:
        case MlpModel() | Conv1dModel() | CnnModel():
            return True
        case ImportModel():
            return is_stackable(student.body, student.data.train_x)
        case _:
            assert_never(student.row.trial.student)


def is_better_alone(student: Student, states: dict[str, dict[str, Any] | None]) -> bool:
    """Whether a student without company is faster in the reference loop, and not begun yet."""
    is_mlp = isinstance(student.row.trial.student, MlpModel)
    return not is_mlp and states.get(student.row.key) is None


def stack_key(row: Row) -> object:
    """What students of one population have in common."""
    trial = row.trial
    return (
        trial.data,
        trial.teacher,
        stack_shape(trial.student),
        trial.training.batch_size,
        trial.training.optimizer,
        trial.training.device,
        row.order_seed,
    )


def stack_shape(model: ModelConfig) -> object:
    """What students' models have in common: MLPs may differ in width, others in nothing."""
    return model.depth if isinstance(model, MlpModel) else model.model_dump_json()
