"""Which engine trains which student, and that stacked ones are those of the reference loop."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution import CohortTask
from kdsearch.execution import engine as engine_module
from kdsearch.execution.engine import (
    Engine,
    PopulationEngine,
    ReferenceEngine,
    build_engines,
    build_population,
    can_stack,
)
from kdsearch.execution.student import Student, students_path
from kdsearch.execution.task import EngineName
from kdsearch.training import FunctionalPopulation, MlpPopulation
from tests.execution.conftest import SETTINGS, Log, MakeTask, essence
from tests.execution.test_cohort import drive

pytestmark = pytest.mark.slow

STUDENTS: dict[str, dict[str, Any]] = {
    "conv1d": {"kind": "conv1d", "width": 8, "depth": 2},
    "cnn": {"kind": "cnn", "width": 8, "depth": 2},
    "own": {"kind": "import", "width": 8},
}
MakeOther = Callable[..., CohortTask]


@pytest.fixture
def engine() -> EngineName:
    return "population"


@pytest.fixture
def make_other(
    make_task: MakeTask, study: StudyConfig, signal_study: StudyConfig, users_models: str
) -> MakeOther:
    """A cohort of students of another kind, at rates that do not amplify rounding."""

    def make(
        kind: str = "conv1d",
        target: str = "works",
        settings: Sequence[dict[str, Scalar]] = SETTINGS,
        **arguments: Any,
    ) -> CohortTask:
        student, base = STUDENTS[kind], signal_study if kind == "conv1d" else study
        if kind == "own":
            student = student | {"target": f"{users_models}:{target}"}
        config = StudyConfig.model_validate(base.model_dump(mode="json") | {"student": student})
        rates = (0.003, 0.001, 0.002, 0.0005)
        slower = [one | {"learning_rate": rates[i % 4]} for i, one in enumerate(settings)]
        return make_task(config=config, settings=slower, **arguments)

    return make


def engines_of(*tasks: CohortTask, states: dict[str, Any] | None = None) -> list[Engine]:
    students = [Student(row, task) for task in tasks for row in task.specs]
    rows = [row for task in tasks for row in task.specs]
    return build_engines(students, states or {}, tasks[0].engine, specs=rows)


@pytest.mark.parametrize(("kind", "tolerance"), [("conv1d", 1e-4), ("own", 1e-5), ("cnn", 1e-3)])
def test_a_stacked_cohort_is_the_one_that_the_reference_loop_trains(
    kind: str, tolerance: float, make_other: MakeOther, tmp_path: Path
) -> None:
    # A unit at its ReLU's kink goes either way: in double, weights moved by 1e-7 give the first
    # conv1d student losses that are 1.6e-5 from its own. Pooling hands a tie to another pixel
    # when sums are rounded differently: the reference loop in two memory layouts is as far from
    # itself. test_functional.py has 1e-9, in double.
    leg = make_other(kind, folder=tmp_path / "together", until=3)
    together = replace(leg, pruned=True)
    assert [type(e) for e in engines_of(together)] == [PopulationEngine]
    stacked = drive(together, Log())
    checkpoint = tmp_path / "alone.pt"
    alone = drive(replace(together, checkpoint=checkpoint, engine="reference"), Log())
    assert stacked.failures == alone.failures == {}
    assert stacked.outcomes.keys() == alone.outcomes.keys()
    for key, mine in stacked.outcomes.items():
        its = alone.outcomes[key]
        assert (mine.state, mine.epochs, mine.num_params) == (
            its.state,
            its.epochs,
            its.num_params,
        )
        for a, b in zip(mine.history, its.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=tolerance)
            assert a.val_loss == pytest.approx(b.val_loss, abs=tolerance)
        assert mine.val is not None
        assert its.val is not None
        assert mine.val.loss == pytest.approx(its.val.loss, abs=tolerance)


def test_a_stacked_cohort_stopped_after_every_epoch_ends_the_same(
    make_other: MakeOther, tmp_path: Path
) -> None:
    whole = drive(make_other(folder=tmp_path / "whole"), Log())
    task, log = make_other(folder=tmp_path / "pieces"), Log()
    for _ in range(10):
        drive(task, log, should_stop=lambda: True)
    assert essence(log.outcomes) == essence(whole.outcomes)
    assert log.epochs == whole.epochs


def test_who_cannot_be_stacked_takes_the_reference_loop(make_other: MakeOther) -> None:
    assert [type(e) for e in engines_of(make_other("own", "fails"))] == [ReferenceEngine] * 4
    log = drive(make_other("own", "drops"), Log())
    assert {o.state for o in log.outcomes.values()} == {"COMPLETE"}
    assert [type(e) for e in engines_of(make_other("own", "drops"))] == [ReferenceEngine] * 4


def test_who_wants_its_weights_constrained_takes_the_reference_loop(
    make_other: MakeOther, tmp_path: Path
) -> None:
    task = make_other("own", "clips")
    assert [type(e) for e in engines_of(task)] == [ReferenceEngine] * 4
    log = drive(task, Log())
    assert {o.state for o in log.outcomes.values()} == {"COMPLETE"}
    for key in log.outcomes:
        weights = load_file(students_path(task.students, key))
        assert max(float(w.abs().max()) for w in weights.values()) == pytest.approx(0.1)


REGULARIZED: tuple[dict[str, Scalar], ...] = (
    {"student.dropout": 0.5},
    {"student.input_dropout": 0.2},
    {"student.max_norm": 0.5},
)


def test_regularized_mlps_are_no_part_of_a_population(make_task: MakeTask, tmp_path: Path) -> None:
    """Among plain ones of the same shape they are trained alone, and right; so are the others."""
    rate = {"learning_rate": 0.005}
    settings = [rate, *(rate | one for one in REGULARIZED), rate | {"width": 12}]
    task = make_task(settings=settings, folder=tmp_path / "mixed")
    students = [Student(row, task) for row in task.specs]
    assert [can_stack(s) for s in students] == [True, False, False, False, True]
    *single, together = engines_of(task)
    assert [type(e) for e in single] == [ReferenceEngine] * 3
    assert isinstance(together, PopulationEngine)
    assert {s.spec.key[-1] for s in together.students} == {"0", "4"}
    mixed = drive(task, Log()).outcomes
    alone = make_task(settings=settings, folder=tmp_path / "alone")
    expected = drive(replace(alone, engine="reference"), Log()).outcomes
    assert mixed.keys() == expected.keys()
    for key, mine in mixed.items():
        its = expected[key]
        if key[-1] in "123":
            assert essence({key: mine}) == essence({key: its}), "the same loop, to the bit"
        for a, b in zip(mine.history, its.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
    losses = {o.history[-1].train_loss for o in mixed.values()}
    assert len(losses) == 5, "every setting plays its part"
    norms = load_file(students_path(task.students, task.specs[3].key))["hidden.0.weight"]
    assert float(norms.norm(dim=1).max()) <= 0.5 * (1 + 1e-6)


def test_regularized_students_stopped_after_every_epoch_end_the_same(
    make_task: MakeTask, tmp_path: Path
) -> None:
    settings = [{"learning_rate": 0.005}, {"learning_rate": 0.005, "student.dropout": 0.5}]
    whole = drive(make_task(settings=settings, folder=tmp_path / "whole"), Log())
    task, log = make_task(settings=settings, folder=tmp_path / "pieces"), Log()
    for number in range(2 * 9 + 1):
        torch.manual_seed(number)  # another process has another random state
        drive(task, log, should_stop=lambda: True)
    assert essence(log.outcomes) == essence(whole.outcomes)


class Clock:
    """Time that passes by call: four seconds each."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def perf_counter(self) -> float:
        self.seconds += 4.0
        return self.seconds


@pytest.mark.parametrize("kind", ["mlp", "conv1d"])
def test_the_seconds_of_a_common_step_are_shared_by_work(
    kind: str, make_task: MakeTask, make_other: MakeOther, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [{"width": width, "alpha": 0.5} for width in (4, 16, 8)]
    task = make_task(settings=settings) if kind == "mlp" else make_other("conv1d")
    (engine,) = engines_of(task)
    assert isinstance(engine, PopulationEngine)
    clock = ModuleType("time")
    clock.perf_counter = Clock().perf_counter  # type: ignore[attr-defined]
    monkeypatch.setattr(engine_module, "time", clock)
    steps = sum(1 for _ in engine.train(3))
    assert steps == 3
    seconds = {s.spec.trial.student.width: s.train_seconds for s in engine.students}
    total = sum(s.train_seconds for s in engine.students)
    assert total == pytest.approx(3 * 4.0), "what has passed, and nothing twice"
    if kind == "mlp":
        macs = {width: 64 * width + width * 10 for width in (4, 8, 16)}
        for width, mine in seconds.items():
            assert mine == pytest.approx(12.0 * macs[width] / sum(macs.values()))
    else:
        assert [s.train_seconds for s in engine.students] == pytest.approx([3.0] * 4)


def test_a_student_without_products_has_its_seconds_too(
    make_other: MakeOther, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines_of(make_other("own", "adds", settings=[{}, {}]))[0]
    assert isinstance(engine, PopulationEngine)
    list(engine.train(1))
    first, second = (s.train_seconds for s in engine.students)
    assert first == second > 0


def test_students_stack_by_shape(make_task: MakeTask, make_other: MakeOther) -> None:
    narrow = make_task("narrow", [{"width": 4, "alpha": 0.5}] * 2)
    conv = make_other("conv1d", key="conv")
    other = make_other("conv1d", key="other", settings=[{"width": 4, "alpha": 0.5}] * 2)
    deep = make_other("conv1d", key="deep", settings=[{"student.depth": 1, "alpha": 0.5}] * 2)
    engines = engines_of(make_task("wide"), narrow, conv, other, deep)
    assert [len(e.students) for e in engines] == [6, 4, 2, 2]
    assert all(isinstance(e, PopulationEngine) for e in engines)
    populations = [build_population(e.students) for e in engines]
    assert [type(p) for p in populations] == [MlpPopulation] + [FunctionalPopulation] * 3


def test_a_student_without_company_takes_the_faster_engine(
    make_task: MakeTask, make_other: MakeOther
) -> None:
    for kind in ("cnn", "own"):
        (engine,) = engines_of(make_other(kind, settings=[{}]))
        assert isinstance(engine, ReferenceEngine)
    for task in (make_task(settings=[{}]), make_other("conv1d", settings=[{}])):
        (engine,) = engines_of(task)
        assert isinstance(engine, PopulationEngine)


def test_who_began_in_company_goes_on_in_a_population_of_one(make_other: MakeOther) -> None:
    task = make_other("conv1d", settings=SETTINGS[:2])
    (engine,) = engines_of(task)
    list(engine.train(1))
    kept, left = engine.students
    engine.drop(left)
    state = engine.state(kept)
    lone = replace(task, specs=tuple(row for row in task.specs if row.key == kept.spec.key))
    (again,) = engines_of(lone, states={kept.spec.key: state})
    assert isinstance(again, PopulationEngine)
    list(again.train(3))
    list(engine.train(3))
    assert again.students[0].progress.history == kept.progress.history
