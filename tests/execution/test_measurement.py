"""The self-measurement: short, of any architecture, and harmless where it cannot be made."""

import time
from typing import Any

import pytest

from kdsearch.config import StudyConfig
from kdsearch.execution import CohortTask
from kdsearch.execution.measurement import largest_stack, population_speedup, spread
from kdsearch.execution.task import EngineName
from tests.execution.conftest import SETTINGS, MakeTask


@pytest.fixture
def engine() -> EngineName:
    return "population"


def with_student(
    make_task: MakeTask, study: StudyConfig, student: dict[str, Any], **arguments: Any
) -> CohortTask:
    config = StudyConfig.model_validate(study.model_dump(mode="json") | {"student": student})
    return make_task(config=config, **arguments)


@pytest.mark.slow
def test_convolutional_students_are_measured_within_seconds(
    make_task: MakeTask, study: StudyConfig
) -> None:
    student = {"kind": "cnn", "width": 64, "depth": 3}
    settings = [{"width": 64, "alpha": 0.5}] * 16
    task = with_student(make_task, study, student, settings=settings)
    started = time.perf_counter()
    speedup = population_speedup(task)
    assert speedup is not None
    assert 0.01 < speedup < 100
    assert time.perf_counter() - started < 20  # about 2 on a quiet machine
    assert not task.checkpoint.exists()


def test_a_study_of_one_epoch_can_be_measured(make_task: MakeTask, study: StudyConfig) -> None:
    student = {"kind": "cnn", "width": 4, "depth": 1}
    short = [one | {"training.epochs": 1, "training.patience": 1} for one in SETTINGS]
    speedup = population_speedup(with_student(make_task, study, student, settings=short))
    assert speedup is not None
    assert 0.01 < speedup < 100


def test_mlps_are_faster_together(make_task: MakeTask) -> None:
    speedup = population_speedup(make_task(settings=SETTINGS * 4))
    assert speedup is not None
    assert speedup > 1


def test_nothing_is_measured_where_nothing_stacks(
    make_task: MakeTask, study: StudyConfig, users_models: str
) -> None:
    assert population_speedup(make_task(settings=SETTINGS[:1])) is None
    for name in ("drops", "fails", "unbuildable"):
        student = {"kind": "import", "target": f"{users_models}:{name}", "width": 8}
        assert population_speedup(with_student(make_task, study, student)) is None


def test_the_largest_stack_has_its_widest_student_first(make_task: MakeTask) -> None:
    mixed = [{"width": width, "alpha": 0.5} for width in (4, 16, 8)]
    deep = [{"student.depth": 2, "alpha": 0.5}] * 2
    rows = largest_stack(make_task(settings=[*mixed, *deep]).specs)
    assert [row.trial.student.width for row in rows] == [16, 8, 4]
    assert largest_stack([]) == []


@pytest.mark.parametrize("widths", [(4, 16, 8), (16, 4, 8)])
def test_regularized_students_are_left_out(make_task: MakeTask, widths: tuple[int, ...]) -> None:
    """They are trained alone, whether they are the widest or the narrowest of their cohort."""
    first, *plain = widths
    settings: list[dict[str, Any]] = [{"width": width, "alpha": 0.5} for width in plain] * 2
    task = make_task(settings=[{"width": first, "student.dropout": 0.2}, *settings])
    assert {r.trial.student.width for r in largest_stack(task.specs)} == set(plain)
    assert population_speedup(task) is not None
    alone = [{"width": width, "student.max_norm": 1.0} for width in widths]
    assert population_speedup(make_task("alone", alone)) is None


def test_a_spread_keeps_the_first() -> None:
    rows: list[Any] = list(range(10))
    assert list(spread(rows, 4)) == [0, 2, 4, 6]
    assert list(spread(rows, 16)) == rows
    assert list(spread(rows[:1], 4)) == [0]
