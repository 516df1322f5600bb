"""A refit stopped, killed and moved ends the same; one that fails, fails alone."""

import itertools
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution import CohortTask, InlineExecutor, ProcessExecutor
from kdsearch.execution import cohort as cohort_module
from kdsearch.execution.cohort import train_cohort
from kdsearch.execution.student import students_path
from kdsearch.testing.small_study import small_study
from kdsearch.training import MlpPopulation
from tests.execution.conftest import Log, MakeTask, essence, with_teachers
from tests.execution.test_cohort import drive
from tests.execution.test_refit import (
    DATA,
    SETTINGS,
    check_by_hand,
    refit,
    weights_of,
    without_refit,
)

pytestmark = pytest.mark.slow

REFIT_LAST_BATCH = 1438 % 128
"""Size of the batch that only a refit sees: by it a user's model knows that it is in one."""

PIECES: tuple[dict[str, Scalar], ...] = (
    {"learning_rate": 0.1, "alpha": 0.5, "training.epochs": 5},
    {"learning_rate": 0.002, "alpha": 0.0, "width": 12, "training.epochs": 3},
    {"learning_rate": 0.02, "training.patience": 1, "training.epochs": 6},
    {"learning_rate": 0.02, "student.dropout": 0.3, "training.epochs": 4},
)


def check_the_same(log: Log, task: CohortTask, expected: Log, whole: CohortTask) -> None:
    """To the bit, weights and all."""
    assert log.failures == expected.failures == {}
    assert essence(log.outcomes) == essence(expected.outcomes)
    for key, outcome in expected.outcomes.items():
        if outcome.state == "COMPLETE":
            mine, its = weights_of(task, key), weights_of(whole, key)
            assert mine.keys() == its.keys()
            assert all(torch.equal(mine[name], value) for name, value in its.items())


def test_stopped_after_every_step_it_ends_the_same(make_task: MakeTask, tmp_path: Path) -> None:
    config = with_teachers(small_study(data={"kind": "digits"} | DATA["a part"]))
    whole = refit(make_task(config=config, settings=PIECES, folder=tmp_path / "whole"))
    expected = drive(whole, Log())
    task = refit(make_task(config=config, settings=PIECES, folder=tmp_path / "pieces"))
    log, in_refit = Log(), 0
    for number in range(80):
        torch.manual_seed(number)
        drive(task, log, should_stop=lambda: True)
        if log.outcomes:
            break
        saved = cohort_module.load_checkpoint(task.checkpoint)
        assert saved is not None
        in_refit += any(key.endswith("/refit") for key in saved["students"])
    assert in_refit > 5, "else it was not stopped there"
    check_the_same(log, task, expected, whole)
    assert log.epochs == expected.epochs


class Killed(Exception):
    """In place of SIGKILL: nothing after it is done."""


def drive_until_killed(task: CohortTask, log: Log, steps: int) -> None:
    """Go on for some steps; what is told before the kill is kept, as a coordinator does."""
    left = itertools.count(steps - 1, -1)

    def kill() -> bool:
        if next(left) <= 0:
            raise Killed
        return False

    with suppress(Killed):
        for event in train_cohort(task, kill):
            log.notify(task, event)


@pytest.mark.parametrize("steps", [2, 7])
def test_killed_after_some_steps_again_and_again_it_ends_the_same(
    steps: int, make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that goes away leaves its last checkpoint, here that of the step before."""
    whole = refit(make_task(settings=PIECES, folder=tmp_path / "whole"))
    expected = drive(whole, Log())
    monkeypatch.setattr(cohort_module, "CHECKPOINT_SECONDS", 0.0)
    task, log = refit(make_task(settings=PIECES, folder=tmp_path / "killed")), Log()
    kills = 0
    while not log.outcomes:
        drive_until_killed(task, log, steps)
        kills += not log.outcomes
        assert kills < 100
    assert kills >= 2
    check_the_same(log, task, expected, whole)


def run(executor: InlineExecutor | ProcessExecutor, *tasks: CohortTask) -> Log:
    log = Log()
    executor.run(tasks, notify=log.notify, should_stop=lambda: False)
    return log


def own_task(
    make_task: MakeTask,
    study: StudyConfig,
    target: str,
    folder: Path,
    *rates: float,
    **options: Any,
) -> CohortTask:
    """A cohort of a user's own students that want a refit."""
    student = {"kind": "import", "target": target, "width": 8, "options": options}
    config = StudyConfig.model_validate(study.model_dump(mode="json") | {"student": student})
    name = target.partition(":")[2]
    settings: list[dict[str, Scalar]] = [{"learning_rate": rate, "alpha": 0.5} for rate in rates]
    return refit(make_task(name, settings, config=config, folder=folder))


@pytest.mark.parametrize(("workers", "engine"), [(1, "reference"), (2, "population")])
def test_workers_and_a_kill_in_the_middle_of_a_refit_change_nothing(
    workers: int,
    make_task: MakeTask,
    study: StudyConfig,
    users_models: str,
    tmp_path: Path,
) -> None:
    def tasks(folder: Path, kills: int) -> list[CohortTask]:
        folder.mkdir()
        file = folder / "kills"
        file.write_text(str(kills))
        options = {"file": str(file), "size": REFIT_LAST_BATCH}
        target = f"{users_models}:kills_refit"
        killer = own_task(make_task, study, target, folder, 0.003, **options)
        return [refit(make_task(settings=SETTINGS, folder=folder)), killer]

    inline, elsewhere = tasks(tmp_path / "inline", 0), tasks(tmp_path / "pool", 1)
    expected = run(InlineExecutor(), *inline)
    with closing(ProcessExecutor(workers)) as pool:
        log = run(pool, *elsewhere)
    assert (tmp_path / "pool" / "kills").read_text() == "0"
    for mine, its in zip(elsewhere, inline, strict=True):
        check_the_same(log, mine, expected, its)
    assert log.outcomes["kills_refit/0"].state == "COMPLETE"


def test_a_refit_that_fails_fails_its_row_alone(
    make_task: MakeTask, study: StudyConfig, users_models: str, tmp_path: Path
) -> None:
    good = refit(make_task("good", SETTINGS, folder=tmp_path))
    alone = refit(make_task("good", SETTINGS, folder=tmp_path / "alone"))
    expected = drive(alone, Log())
    rows = list(good.specs)
    for name in ("breaks_refit", "raises_refit"):
        target = f"{users_models}:{name}"
        task = own_task(make_task, study, target, tmp_path, 0.003, 0.001, size=REFIT_LAST_BATCH)
        rows += task.specs
    task = replace(good, specs=tuple(rows))
    log = drive(task, Log())
    failed = {key: o for key, o in log.outcomes.items() if o.state == "FAIL"}
    assert failed.keys() == {f"{n}_refit/{i}" for n in ("breaks", "raises") for i in (0, 1)}
    for key, outcome in failed.items():
        reason = outcome.failure or ""
        if key.startswith("breaks"):
            assert "training loss became nan in epoch 1" in reason
        else:
            assert reason == "KeyError: 'not again'"
        assert (outcome.epochs, len(outcome.history)) == (9, 9), "the first training is told"
        assert (outcome.val, outcome.test) == (None, None)
        assert not students_path(task.students, key).exists()
    kept = {key: o for key, o in log.outcomes.items() if key.startswith("good")}
    assert essence(kept) == essence(expected.outcomes)
    again = drive(task, Log())
    assert essence(again.outcomes) == essence(log.outcomes)


def test_stopped_after_every_step_the_same_refits_fail(
    make_task: MakeTask, study: StudyConfig, users_models: str, tmp_path: Path
) -> None:
    def task(folder: Path) -> CohortTask:
        target = f"{users_models}:breaks_refit"
        own = own_task(make_task, study, target, folder, 0.003, size=REFIT_LAST_BATCH)
        good = refit(make_task("good", PIECES[:2], folder=folder))
        return replace(good, specs=(*own.specs, *good.specs))

    expected = drive(whole := task(tmp_path / "whole"), Log())
    pieces, log = task(tmp_path / "pieces"), Log()
    for _ in range(80):
        drive(pieces, log, should_stop=lambda: True)
        if log.outcomes:
            break
    assert [o.state for _, o in sorted(log.outcomes.items())] == ["FAIL", "COMPLETE", "COMPLETE"]
    check_the_same(log, pieces, expected, whole)


def test_a_population_of_refits_that_fails_leaves_them_to_the_reference_loop(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(refit(make_task(settings=SETTINGS, folder=tmp_path)), engine="population")
    once = drive(without_refit(task), Log())
    real = MlpPopulation._train_epoch

    def out_of_memory(self: MlpPopulation) -> list[float]:
        if len(self._data.train_y) % 128 == REFIT_LAST_BATCH:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(self)

    monkeypatch.setattr(MlpPopulation, "_train_epoch", out_of_memory)
    log = drive(task, Log())
    config = small_study()
    check_by_hand(config, task, log.outcomes)
    for key, outcome in log.outcomes.items():
        assert outcome.history == once.outcomes[key].history
        assert outcome.val == once.outcomes[key].val
