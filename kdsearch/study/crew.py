"""The crew: an executor, the stop flag, and what every stage does with what they send back."""

import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kdsearch.config import Scalar, StudyConfig, TeacherConfig, applies_to_baseline
from kdsearch.errors import InterruptedStudyError, KdsearchError, TooManyFailuresError
from kdsearch.execution import (
    CohortTask,
    EpochDone,
    Executor,
    Row,
    RowDone,
    RungReached,
    Task,
    TaskFailed,
    TeacherTask,
)
from kdsearch.execution.task import Idle, nothing_to_do
from kdsearch.results import Outcome, TrialRecord
from kdsearch.study.engines import with_engine
from kdsearch.study.lane import order_seed
from kdsearch.study.ledger import Ledger
from kdsearch.study.listener import Listener
from kdsearch.study.mirror import Mirror
from kdsearch.study.objective import score_name
from kdsearch.study.paths import StudyPaths
from kdsearch.study.teachers import Teachers

Survivors = Callable[[str, int, dict[str, float]], frozenset[str]]
"""Cohort key, rung (epochs) and scores by row key to the row keys that go on."""


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
        self._should_stop = should_stop
        self._untaught: dict[TeacherConfig, str] = {}
        """Teachers that cannot be trained, and why."""
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
            self._execute(tasks, decide=lambda _task, _rung: frozenset(), on_done=None)
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
        cohorts: dict[str, list[TrialRecord]],
        *,
        rungs: Mapping[str, Sequence[int]],
        survive: Survivors,
    ) -> None:
        """Train cohorts of RUNNING trials to their ends, and store each.

        A trial is stored when the executor has nothing else to ask, so that no worker waits for a
        database; until then its cohort's checkpoint remembers how it ended.

        Trials of a cohort that have ended already take part again only as far as the checkpoint
        has not kept them, so that the decisions at rungs come out the same.

        Raises:
            InterruptedStudyError: The user asked to stop; everything is kept.
            TooManyFailuresError: More trials failed than the study file allows.
        """
        open_records = {r.key: r for records in cohorts.values() for r in records}
        for key, record in open_records.items():
            reason = self._untaught.get(self.row(record).trial.teacher)
            if reason is not None and record.state == "RUNNING":
                failure = Outcome(state="FAIL", failure=f"its teacher cannot be trained: {reason}")
                open_records[key] = self._finish(record, failure)
        tasks = [
            self._cohort(key, [open_records[r.key] for r in records], rungs.get(key, ()))
            for key, records in cohorts.items()
        ]
        tasks = [task for task in tasks if task.rows]
        tasks = with_engine(tasks, self.config, self.ledger, self.listener)

        def decide(task: CohortTask, rung: RungReached) -> frozenset[str]:
            for key, score in rung.scores.items():
                if open_records[key].state == "RUNNING":
                    self.ledger.report(open_records[key], epoch=rung.epoch, score=score)
            return survive(task.key, rung.epoch, rung.scores)

        ended: deque[tuple[str, Outcome]] = deque()

        def on_done(key: str, outcome: Outcome) -> None:
            ended.append((key, outcome))

        def store_one() -> bool:
            if not ended:
                return False
            key, outcome = ended.popleft()
            record = open_records[key]
            if record.state == "RUNNING":
                open_records[key] = self._finish(record, outcome)
            else:
                self._mirror.drop_weights(record)
            return True

        self._execute(tasks, decide=decide, on_done=on_done, idle=store_one)
        for task in tasks:
            task.checkpoint.unlink(missing_ok=True)

    def row(self, record: TrialRecord) -> Row:
        """What a worker needs to know of a trial."""
        settings = record.settings
        if record.arm == "baseline":
            own = {n: v for n, v in settings.items() if applies_to_baseline(n) or n == "alpha"}
            settings = self._measured_against() | own
        return Row(
            key=record.key,
            trial=self.config.trial_config(settings),
            seed=record.seed,
            order_seed=order_seed(self.config, replicate=record.replicate),
            opens_test=record.stage == "confirm",
        )

    def _measured_against(self) -> dict[str, Scalar]:
        """The teacher whose agreement with a baseline student is measured: the first stratum's."""
        first = self.config.strata()[0]
        return {name: value for name, value in first.items() if name.startswith("teacher.")}

    def _teachers_of(self, records: Sequence[TrialRecord]) -> list[TeacherConfig]:
        teachers: list[TeacherConfig] = []
        for record in records:
            teacher = self.row(record).trial.teacher
            if teacher not in teachers:
                teachers.append(teacher)
        return teachers

    def _cohort(
        self, key: str, records: Sequence[TrialRecord], rungs: Sequence[int]
    ) -> CohortTask:
        return CohortTask(
            key=key,
            rows=tuple(self.row(record) for record in records if not never_began(record)),
            rungs=tuple(rungs),
            score=score_name(self.config),
            teacher_data=self.config.data,
            checkpoint=self._paths.checkpoint(key),
            students=self._paths.students,
            cache=self._cache,
        )

    def _execute(
        self,
        tasks: Sequence[Task],
        *,
        decide: Callable[[CohortTask, RungReached], frozenset[str]],
        on_done: Callable[[str, Outcome], None] | None,
        idle: Idle = nothing_to_do,
    ) -> None:
        def notify(task: Task, event: EpochDone | RowDone | TaskFailed) -> None:
            match event:
                case EpochDone():
                    self.listener.epoch(event.row, event.metrics)
                case RowDone():
                    assert on_done is not None
                    on_done(event.row, event.outcome)
                case TaskFailed():
                    self._task_failed(task, event.reason, on_done)

        self._executor.run(
            tasks, decide=decide, notify=notify, should_stop=self._stop_now, idle=idle
        )
        while idle():
            pass
        self._check_failures()
        if self._should_stop():
            raise InterruptedStudyError(
                f"study {self.config.name} was interrupted and everything is kept; run the same "
                "command again to go on"
            )

    def _task_failed(
        self, task: Task, reason: str, on_done: Callable[[str, Outcome], None] | None
    ) -> None:
        if isinstance(task, TeacherTask):
            self._untaught[task.teacher] = reason
            return
        assert on_done is not None
        for row in task.rows:
            on_done(row.key, Outcome(state="FAIL", failure=reason))

    def _finish(self, record: TrialRecord, outcome: Outcome) -> TrialRecord:
        update = {name: getattr(outcome, name) for name in Outcome.model_fields}
        ended = self._mirror.trial(record.model_copy(update=update))
        ended = self.ledger.finish(ended)
        self._mirror.best()
        self.listener.trial(ended)
        return ended

    def _stop_now(self) -> bool:
        return self._should_stop() or self._num_failed() > self.config.budget.max_failures

    def _num_failed(self) -> int:
        return sum(record.state == "FAIL" for record in self.ledger.records())

    def _check_failures(self) -> None:
        failed = [r for r in self.ledger.records() if r.state == "FAIL"]
        if len(failed) > self.config.budget.max_failures:
            raise TooManyFailuresError(
                f"{len(failed)} trials failed and budget.max_failures is "
                f"{self.config.budget.max_failures}; the last one because: {failed[-1].failure}"
            )


def never_began(record: TrialRecord) -> bool:
    """Whether a trial failed before its first epoch, so that nobody was compared with it."""
    return record.state == "FAIL" and record.epochs == 0
