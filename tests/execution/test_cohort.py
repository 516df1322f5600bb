"""A cohort: stopped anywhere and resumed it ends the same; what fails, fails alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from kdsearch.config import StudyConfig
from kdsearch.execution import CohortTask
from kdsearch.execution.cohort import train_cohort
from kdsearch.execution.student import students_path
from tests.execution.conftest import Log, MakeTask, essence

pytestmark = pytest.mark.slow


def drive(task: CohortTask, log: Log, should_stop: Callable[[], bool] = lambda: False) -> Log:
    for event in train_cohort(task, should_stop):
        log.notify(task, event)
    return log


def train_on(task: CohortTask, folder: Path, origin: CohortTask, **changes: Any) -> CohortTask:
    """The next leg of a task's students."""
    key = f"{origin.key}-next-{'-'.join(row.key[-1] for row in task.specs)}"
    checkpoint = folder / "checkpoints" / f"{key}.pt"
    return replace(task, checkpoint=checkpoint, origins=(origin.checkpoint,), **changes)


Drive = Callable[[CohortTask, Log], object]


def course(make_task: MakeTask, folder: Path, drive_one: Drive = drive) -> Log:
    """Two legs: at epoch 3 the better half goes on and the others end."""
    log = Log()
    first = make_task(folder=folder, until=3)
    drive_one(first, log)
    ranked = sorted(log.paused, key=lambda key: (-log.paused[key], key))
    rows = {key: [r for r in first.specs if (r.key in ranked[:2]) is key] for key in (True, False)}
    drive_one(train_on(replace(first, specs=tuple(rows[False])), folder, first, pruned=True), log)
    drive_one(train_on(replace(first, specs=tuple(rows[True])), folder, first, until=None), log)
    return log


@pytest.fixture
def whole(make_task: MakeTask, tmp_path: Path) -> Log:
    return course(make_task, tmp_path / "whole")


def test_at_a_rung_all_wait_and_some_train_on(whole: Log, tmp_path: Path) -> None:
    assert len(whole.paused) == 4
    ended = sorted((o.state, o.epochs) for o in whole.outcomes.values())
    assert ended == [("COMPLETE", 9), ("COMPLETE", 9), ("PRUNED", 3), ("PRUNED", 3)]
    for key, outcome in whole.outcomes.items():
        assert [m.epoch for m in outcome.history] == list(range(1, outcome.epochs + 1))
        assert whole.paused[key] == max(m.val_accuracy for m in outcome.history[:3])
        assert outcome.val is not None
        assert outcome.best_epoch is not None
        assert outcome.val.accuracy == outcome.history[outcome.best_epoch - 1].val_accuracy
        assert outcome.val.accuracy == max(m.val_accuracy for m in outcome.history)
        assert outcome.test is None
        weights = load_file(students_path(tmp_path / "whole" / "students", key))
        assert sum(w.numel() for w in weights.values()) == outcome.num_params


def test_legs_add_up_to_an_unbroken_run(whole: Log, make_task: MakeTask, tmp_path: Path) -> None:
    """A student alone gives the same as with the others that shared its first leg."""
    unbroken = drive(make_task(folder=tmp_path / "unbroken"), Log())
    complete = {k: o for k, o in whole.outcomes.items() if o.state == "COMPLETE"}
    for key, outcome in complete.items():
        losses = [m.train_loss for m in outcome.history]
        alone = [m.train_loss for m in unbroken.outcomes[key].history]
        assert losses == pytest.approx(alone, rel=1e-5)


def test_stopped_after_every_single_epoch_it_ends_the_same(
    whole: Log, make_task: MakeTask, tmp_path: Path
) -> None:
    pieces = 0

    def by_pieces(task: CohortTask, log: Log) -> None:
        nonlocal pieces
        told = len(log.outcomes) + len(log.paused)
        while len(log.outcomes) + len(log.paused) == told:
            drive(task, log, should_stop=lambda: True)
            pieces += 1
            assert pieces < 40

    log = course(make_task, tmp_path / "pieces", by_pieces)
    assert pieces > 9
    assert essence(log.outcomes) == essence(whole.outcomes)
    assert log.epochs == whole.epochs


@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_without_its_checkpoint_it_starts_again_to_the_same_numbers(
    harm: str, make_task: MakeTask, tmp_path: Path
) -> None:
    unbroken = drive(make_task(folder=tmp_path / "unbroken"), Log())
    task = make_task(folder=tmp_path / "harmed")
    log = Log()
    calls = iter([False] * 7 + [True] * 9)
    drive(task, log, should_stop=lambda: next(calls))
    assert task.checkpoint.exists()
    if harm == "deleted":
        task.checkpoint.unlink()
    else:
        content = bytearray(task.checkpoint.read_bytes())
        content[-100] ^= 1
        task.checkpoint.write_bytes(content)
    drive(task, log)
    assert essence(log.outcomes) == essence(unbroken.outcomes)


def test_students_whose_origin_is_lost_train_again_before_they_are_measured(
    make_task: MakeTask, tmp_path: Path
) -> None:
    first = make_task(until=3)
    drive(first, Log())
    kept, lost = Log(), Log()
    drive(train_on(first, tmp_path / "kept", first, pruned=True), kept)
    first.checkpoint.unlink()
    drive(train_on(first, tmp_path / "lost", first, pruned=True), lost)
    assert essence(lost.outcomes) == essence(kept.outcomes)
    assert {o.epochs for o in lost.outcomes.values()} == {3}


def test_where_one_of_two_origins_is_lost_all_begin_again_in_step(
    make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task(until=3)
    halves = [
        replace(task, specs=task.specs[at], checkpoint=tmp_path / f"half-{n}.pt")
        for n, at in enumerate((slice(2), slice(2, 4)))
    ]
    for half in halves:
        drive(half, Log())
    origins = tuple(half.checkpoint for half in halves)
    logs: list[Log] = []
    for name in ("kept", "lost"):
        joint = replace(task, checkpoint=tmp_path / f"{name}.pt", origins=origins, until=None)
        logs.append(drive(joint, Log()))
        halves[1].checkpoint.unlink(missing_ok=True)
    kept, lost = (log.outcomes for log in logs)
    assert {o.epochs for o in lost.values()} == {9}
    for key, outcome in kept.items():
        mine = [m.train_loss for m in lost[key].history]
        assert mine == pytest.approx([m.train_loss for m in outcome.history], rel=1e-5)
    for log, begins in zip(logs, (4, 1), strict=True):
        told = {key: [epoch for k, epoch in log.epochs if k == key] for key in log.outcomes}
        assert told == {key: list(range(begins, 10)) for key in kept}


def test_a_leg_that_ended_only_tells_again(make_task: MakeTask) -> None:
    first = make_task(until=3)
    paused = drive(first, Log()).paused
    first.checkpoint.unlink()  # as the coordinator does when the next leg has ended
    again = drive(first, Log())
    assert again.epochs == []
    assert again.paused == paused
    task = make_task("to-the-end")
    outcomes = drive(task, Log()).outcomes
    again = drive(task, Log())
    assert again.epochs == []
    assert essence(again.outcomes) == essence(outcomes)


def test_a_row_that_fails_fails_alone_with_its_reason(
    make_task: MakeTask, study: StudyConfig, users_models: str, tmp_path: Path
) -> None:
    settings = [{"learning_rate": 0.05}, {"learning_rate": 0.02}]
    alone = drive(make_task("rows", settings, folder=tmp_path / "alone"), Log())
    good = make_task("rows", settings)
    sgd = make_task("sgd", [{"learning_rate": 1e30, "training.optimizer": "sgd"}])
    rows = [*good.specs, *sgd.specs]
    for name in ("fails", "unbuildable"):
        student = {"kind": "import", "target": f"{users_models}:{name}", "width": 8}
        other = StudyConfig.model_validate(study.model_dump(mode="json") | {"student": student})
        rows += make_task(name, [{}], config=other).specs
    log = drive(replace(good, specs=tuple(rows)), Log())
    failures = {k: o.failure for k, o in log.outcomes.items() if o.state == "FAIL"}
    assert failures.keys() == {"sgd/0", "fails/0", "unbuildable/0"}
    assert "loss became" in (failures["sgd/0"] or "")
    assert "at learning rate 1e+30" in (failures["sgd/0"] or "")
    assert failures["fails/0"] == "KeyError: 'no such layer'"
    assert "width is not to my taste" in (failures["unbuildable/0"] or "")
    assert log.outcomes["sgd/0"].num_params is not None
    kept = {k: o for k, o in log.outcomes.items() if k.startswith("rows")}
    assert essence(kept) == essence(alone.outcomes)


def test_a_population_that_fails_leaves_its_students_to_the_reference_loop(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdsearch.training import MlpPopulation

    task = replace(make_task(folder=tmp_path / "alone"), engine="reference")
    alone = drive(task, Log())

    def out_of_memory(self: object, epoch: int) -> list[float]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(MlpPopulation, "_train_epoch", out_of_memory)
    task = replace(make_task(folder=tmp_path / "fallen"), engine="population")
    log = drive(task, Log())
    assert essence(log.outcomes) == essence(alone.outcomes)


def test_a_student_that_a_failed_population_left_goes_on_alone_after_a_stop(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdsearch.training import MlpPopulation

    task = replace(make_task(folder=tmp_path / "alone"), engine="reference")
    alone = drive(task, Log())

    def out_of_memory(self: object, epoch: int) -> list[float]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    task, log = replace(make_task(folder=tmp_path / "fallen"), engine="population"), Log()
    with monkeypatch.context() as patch:
        patch.setattr(MlpPopulation, "_train_epoch", out_of_memory)
        drive(task, log, should_stop=lambda: bool(log.epochs))
    assert 0 < len(log.epochs) < len(alone.epochs)
    drive(task, log)  # another process, where a population would work
    assert essence(log.outcomes) == essence(alone.outcomes)
