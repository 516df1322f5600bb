"""Who trains with whom: replicates side by side, and whoever leaves makes room for the next."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdsearch.execution import CohortTask
from kdsearch.execution.engine import PopulationEngine, build_engines
from kdsearch.execution.student import Student
from kdsearch.execution.task import EngineName, StudentSpec
from tests.execution.conftest import Log, MakeTask, essence
from tests.execution.test_cohort import drive

pytestmark = pytest.mark.slow

EPOCHS = (2, 5, 3, 1, 4, 2, 3)


@pytest.fixture
def engine() -> EngineName:
    return "population"


@pytest.fixture
def task(make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CohortTask:
    """Seven students of four widths and two orders, three at a time, all ending when they like."""
    monkeypatch.setattr("kdsearch.execution.engine.CHUNK", 3)
    widths = (4, 8, 8, 6, 4, 8, 12)
    settings = [{"width": w, "alpha": i / 6, "learning_rate": 0.002} for i, w in enumerate(widths)]
    whole = make_task(settings=settings, folder=tmp_path / "together")
    rows = zip(whole.specs, EPOCHS, (1, 2, 1, 2, 2, 1, 1), strict=True)
    return replace(whole, specs=tuple(shaped(*row) for row in rows))


def shaped(row: StudentSpec, epochs: int, order_seed: int) -> StudentSpec:
    training = row.trial.training.model_copy(update={"epochs": epochs, "warmup_epochs": 0})
    trial = row.trial.model_copy(update={"training": training})
    return replace(row, trial=trial, order_seed=order_seed)


def engine_of(task: CohortTask) -> PopulationEngine:
    (engine,) = build_engines(
        [Student(r, task) for r in task.specs], {}, "population", specs=task.specs
    )
    assert isinstance(engine, PopulationEngine)
    return engine


def test_places_are_refilled(task: CohortTask) -> None:
    engine, steps = engine_of(task), []
    for step in engine.train(max(EPOCHS)):
        steps.append([(s.spec.key[-1], s.progress.epoch) for s, _ in step])
        for student, _ in step:
            if student.progress.is_finished:
                engine.drop(student)
    assert engine.students == []
    assert sum(len(step) for step in steps) == sum(EPOCHS)
    assert [len(step) for step in steps[:4]] == [3, 3, 3, 3]
    assert len({epoch for step in steps for _, epoch in step if len(step) == 3}) > 1
    assert any(len({epoch for _, epoch in step}) > 1 for step in steps)


def test_each_student_is_the_one_that_the_reference_loop_trains(
    task: CohortTask, tmp_path: Path
) -> None:
    together = drive(task, Log())
    alone = drive(replace(task, checkpoint=tmp_path / "alone.pt", engine="reference"), Log())
    assert together.outcomes.keys() == alone.outcomes.keys()
    for key, mine in together.outcomes.items():
        its = alone.outcomes[key]
        assert mine.epochs == its.epochs
        for a, b in zip(mine.history, its.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
            assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)


def test_stopped_after_every_step_it_ends_the_same(task: CohortTask, tmp_path: Path) -> None:
    whole = drive(task, Log())
    again, log = replace(task, checkpoint=tmp_path / "pieces.pt"), Log()
    for _ in range(sum(EPOCHS)):
        drive(again, log, should_stop=lambda: True)
    assert essence(log.outcomes) == essence(whole.outcomes)


def test_who_waits_for_the_next_leg_keeps_its_place_in_training(task: CohortTask) -> None:
    short, long = engine_of(task), engine_of(task)
    for until in (1, 2, 5):
        list(short.train(until))
    list(long.train(5))
    for mine, its in zip(short.students, long.students, strict=True):
        assert mine.progress.epoch == mine.spec.trial.training.epochs
        for a, b in zip(mine.progress.history, its.progress.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
