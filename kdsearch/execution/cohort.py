"""How a worker trains a cohort from one rung to the next, with a checkpoint that resumes it.

`train_cohort` is a generator so that one function serves the coordinator's own process (which
iterates it) and worker processes (which send its events through a pipe).
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdsearch.errors import DivergedError, KdsearchError, StaleCacheError
from kdsearch.execution.engine import Engine, ReferenceEngine, Step, build_engines
from kdsearch.execution.student import Student, students_path
from kdsearch.execution.task import (
    CohortTask,
    EpochDone,
    Event,
    StudentDone,
    StudentPaused,
    StudentSpec,
)
from kdsearch.results import Outcome, State
from kdsearch.training import load_checkpoint, save_checkpoint

CHECKPOINT_SECONDS = 15.0
"""A kill loses at most this much of a cohort's work, or one epoch."""

TRIAL_FAILURES = (Exception, SystemExit)
"""The trial boundary: whatever a student's own code raises fails it alone; the study goes on."""

Events = Iterator[Event]


def train_cohort(task: CohortTask, should_stop: Callable[[], bool]) -> Events:
    """Train a cohort's leg from its last checkpoint, yielding what happens.

    At the end every student has been told as `StudentDone` or, if it waits at the rung, as
    `StudentPaused`.
    Once `should_stop` is true, the cohort saves a checkpoint and the generator ends early.
    """
    ended = _saved(_end_of(task.checkpoint))
    if ended is not None:  # by a process that was killed before all of it was heard
        yield from _tell_end(ended)
        return
    cohort = Cohort(task)
    for told in cohort.train():
        yield from told
        if should_stop():
            cohort.save()
            return
    cohort.finish()
    yield from _tell_end(cohort.end())


class Cohort:
    """The students still in training and the outcomes of those that are done."""

    def __init__(self, task: CohortTask) -> None:
        self.students: dict[str, Student] = {}
        self.refits: dict[str, Student] = {}
        """Those that are trained again on the validation samples, too, by the key of the first."""
        self._task = task
        self._done: dict[str, Outcome] = {}
        self._saved_at = time.monotonic()
        self._engines: list[Engine] = []
        self._alone: set[str] = set()
        """Keys of students that a failed population has left to the reference loop."""
        self._restore()

    def train(self) -> Iterator[Events]:
        """Train every live student to the rung, or to its end and its refit's, step by step."""
        yield from self._train(self._engines)
        if self._task.until is None:
            yield from self._train(self._begin_refits({}))

    def _train(self, engines: Sequence[Engine]) -> Iterator[Events]:
        until = self._task.until
        waiting = deque(engines)
        while waiting:
            engine = waiting.popleft()
            longest = max((s.spec.trial.training.epochs for s in engine.students), default=0)
            try:
                for step in engine.train(until or longest):
                    yield self._tell(step)
                    self._save_now_and_then()
            except TRIAL_FAILURES as error:
                waiting.extendleft(reversed(self._without(engine, error)))

    def _without(self, engine: Engine, error: BaseException) -> list[Engine]:
        """What goes on after an engine has failed: of many students, each alone from its start."""
        self._engines.remove(engine)
        if len(engine.students) == 1:
            self._fail(engine.students[0], error)
            return []
        singles = [student.untrained() for student in engine.students]
        for student in singles:
            if student.first is None:
                self.students[student.spec.key] = student
            else:
                self.refits[student.first.spec.key] = student
        self._alone |= {student.spec.key for student in singles}
        alone: list[Engine] = [ReferenceEngine(student, None) for student in singles]
        self._engines += alone
        return alone

    def finish(self) -> None:
        """Measure the students that have nothing left to train, or that may not train on."""
        for key, student in list(self.students.items()):
            if self._task.pruned:
                self._finish(key, "PRUNED")
            elif student.progress.is_finished:
                self._finish(key, "COMPLETE")

    def end(self) -> dict[str, Any]:
        """Write how the leg ended; what it returns says all of it."""
        if self.students:
            self.save()
        state = {
            "done": self._done_state(),
            "paused": {key: s.progress.best_score for key, s in self.students.items()},
        }
        save_checkpoint(_end_of(self._task.checkpoint), state)
        return state

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "done": self._done_state(),
            "students": self._states(),
            "alone": sorted(self._alone),
        }
        save_checkpoint(self._task.checkpoint, state)
        self._saved_at = time.monotonic()

    def _done_state(self) -> dict[str, Any]:
        return {key: outcome.model_dump(mode="json") for key, outcome in self._done.items()}

    def _tell(self, step: Step) -> Events:
        for student, outcome in step:
            if isinstance(outcome, DivergedError):
                self._fail(student, outcome)
            elif student.first is None:
                yield EpochDone(student.spec.key, outcome)

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save()

    def _states(self) -> dict[str, Any]:
        return {
            student.spec.key: {
                "engine": engine.state(student),
                "train_seconds": student.train_seconds,
            }
            for engine in self._engines
            for student in (*self.students.values(), *self.refits.values())
            if student in engine.students
        }

    def _finish(self, key: str, state: State) -> None:
        student, final = self.students.pop(key), self.refits.pop(key, None)
        for engine in self._engines:
            for leaving in (student, final):
                if leaving in engine.students:
                    engine.drop(leaving)
        try:
            (final or student).save_weights(students_path(self._task.students, key))
            self._done[key] = student.outcome(state, final=final)
        except TRIAL_FAILURES as error:
            self._done[key] = student.failed(reason_of(error))

    def _fail(self, student: Student, error: BaseException) -> None:
        first = student.first or student
        del self.students[first.spec.key]
        self.refits.pop(first.spec.key, None)
        self._done[first.spec.key] = first.failed(reason_of(error))

    def _restore(self) -> None:
        state = _saved(self._task.checkpoint) or self._arrivals()
        self._done = {key: Outcome.model_validate(o) for key, o in state["done"].items()}
        self._alone = set(state.get("alone", ()))  # absent in what earlier versions wrote
        for spec in self._task.specs:
            if spec.key not in self._done:
                self._start(spec, state["students"].get(spec.key))
        saved = {key: s["engine"] for key, s in state["students"].items()}
        self._engines = build_engines(
            list(self.students.values()),
            saved,
            self._task.engine,
            specs=self._task.specs,
            alone=self._alone,
        )
        if saved.keys() - {spec.key for spec in self._task.specs}:
            self._begin_refits(state["students"])

    def _begin_refits(self, states: Mapping[str, Any]) -> list[Engine]:
        """Engines for the refits of all students that are done and want one, once.

        Args:
            states: What a checkpoint has kept of them, by key.
        """
        if not self.refits:
            for key, student in list(self.students.items()):
                if student.spec.refit and student.progress.is_finished:
                    self._begin_refit(key, student, states)
            finals = list(self.refits.values())
            saved = {
                s.spec.key: states[s.spec.key]["engine"] for s in finals if s.spec.key in states
            }
            specs = [final.spec for final in finals]
            self._engines += build_engines(
                finals, saved, self._task.engine, specs=specs, alone=self._alone
            )
        own = set(map(id, self.refits.values()))
        return [e for e in self._engines if any(id(s) in own for s in e.students)]

    def _begin_refit(self, key: str, student: Student, states: Mapping[str, Any]) -> None:
        try:
            self.refits[key] = final = student.refit()
        except TRIAL_FAILURES as error:
            self._fail(student, error)
            return
        if final.spec.key in states:
            final.train_seconds = states[final.spec.key]["train_seconds"]

    def _arrivals(self) -> dict[str, Any]:
        """Where the legs before left the students; nothing if any of it is lost.

        They are then trained again from the start, in step, to the same numbers.
        """
        wanted = {spec.key for spec in self._task.specs}
        found: dict[str, Any] = {}
        for origin in self._task.origins:
            students = (_saved(origin) or {"students": {}})["students"]
            found |= {key: students[key] for key in wanted & students.keys()}
        return {"done": {}, "students": found if found.keys() == wanted else {}}

    def _start(self, spec: StudentSpec, state: dict[str, Any] | None) -> None:
        try:
            student = Student(spec, self._task)
        except TRIAL_FAILURES as error:
            self._done[spec.key] = Outcome(state="FAIL", failure=reason_of(error))
            return
        if state is not None:
            student.train_seconds = state["train_seconds"]
        self.students[spec.key] = student


def _end_of(checkpoint: Path) -> Path:
    """Where a leg's end is written: small, and unlike its checkpoint kept to the round's end."""
    return checkpoint.with_suffix(".end.pt")


def _tell_end(ended: dict[str, Any]) -> Events:
    for key, outcome in ended["done"].items():
        yield StudentDone(key, Outcome.model_validate(outcome))
    for key, score in ended["paused"].items():
        yield StudentPaused(key, score)


def _saved(path: Path) -> dict[str, Any] | None:
    """What a checkpoint holds; None where there is none, or a damaged one."""
    try:
        return load_checkpoint(path)
    except StaleCacheError:
        return None


def reason_of(error: BaseException) -> str:
    """One line that says why a trial failed."""
    if isinstance(error, KdsearchError):
        return str(error)
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:500]
