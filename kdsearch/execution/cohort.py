"""How a worker trains a cohort: rung by rung, with a checkpoint that makes it resumable.

`train_cohort` is a generator so that one function serves the coordinator's own process (which
iterates it) and worker processes (which send its events through a pipe).
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from kdsearch.errors import DivergedError, KdsearchError, StaleCacheError
from kdsearch.execution.engine import Engine, ReferenceEngine, Step, build_engines
from kdsearch.execution.student import Student, students_path
from kdsearch.execution.task import CohortTask, EpochDone, Event, Row, RowDone, RungReached
from kdsearch.results import Outcome, State
from kdsearch.training import load_checkpoint, save_checkpoint

CHECKPOINT_SECONDS = 15.0
"""A kill loses at most this much of a cohort's work, or one epoch."""

TRIAL_FAILURES = (Exception, SystemExit)
"""The trial boundary: whatever a student's own code raises fails it alone; the study goes on."""

Events = Generator[Event, frozenset[str] | None, None]


def train_cohort(task: CohortTask, should_stop: Callable[[], bool]) -> Events:
    """Train a cohort from its last checkpoint, yielding what happens.

    Every `RungReached` must be answered with the row keys that go on. Once `should_stop` is
    true, the cohort saves a checkpoint and the generator ends without `RowDone` for the rest.
    """
    cohort = Cohort(task)
    yield from cohort.announce()
    for rung in (*task.rungs, None):
        if rung is not None and rung in cohort.decided:
            continue
        for told in cohort.train(rung):
            yield from told
            if should_stop():
                cohort.save()
                return
        cohort.finish_complete()
        if rung is not None and cohort.students:
            keep = yield RungReached(epoch=rung, scores=cohort.scores())
            assert keep is not None, "a rung must be answered"
            cohort.decide(rung, keep)
        yield from cohort.announce()


class Cohort:
    """The students still in training and the outcomes of those that are done."""

    def __init__(self, task: CohortTask) -> None:
        self.students: dict[str, Student] = {}
        self.decided: list[int] = []
        self._task = task
        self._done: dict[str, Outcome] = {}
        self._announced: set[str] = set()
        self._saved_at = time.monotonic()
        self._engines = self._restore(_saved_state(task.checkpoint))

    def announce(self) -> Events:
        """Save, then tell the outcomes that this process has not told yet."""
        news = {key: o for key, o in self._done.items() if key not in self._announced}
        if news:
            self.save()
        for key, outcome in news.items():
            self._announced.add(key)
            yield RowDone(key, outcome)

    def train(self, until: int | None) -> Iterator[Events]:
        """Train every live student to an epoch, or to its end, step by step."""
        waiting = deque(self._engines)
        while waiting:
            engine = waiting.popleft()
            longest = max((s.row.trial.training.epochs for s in engine.students), default=0)
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
        singles = [Student(student.row, self._task) for student in engine.students]
        for student in singles:
            self.students[student.row.key] = student
        alone: list[Engine] = [ReferenceEngine(student, None) for student in singles]
        self._engines += alone
        return alone

    def finish_complete(self) -> None:
        """Measure the students that have nothing left to train."""
        for key, student in list(self.students.items()):
            if student.progress.is_finished:
                self._finish(key, "COMPLETE")

    def scores(self) -> dict[str, float]:
        """Best score so far of each live student."""
        return {key: student.progress.best_score for key, student in self.students.items()}

    def decide(self, rung: int, keep: frozenset[str]) -> None:
        """Prune all but `keep`."""
        for key in [key for key in self.students if key not in keep]:
            self._finish(key, "PRUNED")
        self.decided.append(rung)

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            self._task.checkpoint,
            {
                "decided": list(self.decided),
                "done": {key: o.model_dump(mode="json") for key, o in self._done.items()},
                "students": self._states(),
            },
        )
        self._saved_at = time.monotonic()

    def _tell(self, step: Step) -> Events:
        for student, outcome in step:
            if isinstance(outcome, DivergedError):
                self._fail(student, outcome)
            else:
                yield EpochDone(student.row.key, outcome)

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save()

    def _states(self) -> dict[str, Any]:
        return {
            student.row.key: {
                "engine": engine.state(student),
                "train_seconds": student.train_seconds,
            }
            for engine in self._engines
            for student in self.students.values()
            if student in engine.students
        }

    def _finish(self, key: str, state: State) -> None:
        student = self.students.pop(key)
        for engine in self._engines:
            if student in engine.students:
                engine.drop(student)
        try:
            student.save_weights(students_path(self._task.students, key))
            self._done[key] = student.outcome(state)
        except TRIAL_FAILURES as error:
            self._done[key] = student.failed(reason_of(error))

    def _fail(self, student: Student, error: BaseException) -> None:
        del self.students[student.row.key]
        self._done[student.row.key] = student.failed(reason_of(error))

    def _restore(self, state: dict[str, Any]) -> list[Engine]:
        self.decided = list(state["decided"])
        keys = {row.key for row in self._task.rows}
        done = {key: o for key, o in state["done"].items() if key in keys}
        self._done = {key: Outcome.model_validate(o) for key, o in done.items()}
        for row in self._task.rows:
            if row.key not in self._done:
                self._start(row, state["students"].get(row.key))
        saved = {key: s["engine"] for key, s in state["students"].items()}
        return build_engines(list(self.students.values()), saved, self._task.engine)

    def _start(self, row: Row, state: dict[str, Any] | None) -> None:
        try:
            student = Student(row, self._task)
        except TRIAL_FAILURES as error:
            self._done[row.key] = Outcome(state="FAIL", failure=reason_of(error))
            return
        if state is not None:
            student.train_seconds = state["train_seconds"]
        self.students[row.key] = student


def _saved_state(checkpoint: Path) -> dict[str, Any]:
    try:
        state = load_checkpoint(checkpoint)
    except StaleCacheError:
        state = None  # training again from the start gives the same numbers
    return state or {"decided": [], "done": {}, "students": {}}


def reason_of(error: BaseException) -> str:
    """One line that says why a trial failed."""
    if isinstance(error, KdsearchError):
        return str(error)
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:500]
