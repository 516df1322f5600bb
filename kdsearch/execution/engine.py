"""The engines that train the students of a cohort: one by one, or as a population."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol, assert_never

from kdsearch.config import CnnModel, Conv1dModel, ImportModel, MlpModel, ModelConfig
from kdsearch.distill import in_closed_form
from kdsearch.errors import DivergedError
from kdsearch.execution.student import Student
from kdsearch.execution.task import EngineName, StudentSpec
from kdsearch.models.mlp import Mlp
from kdsearch.results import EpochMetrics
from kdsearch.training import (
    FunctionalPopulation,
    MlpPopulation,
    PopulationStudent,
    StudentRun,
    gains_alone,
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
        trial = student.spec.trial
        run = StudentRun(
            student.body,
            student.data,
            training=trial.training,
            distillation=trial.distillation,
            width=trial.student.width,
            order_seed=student.spec.order_seed,
            score=student.score,
            measured=student.measured,
        )
        if self._saved is not None:
            run.load_state_dict(self._saved)
        student.progress = run
        return run


class PopulationEngine:
    """Students in one step, at most 16 at a time: who leaves makes room for the next.

    Who trains with whom follows from the students' progress alone, so a resumed engine goes on
    with the same populations, to the bit.
    """

    def __init__(
        self, students: Sequence[Student], states: dict[str, dict[str, Any] | None]
    ) -> None:
        self.students = sorted(students, key=batches_and_width)
        self._states = {key: state for key, state in states.items() if state is not None}
        self._stacked: list[Student] = []
        self._population: MlpPopulation | FunctionalPopulation | None = None
        for student in self.students:
            if student.spec.key in self._states:
                student.progress.load_state_dict(self._states[student.spec.key]["progress"])

    def train(self, until: int) -> Iterator[Step]:
        """See `Engine.train`."""
        while chosen := self._choose(until):
            population = self._stack(chosen)
            started = time.perf_counter()
            for outcomes in population.epochs(until=until):
                seconds = time.perf_counter() - started
                step: Step = [(chosen[place], outcome) for place, outcome in outcomes.items()]
                work = sum(student.macs for student, _ in step)
                for student, _ in step:
                    student.train_seconds += seconds * student.macs / work
                yield step
                for student, outcome in step:
                    if isinstance(outcome, DivergedError):
                        self.drop(student)
                if self._choose(until) != chosen:
                    break
                started = time.perf_counter()

    def drop(self, student: Student) -> None:
        """See `Engine.drop`."""
        self.students.remove(student)
        self._states.pop(student.spec.key, None)
        if not self.students:
            self._population, self._stacked = None, []

    def state(self, student: Student) -> dict[str, Any] | None:
        """See `Engine.state`."""
        if self._population is not None and student in self._stacked:
            return self._population.student_state(self._stacked.index(student))
        return self._states.get(student.spec.key)

    def _choose(self, until: int) -> list[Student]:
        """Who trains next: those that have begun go on, and the first in line fill up."""
        ready = [s for s in self.students if s.progress.epoch < until]
        ready = [s for s in ready if not s.progress.is_finished]
        ready.sort(key=lambda s: s.progress.epoch, reverse=True)
        return sorted(ready[:CHUNK], key=batches_and_width)

    def _stack(self, chosen: list[Student]) -> MlpPopulation | FunctionalPopulation:
        population = self._population
        if population is None:
            population = build_population(chosen)
        elif chosen != self._stacked:
            self._remember([s for s in self._stacked if s not in chosen])
            population.regroup([in_population(student) for student in chosen])
        for place, student in enumerate(chosen):
            if student not in self._stacked and student.spec.key in self._states:
                population.load_student(place, self._states[student.spec.key])
        self._population, self._stacked = population, chosen
        return population

    def _remember(self, leaving: Sequence[Student]) -> None:
        for student in leaving:
            state = self.state(student) if student in self.students else None
            if state is not None:
                self._states[student.spec.key] = state


def batches_and_width(student: Student) -> tuple[int, int, int]:
    """The order in a population: those that see the same batches, and equals, side by side."""
    spec = student.spec
    return spec.order_seed, student.progress.epoch, spec.trial.student.width


def build_engines(
    students: Sequence[Student],
    states: dict[str, dict[str, Any] | None],
    engine: EngineName,
    *,
    specs: Sequence[StudentSpec],
    alone: Collection[str] = (),
) -> list[Engine]:
    """Engines for the students of a cohort, grouped by what must be equal in a population.

    The grouping follows from the cohort alone, so it is the same after a resume; students that a
    failed population left to the reference loop stay there.

    Args:
        students: Those not done yet.
        states: What a checkpoint has kept of them, by key.
        engine: What the cohort is to be trained with.
        specs: All students of the cohort, whether done or not.
        alone: Keys of those that a failed population has left.
    """
    engines: list[Engine] = []
    groups: dict[object, list[Student]] = {}
    company = Counter(stack_key(spec) for spec in specs)
    for student in students:
        state, key = states.get(student.spec.key), stack_key(student.spec)
        was_alone = student.spec.key in alone or (state is not None and "optimizer" in state)
        # Most lone students that have not begun are faster in the reference loop.
        gains = gains_alone(student.body) and is_in_closed_form(student.spec)
        gains = gains or company[key] > 1 or state is not None
        if engine == "population" and not was_alone and gains and can_stack(student):
            groups.setdefault(key, []).append(student)
        else:
            engines.append(ReferenceEngine(student, state))
    return engines + [PopulationEngine(group, states) for group in groups.values()]


def build_population(students: Sequence[Student]) -> MlpPopulation | FunctionalPopulation:
    """The population that trains such students, who have one `stack_key`, fastest."""
    first = students[0]
    stacked = [in_population(student) for student in students]
    if isinstance(first.body, Mlp) and is_in_closed_form(first.spec):
        return MlpPopulation(stacked, first.data)
    return FunctionalPopulation(stacked, first.data, width=first.spec.trial.student.width)


def in_population(student: Student) -> PopulationStudent[Any]:
    """A student as a population sees it."""
    spec = student.spec
    training, distillation = spec.trial.training, spec.trial.distillation
    return PopulationStudent(
        student.body, training, distillation, student.progress, spec.order_seed
    )


def can_stack(student: Student) -> bool:
    """Whether a population can train this student; a user's own model is tried on samples."""
    match student.spec.trial.student:
        case MlpModel() as mlp:
            return not mlp.is_regularized
        case Conv1dModel() | CnnModel():
            return True
        case ImportModel():
            return is_stackable(student.body, student.data.train_x)
        case _:
            assert_never(student.spec.trial.student)


def stack_key(spec: StudentSpec) -> object:
    """What students of one population have in common."""
    trial = spec.trial
    return (
        trial.data,
        trial.teacher,
        is_in_closed_form(spec),
        stack_shape(trial.student, is_in_closed_form=is_in_closed_form(spec)),
        trial.training.batch_size,
        trial.training.optimizer,
        trial.training.device,
    )


def is_in_closed_form(spec: StudentSpec) -> bool:
    """Whether the slope of a student's loss is written out; others are left to autograd.

    Plain MLPs then have a population of their own, which takes no other loss.
    """
    return in_closed_form([spec.trial.distillation]) is not None


def stack_shape(model: ModelConfig, *, is_in_closed_form: bool) -> object:
    """What students' models have in common: plain MLPs may differ in width, others in nothing."""
    if isinstance(model, MlpModel) and not model.is_regularized and is_in_closed_form:
        return model.depth
    return model.model_dump_json()
