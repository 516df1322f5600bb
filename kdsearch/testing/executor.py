"""What every executor must do: the same numbers as inline, whatever stops or fails."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kdsearch.config import Scalar, StudyConfig, TeacherConfig
from kdsearch.execution import (
    CohortTask,
    EpochDone,
    Event,
    Executor,
    InlineExecutor,
    StudentDone,
    StudentPaused,
    StudentSpec,
    Task,
    TaskFailed,
    TeacherTask,
)
from kdsearch.results import Outcome
from kdsearch.results.score import BY_ACCURACY
from kdsearch.testing.small_study import small_study

SETTINGS: tuple[dict[str, Scalar], ...] = (
    {"learning_rate": 0.05, "alpha": 0.5},
    {"learning_rate": 0.001, "alpha": 0.0},
    {"learning_rate": 0.02, "alpha": 1.0},
)


@dataclass
class Log:
    """What an executor told, and in which threads."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    epochs: list[tuple[str, int]] = field(default_factory=list)
    paused: dict[str, float] = field(default_factory=dict)
    threads: set[int] = field(default_factory=set)

    def notify(self, task: Task, event: Event) -> None:
        """See `Executor.run`."""
        self.threads.add(threading.get_ident())
        match event:
            case EpochDone():
                self.epochs.append((event.key, event.metrics.epoch))
            case StudentPaused():
                self.paused[event.key] = event.score
            case StudentDone():
                self.outcomes[event.key] = event.outcome
            case TaskFailed():
                self.failures[task.key] = event.reason

    @property
    def essence(self) -> dict[str, dict[str, object]]:
        """Outcomes by student, without the time they took."""
        return {k: o.model_dump(exclude={"train_seconds"}) for k, o in self.outcomes.items()}


def run(executor: Executor, tasks: Sequence[Task]) -> Log:
    """Run tasks to their ends."""
    log = Log()
    executor.run(tasks, notify=log.notify, should_stop=lambda: False)
    return log


class ExecutorContract:
    """Subclass it and give it a fixture `executor`, which closes what it yields."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        """The executor under test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def study(cls) -> StudyConfig:
        """Whose students are trained."""
        return small_study(training__epochs=6)

    @pytest.fixture(scope="class")
    @classmethod
    def cache(cls, study: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A cache with the study's teachers."""
        cache = tmp_path_factory.mktemp("cache")
        log = run(InlineExecutor(), [teacher_task(study, cache, member) for member in (1, 2)])
        assert not log.failures
        return cache

    def test_students_end_as_they_do_inline(
        self, executor: Executor, study: StudyConfig, cache: Path, tmp_path: Path
    ) -> None:
        """Their outcomes are equal to the bit, on the test set, too, and so are their weights."""
        mine, theirs = tmp_path / "mine", tmp_path / "inline"
        log = run(executor, [cohort(study, cache, mine, key) for key in ("a", "b")])
        inline = run(InlineExecutor(), [cohort(study, cache, theirs, key) for key in ("a", "b")])
        assert not log.failures
        assert log.essence == inline.essence
        assert all(outcome.test is not None for outcome in log.outcomes.values())
        assert sorted(log.epochs) == sorted(inline.epochs)
        for file in sorted(theirs.rglob("*.safetensors")):
            assert (mine / file.relative_to(theirs)).read_bytes() == file.read_bytes()

    def test_students_pause_at_a_rung_and_go_on(
        self, executor: Executor, study: StudyConfig, cache: Path, tmp_path: Path
    ) -> None:
        """A second leg starts from the first one's checkpoint and ends as if never interrupted."""
        first = cohort(study, cache, tmp_path / "legs", "first", until=2)
        paused = run(executor, [first])
        assert paused.paused.keys() == {spec.key for spec in first.specs}
        assert not paused.outcomes
        second = replace(
            first, key="second", until=None, checkpoint=tmp_path / "legs" / "second.pt",
            origins=(first.checkpoint,),
        )  # fmt: skip
        whole = cohort(study, cache, tmp_path / "whole", "first")
        assert run(executor, [second]).essence == run(InlineExecutor(), [whole]).essence

    def test_a_stopped_run_ends_early_and_goes_on_where_it_was(
        self, executor: Executor, cache: Path, tmp_path: Path
    ) -> None:
        """Nothing is lost, nothing is told twice, and the numbers do not change."""
        study = small_study(training__epochs=40)
        task = cohort(study, cache, tmp_path / "stopped", "one")
        log = Log()
        executor.run([task], notify=log.notify, should_stop=lambda: bool(log.epochs))
        assert len(log.outcomes) < len(task.specs)
        rest = run(executor, [task])
        assert not log.outcomes.keys() & rest.outcomes.keys()
        whole = run(InlineExecutor(), [cohort(study, cache, tmp_path / "whole", "one")])
        assert log.essence | rest.essence == whole.essence

    def test_stopped_before_it_began_does_nothing(
        self, executor: Executor, study: StudyConfig, cache: Path, tmp_path: Path
    ) -> None:
        """It returns, and can be asked again."""
        log = Log()
        task = cohort(study, cache, tmp_path, "one")
        executor.run([task], notify=log.notify, should_stop=lambda: True)
        assert not log.outcomes
        assert not log.failures

    def test_what_fails_is_told_in_a_sentence_and_the_rest_goes_on(
        self, executor: Executor, study: StudyConfig, cache: Path, tmp_path: Path
    ) -> None:
        """A teacher that cannot be built, and beside it students that can."""
        model = {"kind": "import", "target": "no_such_module:model", "width": 8}
        broken = TeacherConfig.model_validate(study.teacher.model_dump() | {"model": model})
        task = teacher_task(study, cache, 1, teacher=broken, key="broken")
        log = run(executor, [task, cohort(study, cache, tmp_path, "well")])
        assert log.failures.keys() == {"broken"}
        assert "no_such_module" in log.failures["broken"]
        assert "\n" not in log.failures["broken"]
        assert len(log.outcomes) == len(SETTINGS)

    def test_teachers_are_trained_once_into_the_cache(
        self, executor: Executor, study: StudyConfig, tmp_path: Path
    ) -> None:
        """A second request finds them, and tells no epochs."""
        task = teacher_task(study, tmp_path / "cache", 1)
        first = run(executor, [task])
        assert not first.failures
        assert [epoch for _, epoch in first.epochs] == [1, 2, 3, 4]
        assert not run(executor, [task]).epochs

    def test_everything_is_told_in_the_calling_thread(
        self, executor: Executor, study: StudyConfig, cache: Path, tmp_path: Path
    ) -> None:
        """Events and idle work: a coordinator needs no lock."""
        log, idle_threads, chores = Log(), set[int](), [1, 2, 3]

        def idle() -> bool:
            idle_threads.add(threading.get_ident())
            return bool(chores and chores.pop())

        task = cohort(study, cache, tmp_path, "one")
        executor.run([task], notify=log.notify, should_stop=lambda: False, idle=idle)
        assert log.threads == idle_threads == {threading.get_ident()}
        assert not chores

    def test_nothing_to_do_is_done_at_once(self, executor: Executor) -> None:
        """Also twice."""
        for _ in range(2):
            assert not run(executor, []).threads


def cohort(
    study: StudyConfig, cache: Path, folder: Path, key: str, *, until: int | None = None
) -> CohortTask:
    """Three students of the study, up to a rung or to their ends."""
    specs = tuple(
        StudentSpec(
            key=f"{key}/{index}",
            trial=study.trial_config({"width": 8, "temperature": 2.0} | settings),
            seed=10 + index,
            order_seed=3,
            opens_test=True,
        )
        for index, settings in enumerate(SETTINGS)
    )
    return CohortTask(
        key=key,
        specs=specs,
        until=until,
        ranking=BY_ACCURACY,
        teacher_data=study.data,
        checkpoint=folder / f"{key}.pt",
        students=folder / "students",
        cache=cache,
    )


def teacher_task(
    study: StudyConfig,
    cache: Path,
    member: int,
    *,
    teacher: TeacherConfig | None = None,
    key: str = "",
) -> TeacherTask:
    """One member of the study's bank, or of another."""
    return TeacherTask(
        key=key or f"teacher/{member}",
        teacher=teacher or study.teacher,
        data=study.data,
        member=member,
        cache=cache,
    )
