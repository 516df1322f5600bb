"""The crew: an executor, the stop flag, and what every stage does with what they send back."""

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kdsearch.config import Scalar, StudyConfig, TeacherConfig, applies_to_baseline
from kdsearch.errors import InterruptedStudyError, KdsearchError, TooManyFailuresError
from kdsearch.execution import (
    CohortTask,
    EpochDone,
    Event,
    Executor,
    StudentDone,
    StudentPaused,
    StudentSpec,
    Task,
    TaskFailed,
    TeacherTask,
)
from kdsearch.results import Outcome, TrialRecord
from kdsearch.results.score import ranked_by
from kdsearch.study.course import Course, Leg, Survive
from kdsearch.study.engines import with_engine
from kdsearch.study.listener import Listener
from kdsearch.study.mirror import Mirror
from kdsearch.study.planning.workload import Workload
from kdsearch.study.proposal.lane import order_seed
from kdsearch.study.round import Group, Round, never_began
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.paths import StudyPaths
from kdsearch.study.teachers import Teachers

TELL_SECONDS = 1.0
"""Between two estimates of the time left."""


class Crew:
    """Trains cohorts and stores what comes of them."""

    def __init__(
        self,
        config: StudyConfig,
        *,
        ledger: Ledger,
        mirror: Mirror,
        executor: Executor,
        listener: Listener,
        paths: StudyPaths,
        cache: Path,
        workload: Workload,
        should_stop: Callable[[], bool],
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.listener = listener
        self.teachers = Teachers(config, ledger, mirror, listener, cache)
        self._mirror = mirror
        self._executor = executor
        self._paths = paths
        self._cache = cache
        self.workload = workload
        self._should_stop = should_stop
        self._in_training: Round[Any] | None = None
        self._told_at = -math.inf
        self._untaught: dict[TeacherConfig, str] = {}
        """Teachers that cannot be trained, and why."""
        self._chores: deque[Callable[[], object]] = deque()
        """What is to be written when no worker waits for it."""
        self._failed = sum(record.state == "FAIL" for record in ledger.records())
        if not ledger.records():  # what is there belongs to a deleted study of the same name
            shutil.rmtree(paths.checkpoints, ignore_errors=True)
            shutil.rmtree(paths.students, ignore_errors=True)

    def prepare_teachers(self, records: Sequence[TrialRecord]) -> None:
        """Train the members that the trials need and no study has trained yet.

        Raises:
            KdsearchError: None of the trials' teachers can be trained.
        """
        teachers = self._teachers_of([r for r in records if not never_began(r)])
        wanted = [teacher for teacher in teachers if teacher not in self._untaught]
        tasks = self.teachers.missing(wanted)
        if tasks:
            self.listener.stage("teachers", total=len(tasks), done=0)
            self._execute(tasks)
        if teachers and all(teacher in self._untaught for teacher in teachers):
            raise KdsearchError(f"no teacher can be trained: {self._untaught[teachers[0]]}")
        for teacher in teachers:
            if teacher not in self._untaught:
                self.teachers.measure(teacher)

    def write_missing_teachers(self) -> None:
        """Write the teachers of ended trials that the tracker has missed."""
        if any(m.mlflow_run_id is None for bank in self.ledger.banks() for m in bank.members):
            self.teachers.write_missing(self._teachers_of(self.ledger.records()))

    def measure_test(self, records: Sequence[TrialRecord]) -> None:
        """Measure the teachers of confirmed students on the test set."""
        for teacher in self._teachers_of(records):
            self.teachers.measure(teacher, opened_by=f"{self.config.name}/teachers")

    def train(
        self,
        students: Round[Group],
        *,
        rungs: Mapping[Group, Sequence[int]],
        survive: Survive[Group],
    ) -> None:
        """Train the RUNNING trials of a round to their ends, and store each.

        Trials and scores are stored when the executor has nothing else to ask, so that no worker
        waits for a database; until then the checkpoints remember how they ended. Trials that have
        ended already take part again only as far as the checkpoints have not kept them, so that
        the decisions at rungs come out the same.

        Args:
            students: The round.
            rungs: By group, the epochs at which its trials are compared.
            survive: Decides who goes on.

        Raises:
            InterruptedStudyError: The user asked to stop; everything is kept.
            TooManyFailuresError: More trials failed than the study file allows.
        """
        self._in_training = students
        for record in students.records:
            self._fail_if_untaught(record, students)
        specs = {
            group: [self.spec(record) for record in records]
            for group, records in students.to_train().items()
        }
        course = Course(students.name, specs, rungs=rungs, survive=survive)

        def hear(task: Task, event: Event) -> None:
            match event:
                case StudentPaused(key, score):
                    course.pause(key, score)
                    epoch = task.until if isinstance(task, CohortTask) else None
                    self._chores.append(partial(self._report, students, key, epoch, score))
                case StudentDone(key, outcome):
                    self._chores.append(partial(self._store, students, key, outcome))
                case TaskFailed(reason) if isinstance(task, CohortTask):
                    failure = Outcome(state="FAIL", failure=reason)
                    for spec in task.specs:
                        self._chores.append(partial(self._store, students, spec.key, failure))

        while legs := course.next_legs():
            tasks = with_engine(
                [self._task(leg) for leg in legs],
                self.config.training.engine,
                ledger=self.ledger,
                listener=self.listener,
            )
            self._execute(tasks, hear)
            for leg in legs:
                for origin in leg.origins:  # nobody starts from there any more
                    self._paths.checkpoint(origin).unlink(missing_ok=True)
        self._tidy()
        self._check_failures()
        self._paths.forget(students.name)

    def _fail_if_untaught(self, record: TrialRecord, students: Round[Group]) -> None:
        reason = self._untaught.get(self.spec(record).trial.teacher)
        if reason is not None and record.state == "RUNNING":
            failure = Outcome(state="FAIL", failure=f"its teacher cannot be trained: {reason}")
            students.store(self._finish(record, failure))

    def _report(self, students: Round[Group], key: str, epoch: int | None, score: float) -> None:
        if students[key].state == "RUNNING" and epoch is not None:
            self.ledger.report(students[key], epoch=epoch, score=score)

    def _store(self, students: Round[Group], key: str, outcome: Outcome) -> None:
        if students[key].state == "RUNNING":
            students.store(self._finish(students[key], outcome))
        else:
            self._mirror.drop_weights(students[key])

    def spec(self, record: TrialRecord) -> StudentSpec:
        """What a worker needs to know of a trial."""
        settings = record.settings
        if record.arm == "baseline":
            own = {n: v for n, v in settings.items() if applies_to_baseline(n) or n == "alpha"}
            settings = self._measured_against() | own
        return StudentSpec(
            key=record.key,
            trial=self.config.trial_config(settings),
            seed=record.seed,
            order_seed=order_seed(self.config, stage=record.stage, replicate=record.replicate),
            opens_test=record.stage == "confirm",
            refit=record.stage == "confirm" and self.config.confirm.refit,
        )

    def _measured_against(self) -> dict[str, Scalar]:
        """The teacher whose agreement with a baseline student is measured: the first stratum's."""
        first = self.config.strata()[0]
        return {name: value for name, value in first.items() if name.startswith("teacher.")}

    def _teachers_of(self, records: Sequence[TrialRecord]) -> list[TeacherConfig]:
        teachers: list[TeacherConfig] = []
        for record in records:
            teacher = self.spec(record).trial.teacher
            if teacher not in teachers:
                teachers.append(teacher)
        return teachers

    def _task(self, leg: Leg) -> CohortTask:
        return CohortTask(
            key=leg.key,
            specs=leg.specs,
            until=leg.until,
            ranking=ranked_by(self.config.objective),
            own_metrics=self.config.own_metrics,
            teacher_data=self.config.data,
            checkpoint=self._paths.checkpoint(leg.key),
            students=self._paths.students,
            cache=self._cache,
            origins=tuple(self._paths.checkpoint(key) for key in leg.origins),
            pruned=leg.pruned,
        )

    def _execute(
        self, tasks: Sequence[Task], hear: Callable[[Task, Event], None] | None = None
    ) -> None:
        def notify(task: Task, event: Event) -> None:
            if isinstance(event, EpochDone):
                self.listener.epoch(event.key, event.metrics)
                students = self._in_training
                if students is not None and event.key in students:
                    self.workload.epoch(students[event.key], event.metrics.epoch)
                    self._tell_time_left()
            elif isinstance(event, TaskFailed) and isinstance(task, TeacherTask):
                self._untaught[task.teacher] = event.reason
            elif hear is not None:
                hear(task, event)

        self._executor.run(
            tasks, notify=notify, should_stop=self._stop_now, idle=self._do_one_chore
        )
        if self._stop_now():
            self._tidy()
            self._check_failures()
            raise InterruptedStudyError(
                f"study {self.config.name} was interrupted and everything is kept; run the same "
                "command again to go on"
            )

    def _do_one_chore(self) -> bool:
        if not self._chores:
            return False
        self._chores.popleft()()
        return True

    def _tidy(self) -> None:
        while self._do_one_chore():
            pass

    def _finish(self, record: TrialRecord, outcome: Outcome) -> TrialRecord:
        update = {name: getattr(outcome, name) for name in Outcome.model_fields}
        ended = self._mirror.trial(record.model_copy(update=update))
        ended = self.ledger.finish(ended)
        self._failed += ended.state == "FAIL"
        self._mirror.best()
        self.workload.ended(ended)
        self._tell_time_left()
        self.listener.trial(ended)
        return ended

    def _tell_time_left(self) -> None:
        """Now and then."""
        if time.monotonic() - self._told_at < TELL_SECONDS:
            return
        seconds = self.workload.seconds_left()
        if seconds is not None:
            self._told_at = time.monotonic()
            self.listener.time_left(seconds)

    def _stop_now(self) -> bool:
        return self._should_stop() or self._failed > self.config.budget.max_failures

    def _check_failures(self) -> None:
        if self._failed > self.config.budget.max_failures:
            last = [r for r in self.ledger.records() if r.state == "FAIL"][-1]
            raise TooManyFailuresError(
                f"{self._failed} trials failed and budget.max_failures is "
                f"{self.config.budget.max_failures}; the last one because: {last.failure}"
            )
